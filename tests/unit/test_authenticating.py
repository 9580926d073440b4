"""Authentication against a server of the test's own, which does what real ones do seldom or no more."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from kazoo.protocol.states import KazooState
from waiting import wait_until

from zkleader.core.actions import Sync
from zkleader.core.events import Answered, Connected, Event, SessionLost, Unanswered
from zkleader.core.lease import Timing
from zkleader.zk.access import Access
from zkleader.zk.connecting import Connection
from zkleader.zk.credentials import Credential
from zkleader.zk.hosts import Server, parse_hosts
from zkleader.zk.session import Session

TIMING = Timing(lease=20.0, grace=5.0, stop_timeout=5.0)
HOSTS = parse_hosts("127.0.0.1")
DIGEST = Access(hosts=HOSTS, credentials=(Credential(scheme="digest", user="app", password="x"),))
SASL = Access(hosts=HOSTS, credentials=(Credential(scheme="sasl", user="app", password="x"),))
OK, AUTH_FAILED, SASL_REQUIRED, SYSTEM_ERROR = 0, -115, -124, -1
CHALLENGE = b'realm="zk-sasl-md5",nonce="abc",qop="auth",charset=utf-8,algorithm=md5-sess'


class Talk:
    """One connection, as a server has it, with its session made."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.read()
        self.write(struct.pack(">iiqi16s?", 0, 20_000, 0x1234, 16, b"p" * 16, False))

    def read(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            part = self._connection.recv(length - len(content))
            if not part:
                raise ConnectionError
            content += part
        return content

    def write(self, content: bytes) -> None:
        self._connection.sendall(struct.pack(">i", len(content)) + content)

    def answer(self, error: int = OK, challenge: bytes | None = None) -> None:
        """Read a request, and answer it."""
        (xid,) = struct.unpack(">i", self.read()[:4])
        token = struct.pack(">i", -1) if challenge is None else struct.pack(">i", len(challenge)) + challenge
        self.write(struct.pack(">iqi", xid, 0, error) + token)


class Servers:
    """A server that talks with its first client in one way, with the next in another, and with the rest in the last."""

    def __init__(self, *talks: Callable[[Talk], None]) -> None:
        self.connections = 0
        self._talks = talks
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = (Server(host="127.0.0.1", port=self._listener.getsockname()[1]),)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            talk = self._talks[min(self.connections, len(self._talks) - 1)]
            self.connections += 1
            with connection, contextlib.suppress(OSError):
                talk(Talk(connection))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


Serve = Callable[..., Servers]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give `serve(talk, ...)`: a server that talks so."""
    servers: list[Servers] = []

    def start(*talks: Callable[[Talk], None]) -> Servers:
        servers.append(Servers(*talks))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def hang_up(talk: Talk) -> None:
    talk.read()


def refuse(talk: Talk) -> None:
    talk.answer(AUTH_FAILED)


def trouble_with(servers: Servers, access: Access) -> str:
    """Return what is told of a connection that comes to nothing, without waiting for long."""
    states: list[str] = []
    connection = Connection(access, TIMING, states.append)
    connection.start(servers.address)
    try:
        assert not connection.wait(10), "authenticated"
        assert states[-1] == KazooState.LOST, "it is waited for no longer than it takes to be refused"
        assert KazooState.CONNECTED not in states
    finally:
        connection.close()
    return connection.trouble.removeprefix(f"{servers.address[0]} ")


def test_who_has_not_authenticated_is_not_connected(serve: Serve) -> None:
    """What is asked for before would be asked for by nobody, and refused; kazoo says CONNECTED too early."""
    asked, answer = threading.Event(), threading.Event()

    def talk(talk: Talk) -> None:
        request = talk.read()
        asked.set()
        assert answer.wait(10)
        talk.write(request[:4] + struct.pack(">qi", 0, OK))
        talk.read()

    servers = serve(talk)
    events: list[Event] = []
    session = Session(DIGEST, TIMING, events.append)
    session.start(servers.address)
    assert asked.wait(10)
    session.submit(1, Sync(path="/"))
    assert events == [Answered(number=1, answer=Unanswered())]
    answer.set()
    wait_until(lambda: len(events) > 1, what="an event")
    assert events[1:] == [Connected(granted=20.0, server=str(servers.address[0]))]
    session.close()


def test_a_refusal_ends_the_session_with_its_cause(serve: Serve) -> None:
    """One line and a status can be made of it; other servers would refuse as well."""
    servers = serve(refuse)
    events: list[Event] = []
    session = Session(SASL, TIMING, events.append)
    session.start(servers.address)
    wait_until(lambda: events, what="an event")
    assert events == [SessionLost(reason="authentication_failed")]
    assert session.trouble == f"{servers.address[0]} refuses the user or the password of SASL"
    session.close()
    assert servers.connections == 1


def test_what_a_server_says_is_told(serve: Serve) -> None:
    """A server that insists on SASL broke kazoo's thread, one without SASL was asked for ever, as fast as it can."""

    def answers(error: int = OK, challenge: bytes | None = None) -> Servers:
        def talk(talk: Talk) -> None:
            for _ in range(20):
                talk.answer(error, challenge)

        return serve(talk)

    assert trouble_with(answers(SASL_REQUIRED), SASL) == "refuses the user or the password of SASL"
    assert trouble_with(answers(), SASL) == "does not authenticate by SASL"
    assert trouble_with(answers(challenge=b""), SASL) == "does not authenticate by SASL"
    assert trouble_with(answers(challenge=b"nonsense"), SASL) == "does not speak DIGEST-MD5 as it should"
    assert trouble_with(answers(challenge=b"rspauth=1"), SASL) == "does not speak DIGEST-MD5 as it should"
    assert trouble_with(answers(challenge=CHALLENGE), SASL) == "does not come to an end with SASL"
    assert trouble_with(answers(AUTH_FAILED), DIGEST) == "refuses to authenticate by digest"


def test_a_server_that_dies_meanwhile_refuses_nobody(serve: Serve) -> None:
    """It would end the leadership of whoever is just reconnecting; kazoo takes the one for the other."""

    def be_at_odds(talk: Talk) -> None:
        talk.answer(SYSTEM_ERROR)

    servers = serve(hang_up, be_at_odds, hang_up, refuse)
    assert trouble_with(servers, SASL) == "refuses the user or the password of SASL"
    assert servers.connections == 4


def test_a_server_that_always_hangs_up_refuses(serve: Serve) -> None:
    """Those before 3.6 have no other word for it; a bad password must not be tried for ever."""

    def challenge_and_hang_up(talk: Talk) -> None:
        talk.answer(challenge=CHALLENGE)
        talk.read()

    for talk in (hang_up, challenge_and_hang_up):
        servers = serve(talk)
        assert trouble_with(servers, SASL) == "hangs up on SASL"
        assert servers.connections == 3
