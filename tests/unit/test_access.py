"""What is given for reaching an ensemble: its forms, its files, and that no secret of it is shown."""

import json
import os
import pwd
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zkleader.core.lease import Timing
from zkleader.guard.settings import GuardSettings
from zkleader.zk import files
from zkleader.zk.access import Access, Tls
from zkleader.zk.credentials import Credential, read_credentials
from zkleader.zk.files import AccessProblem
from zkleader.zk.hosts import parse_hosts
from zkleader.zk.permissions import OPEN, OWN, Permission, parse_acl

SECRET = "correct horse"
HOSTS = parse_hosts("zk1,zk2/chroot")
DIGEST = Credential(scheme="digest", user="app", password=SECRET)
ACCESS = Access(
    hosts=HOSTS,
    credentials=(DIGEST, Credential(scheme="sasl", user="app", password=SECRET)),
    acl=(Permission(scheme="auth", id="", letters="rw"),),
    tls=Tls(ca="/ca.pem", certificate="/c.pem", key="/k.pem", is_verified=False),
)
HASH = "x" * 27 + "="

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give `write(content, mode=)`: the path of such a file."""

    def write(content: str | bytes, mode: int = 0o600) -> str:
        path = tmp_path / "auth"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return str(path)

    return write


# ---- the file of credentials


def test_each_line_is_a_credential(write: Write) -> None:
    """A password is taken as it is: with colons, blanks at its end, and letters of any language."""
    path = write("# who we are\n\ndigest app:a:b \r\n  \nsasl other:p#w\ndigest späßchen:größe")
    assert read_credentials(path) == (
        Credential(scheme="digest", user="app", password="a:b "),
        Credential(scheme="sasl", user="other", password="p#w"),
        Credential(scheme="digest", user="späßchen", password="größe"),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no line is 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        ("# nothing\n", "no line is 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        (f"digest app:x\n{SECRET}", "line 2 is not 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        (f"digest {SECRET}", "line 1 is not 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        (f"digest :{SECRET}", "line 1 is not 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        ("digest app:", "line 1 is not 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        (f"kerberos app:{SECRET}", "line 1 is not 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        (f" digest app:{SECRET}", "line 1 is not 'digest USER:PASSWORD' or 'sasl USER:PASSWORD'"),
        (f"sasl a:{SECRET}\nsasl b:{SECRET}", "line 2 is a second one for sasl"),
        ("sasl app:größe", "line 1 is not ASCII, and sasl takes nothing else"),
        (b"digest app:\xff", "not UTF-8 text"),
        ("digest app:" + "x" * 65536, "longer than 64 KiB"),
    ],
)
def test_what_is_wrong_is_told_without_repeating_it(write: Write, content: str | bytes, reason: str) -> None:
    """A line that was mistyped is a secret all the same, and messages end in logs."""
    path = write(content)
    with pytest.raises(AccessProblem) as raised:
        read_credentials(path)
    assert str(raised.value) == f"cannot use the authentication file {path}: {reason}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_file_that_is_open_to_others_is_refused(write: Write, mode: int) -> None:
    """As ssh refuses a private key: what others may read is no secret, what they may write is not ours."""
    with pytest.raises(AccessProblem, match=rf"group or others have access to it \(mode {mode:04o}\); chmod 600 it"):
        read_credentials(write("digest app:x", mode))


def test_a_file_that_only_we_may_read_is_taken_through_a_link(write: Write, tmp_path: Path) -> None:
    """Secrets are often links, to where a mount has put them; what counts is the file itself."""
    link = tmp_path / "link"
    link.symlink_to(write("digest app:x", 0o400))
    assert read_credentials(str(link))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize(("mode", "is_taken"), [(0o600, True), (0o440, True), (0o644, False), (0o602, False)])
def test_the_group_of_somebody_elses_file_is_that_ones_affair(write: Write, mode: int, *, is_taken: bool) -> None:
    """As with ssh: root may let a service read its secret through its group, and systemd's credentials look so too."""
    path = write("digest app:x", mode)
    os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    if is_taken:
        assert read_credentials(path)
    else:
        with pytest.raises(AccessProblem, match="others have access"):
            read_credentials(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """Opening a FIFO waits for whoever writes into it, and a run that waits for ever before it begins is no run."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in (tmp_path / "fifo", tmp_path, "/dev/null"):
        with pytest.raises(AccessProblem, match=f"cannot use the authentication file {name}: not a regular file"):
            read_credentials(str(name))
    with pytest.raises(AccessProblem, match="no such file or directory"):
        read_credentials(str(tmp_path / "none"))
    with pytest.raises(AccessProblem, match="null"):
        read_credentials("a\0b")


def test_what_is_judged_is_what_is_read(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a look at a name and its opening another file may be put there; so there is one opening, and no look."""
    path = write("digest app:x")
    sound = os.fstat

    def swap_and_look(descriptor: int) -> os.stat_result:
        evil = tmp_path / "evil"
        evil.write_text("digest evil:y")
        evil.replace(path)
        return sound(descriptor)

    monkeypatch.setattr(files.os, "fstat", swap_and_look)
    assert read_credentials(path) == (Credential(scheme="digest", user="app", password="x"),)


def test_sasl_without_its_library_is_told_how_to_get_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra that few need; a traceback in the connection thread would tell nobody."""
    monkeypatch.setitem(sys.modules, "puresasl.client", None)
    with pytest.raises(AccessProblem, match=r"^cannot authenticate by sasl: pure-sasl is not installed \(pip install"):
        read_credentials(write("sasl app:x"))
    assert read_credentials(write("digest app:x"))


# ---- ACLs


@pytest.mark.parametrize(
    ("text", "permissions"),
    [
        ("world:anyone:r", [("world", "anyone", "r")]),
        ("auth::cdrwa,world:anyone:r", [("auth", "", "cdrwa"), ("world", "anyone", "r")]),
        (f"digest:app:{HASH}:cdrwa,ip:10.0.0.0/8:r", [("digest", f"app:{HASH}", "cdrwa"), ("ip", "10.0.0.0/8", "r")]),
        ("ip:fe80::1:rw,sasl:app:r", [("ip", "fe80::1", "rw"), ("sasl", "app", "r")]),
        ("x509:CN=a,OU=b,O=c:rw,x509:CN=d:r", [("x509", "CN=a,OU=b,O=c", "rw"), ("x509", "CN=d", "r")]),
    ],
)
def test_an_acl_is_parsed(text: str, permissions: list[tuple[str, str, str]]) -> None:
    """Ids may have the colons and commas that part the others: digests, IPv6 addresses, names in certificates."""
    assert parse_acl(text) == tuple(Permission(scheme=one, id=two, letters=three) for one, two, three in permissions)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("anyone", "permission 1 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:anyone", "permission 1 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:anyone:", "permission 1 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:anyone:rx", "permission 1 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:anyone:r,", "permission 1 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:anyone:r, auth::w", "permission 2 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:anyone:r\nauth::w", "permission 1 is not SCHEME:ID:PERMS with PERMS some of rwcda"),
        ("world:me:r", "'me' is not 'anyone', who alone is the world"),
        ("auth:me:r", "the scheme auth has no id (as in auth::rwcda)"),
        (f"digest:app:{SECRET}:r", "the id of the scheme digest is USER:HASH, with the hash of the password and not"),
        ("sasl::r", "the scheme sasl lacks an id"),
    ],
)
def test_a_wrong_acl_is_refused_without_repeating_a_password(text: str, reason: str) -> None:
    """Who writes the password where its hash belongs has put it into the process list; logs need not have it too."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}") as raised:
        parse_acl(text)
    assert SECRET not in str(raised.value)


def test_the_bits_are_zookeepers() -> None:
    """ZooDefs.Perms: read 1, write 2, create 4, delete 8, admin 16; a letter said twice counts once."""
    bits = [
        Permission(scheme="world", id="anyone", letters=letters).bits for letters in ("r", "w", "c", "d", "a", "rr")
    ]
    assert bits == [1, 2, 4, 8, 16, 1]
    assert OPEN[0].bits == 31


def test_who_authenticates_keeps_what_it_creates_unless_told_otherwise() -> None:
    """Without a secret nobody could be kept out, and a certificate is one for each host."""
    assert Access(hosts=HOSTS).permissions == OPEN
    assert Access(hosts=HOSTS, tls=Tls(certificate="/c.pem")).permissions == OPEN
    assert Access(hosts=HOSTS, credentials=(DIGEST,)).permissions == OWN
    assert ACCESS.permissions == ACCESS.acl


# ---- secrets


def test_what_is_handed_on_comes_back() -> None:
    """The program that releases in our place authenticates as we do; it gets this through a memory file."""
    assert Access.from_json(json.loads(json.dumps(ACCESS.to_json()))) == ACCESS
    assert Access.from_json(json.loads(json.dumps(Access(hosts=HOSTS).to_json()))) == Access(hosts=HOSTS)


def test_no_representation_shows_a_password() -> None:
    """Representations end in error messages; what is hidden is said to be there."""
    settings = GuardSettings(
        argv=(b"true",),
        executable=b"/bin/true",
        environment={},
        timing=Timing(lease=20.0, grace=1.0, stop_timeout=1.0),
        stop_signal=15,
        supervisor_pid=1,
        release={"access": ACCESS.to_json()},
    )
    for value in (DIGEST, ACCESS, settings):
        assert SECRET not in repr(value)
        assert SECRET not in str(value)
    assert repr(DIGEST) == "Credential(scheme='digest', user='app', password=...)"
    assert "release=..." in repr(settings)
