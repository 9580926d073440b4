"""TLS without ZooKeeper: files that cannot be used, and why a handshake fails, in words, within its limit."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from keys import Authority

from zkleader.core.lease import Timing
from zkleader.zk import tls
from zkleader.zk.access import Tls
from zkleader.zk.files import AccessProblem
from zkleader.zk.hosts import Server
from zkleader.zk.sockets import Sockets

TIMING = Timing(lease=20.0, grace=5.0, stop_timeout=5.0)
"""A cap of 0.8 s for connecting, and another for the handshake."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


# ---- files


def split(file: Path, into: Path) -> tuple[str, str]:
    """Return the certificate and the key of a file as two."""
    text = file.read_text()
    key, end, certificate = text.partition("-----END PRIVATE KEY-----\n")
    (into / "cert").write_text(certificate)
    (into / "key").write_text(key + end)
    return str(into / "cert"), str(into / "key")


def refused(wanted: Tls) -> str:
    with pytest.raises(AccessProblem) as raised:
        tls.context_of(wanted)
    return str(raised.value)


def test_a_certificate_and_its_key_may_be_one_file_or_two(authority: Authority, tmp_path: Path) -> None:
    """Both are usual."""
    both = authority.issue("one")
    certificate, key = split(both, tmp_path)
    tls.context_of(Tls(ca=str(authority.file), certificate=str(both)))
    tls.context_of(Tls(ca=str(authority.file), certificate=certificate, key=key))


def test_files_that_do_not_fit_are_named(authority: Authority, tmp_path: Path) -> None:
    """A certificate without a key kazoo ignores, and of two files OpenSSL does not say which one it cannot read."""
    certificate, key = split(authority.issue("one"), tmp_path)
    (tmp_path / "other").mkdir()
    _, another = split(authority.issue("two"), tmp_path / "other")
    garbage = tmp_path / "garbage"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    missing, cert = str(tmp_path / "missing"), "cannot use the client certificate"
    assert refused(Tls(certificate=certificate)) == f"{cert} {certificate}: its private key is not in it (--tls-key)"
    assert refused(Tls(key=key)) == f"cannot use the client key {key}: there is no certificate for it (--tls-cert)"
    assert refused(Tls(certificate=certificate, key=another)) == (
        f"cannot use the client key {another}: it is not the key of {certificate}"
    )
    assert refused(Tls(certificate=key, key=key)) == f"{cert} {key}: no certificate in PEM can be read from it"
    assert refused(Tls(certificate=certificate, key=certificate)) == (
        f"cannot use the client key {certificate}: no private key in PEM can be read from it"
    )
    assert (
        refused(Tls(ca=str(garbage))) == f"cannot use the CA file {garbage}: no certificate in PEM can be read from it"
    )
    for wanted, what in (
        (Tls(ca=missing), "CA file"),
        (Tls(certificate=missing), "client certificate"),
        (Tls(certificate=certificate, key=missing), "client key"),
    ):
        assert refused(wanted) == f"cannot use the {what} {missing}: no such file or directory"


def test_no_file_is_waited_for_and_nobody_is_asked(authority: Authority, tmp_path: Path) -> None:
    """OpenSSL would open a FIFO and wait, and ask a terminal for the passphrase of a key."""
    os.mkfifo(tmp_path / "fifo")
    assert refused(Tls(ca=str(tmp_path / "fifo"))).endswith("not a regular file")
    certificate, key = split(authority.issue("one"), tmp_path)
    secret = load_pem_private_key(Path(key).read_bytes(), None)
    locked = tmp_path / "locked"
    locked.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")))
    assert refused(Tls(certificate=certificate, key=str(locked))) == (
        f"cannot use the client key {locked}: it is encrypted, and there is nobody to ask"
    )


def test_with_a_ca_file_nobody_else_is_trusted(authority: Authority) -> None:
    """Who names an authority of their own does not want every public one beside it, as kazoo has it."""
    assert len(tls.context_of(Tls(ca=str(authority.file))).get_ca_certs()) == 1


# ---- handshakes


Listen = Callable[..., Server]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Give `listen(talk, name=)`: the address of something that talks so to each connection."""
    listeners: list[socket.socket] = []

    def start(talk: Callable[[socket.socket], None], name: str = "") -> Server:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        return Server(host="127.0.0.1", port=listener.getsockname()[1], name=name)

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def speaking(
    certificate: Path, *, ca: Path | None = None, version: ssl.TLSVersion | None = None
) -> Callable[..., None]:
    """Return what speaks TLS with this certificate, wanting one of the other side if there is a CA file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if version is not None:
        context.maximum_version = version
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"hello")
            secured.recv(1)

    return talk


def connect(server: Server, wanted: Tls) -> bytes:
    """Connect as kazoo does, and return what is said first."""
    sockets = Sockets(TIMING, wanted)
    sockets.servers = {str(server): server}
    with sockets.create_connection(address=(server.host, server.port)) as connection:
        return connection.recv(5)


def failure(server: Server, wanted: Tls) -> str:
    with pytest.raises(OSError, match=str(server.port)) as raised:
        connect(server, wanted)
    return str(raised.value.strerror).removeprefix(f"{server} ")


def test_a_server_is_verified_by_the_name_that_the_user_has_given(authority: Authority, listen: Listen) -> None:
    """What kazoo is handed are addresses; the name that was looked up must not be lost on the way."""
    talk = speaking(authority.issue("zk1.example", "*.wild.example", "127.0.0.1"))
    wanted = Tls(ca=str(authority.file))
    for name in ("zk1.example", "ZK1.EXAMPLE.", "a.wild.example", ""):
        assert connect(listen(talk, name), wanted) == b"hello"
    assert failure(listen(talk, "zk2.example"), wanted) == "has a certificate that is not for zk2.example"
    for name in ("10.0.0.1", "wild.example", "a.b.wild.example"):
        assert failure(listen(talk, name), wanted) == f"has a certificate that is not for {name}"


def test_what_is_wrong_with_a_certificate_is_told(authority: Authority, stranger: Authority, listen: Listen) -> None:
    """Each has another remedy, and "time-out", which is what kazoo says, has none."""
    wanted = Tls(ca=str(authority.file))
    untrusted = listen(speaking(stranger.issue("zk")), "zk")
    assert failure(untrusted, wanted) == "has a certificate that no authority trusted here has signed"
    assert failure(untrusted, Tls()) == "has a certificate that no authority trusted here has signed"
    old = listen(speaking(authority.issue("zk", begins=-2, ends=-1)), "zk")
    assert failure(old, wanted) == "has a certificate that has expired"
    new = listen(speaking(authority.issue("zk", begins=1, ends=2)), "zk")
    assert failure(new, wanted) == "has a certificate that is not valid yet"
    for server in (untrusted, old, new):
        assert connect(server, Tls(is_verified=False)) == b"hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_says_so(
    authority: Authority, stranger: Authority, listen: Listen, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 it says so after the handshake, when kazoo reads the first answer."""
    server = listen(speaking(authority.issue("zk"), ca=authority.file, version=version), "zk")
    wanted = Tls(ca=str(authority.file))
    assert connect(server, wanted.but(certificate=str(authority.issue("client")))) == b"hello"
    assert failure(server, wanted) in (
        "wants a client certificate (see --tls-cert)",
        "refuses the TLS handshake (it may want a client certificate: --tls-cert)",  # OpenSSL with TLS 1.2
    )
    refusal = failure(server, wanted.but(certificate=str(stranger.issue("client"))))
    assert refusal == "refuses our client certificate (unknown ca)"


def test_what_does_not_speak_tls_is_told(authority: Authority, listen: Listen) -> None:
    """A plaintext port hangs up, as ZooKeeper does, or says something else."""
    wanted = Tls(ca=str(authority.file))
    words = "hangs up in the TLS handshake (is this a plaintext port?)"
    assert failure(listen(lambda connection: connection.close()), wanted) == words
    assert failure(listen(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")), wanted) == words


def test_a_silent_handshake_costs_no_more_than_the_cap(authority: Authority, listen: Listen) -> None:
    """It is a frozen server, and the next one is waiting; a leader's lease is running meanwhile."""
    silence = threading.Event()
    server = listen(lambda _connection: silence.wait(10))
    began = time.monotonic()
    assert failure(server, Tls(ca=str(authority.file))) == "does not finish the TLS handshake within 0.8 s"
    assert time.monotonic() - began < 1.5
    silence.set()


def test_a_handshake_that_drips_costs_no_more_either(authority: Authority, listen: Listen) -> None:
    """The limit is for all of it, not for each byte."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        for _ in range(40):
            connection.sendall(b"\0")
            time.sleep(0.1)

    began = time.monotonic()
    assert failure(listen(drip), Tls(ca=str(authority.file))) == "does not finish the TLS handshake within 0.8 s"
    assert time.monotonic() - began < 1.5


def test_a_handshake_can_be_cut(authority: Authority, listen: Listen) -> None:
    """Who is told to end must not wait for a server that does not answer."""
    begun, silence = threading.Event(), threading.Event()

    def wait(_connection: socket.socket) -> None:
        begun.set()
        silence.wait(10)

    server = listen(wait)
    sockets = Sockets(Timing(lease=60.0, grace=5.0, stop_timeout=5.0), Tls(ca=str(authority.file)))
    ended: list[str] = []

    def connect() -> None:
        try:
            sockets.create_connection(address=(server.host, server.port))
        except OSError as error:
            ended.append(str(error.strerror))

    thread = threading.Thread(target=connect)
    thread.start()
    assert begun.wait(5)
    while thread.is_alive() and not ended:
        sockets.shut_down()
        thread.join(0.01)
    assert not thread.is_alive()
    assert ended == [f"{server} hangs up in the TLS handshake (is this a plaintext port?)"]
    silence.set()


def test_a_file_that_is_gone_later_costs_the_attempt_only(authority: Authority, listen: Listen, tmp_path: Path) -> None:
    """Files are read for each connection, so that renewed ones count; one may be missing while it is being replaced."""
    certificate = tmp_path / "renewed.pem"
    wanted = Tls(ca=str(authority.file), certificate=str(certificate))
    server = listen(speaking(authority.issue("zk"), ca=authority.file), "zk")
    with pytest.raises(OSError, match=f"cannot use the client certificate {certificate}: no such file"):
        connect(server, wanted)
    certificate.write_bytes(authority.issue("client").read_bytes())
    assert connect(server, wanted) == b"hello"


def test_what_was_decrypted_already_is_not_waited_for(authority: Authority, listen: Listen) -> None:
    """Two answers in one record: the second lies in OpenSSL, and the socket that kazoo waits on has nothing to tell."""
    server = listen(speaking(authority.issue("zk")), "zk")
    sockets = Sockets(TIMING, Tls(ca=str(authority.file)))
    sockets.servers = {str(server): server}
    connection = sockets.create_connection(address=(server.host, server.port))
    assert connection.recv(2) == b"he"
    sockets.connected()
    ours, _theirs = socket.socketpair()
    began = time.monotonic()
    assert sockets.select([connection, ours], [], [], 5.0) == ([connection], [], [])
    assert time.monotonic() - began < 1
    connection.close()


def test_a_cut_is_no_way_back_to_plain_text(authority: Authority, listen: Listen) -> None:
    """The class's own shutdown() forgets the keys, and a thread that is reading takes what comes for plain text."""

    def talk(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue("zk"))
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"x" * 10)
            secured.sendall(b"x" * 10)
            secured.recv(1)

    server = listen(talk, "zk")
    sockets = Sockets(TIMING, Tls(ca=str(authority.file)))
    sockets.servers = {str(server): server}
    connection = sockets.create_connection(address=(server.host, server.port))
    assert connection.recv(10) == b"x" * 10
    assert socket.socket.recv(connection, 1, socket.MSG_PEEK) != b"x", "a second record is there, encrypted"
    sockets.shut_down()
    assert connection.recv(100) == b"x" * 10
    assert connection.recv(100) == b""
    connection.close()


# ---- finding out


def test_whether_a_port_speaks_tls_is_found_out(authority: Authority, listen: Listen) -> None:
    """For the words, when plain text was not answered: with or without a certificate of ours it has a handshake."""
    certificate = authority.issue("zk")
    assert tls.speaks_tls(listen(speaking(certificate)), 1.0)
    assert tls.speaks_tls(listen(speaking(certificate, ca=authority.file, version=ssl.TLSVersion.TLSv1_2)), 1.0)
    assert not tls.speaks_tls(listen(lambda connection: connection.close()), 1.0)
    assert not tls.speaks_tls(listen(lambda connection: connection.sendall(b"HTTP/1.1 400\r\n\r\n")), 1.0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not tls.speaks_tls(Server(host="127.0.0.1", port=unused.getsockname()[1]), 1.0)
    began = time.monotonic()
    silence = threading.Event()
    assert not tls.speaks_tls(listen(lambda _connection: silence.wait(5)), 0.3)
    assert time.monotonic() - began < 1
    silence.set()
