"""Authentication and ACLs on real servers: who has the secret leads, and nobody else can do anything about it."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from candidate import Candidate
from conftest import USERS
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_acl
from program import Program
from promise import assert_killed_is_released_for, assert_promise, candidates, token_of, wait_acting
from proxy import Proxy
from zookeeper import Server

from zkleader import ConfigurationError, Election, NotPermittedError
from zkleader.zk.access import Access
from zkleader.zk.client import Client
from zkleader.zk.credentials import Credential
from zkleader.zk.hosts import parse_hosts

AuthFile = Callable[..., str]
Connect = Callable[..., KazooClient]
Programs = Callable[..., Program]

DIGEST = f"digest app:{USERS['app']}"
SASL = f"sasl app:{USERS['app']}"
ALL = 31


@pytest.fixture
def hosts(secured: Server) -> str:
    return secured.hosts


@pytest.fixture
def stranger(secured: Server, connect: Connect) -> KazooClient:
    """Somebody without the secret, who knows how to use ZooKeeper."""
    return connect(secured.hosts)


@pytest.fixture
def leader(candidate: Candidate, hosts: str, auth_file: AuthFile, beats: Path) -> Iterator[Program]:
    """A leader that authenticates by both schemes."""
    program = candidate("a", "--auth-file", auth_file(DIGEST, SASL), hosts=hosts)
    wait_acting(program, beats)
    yield program
    if program.returncode is None:
        program.signal(signal.SIGTERM)
        assert program.wait() == -signal.SIGTERM


def identities(acls: list[ACL]) -> set[tuple[str, int]]:
    """Return the schemes of an ACL with their permissions."""
    return {(acl.id.scheme, acl.perms) for acl in acls}


def line_of(program: Program, status: int, deadline: float = 8.0) -> str:
    """Return the one line of a program that ends with this status."""
    assert program.wait(deadline) == status
    (line,) = [line for line in program.stderr if line.startswith("zkleader: ")]
    return line.removeprefix("zkleader: ")


# ---- what is created


@pytest.mark.parametrize(
    ("lines", "schemes"),
    [((DIGEST,), {"digest"}), ((SASL,), {"sasl"}), ((DIGEST, SASL), {"digest", "sasl"})],
    ids=["digest", "sasl", "both"],
)
def test_what_is_created_is_its_creators_and_to_be_read_by_all(
    programs: Programs,
    hosts: str,
    auth_file: AuthFile,
    stranger: KazooClient,
    election: str,
    lines: tuple[str, ...],
    schemes: set[str],
) -> None:
    """Every znode, ancestors included: who may delete in one of them may make another election in its place."""
    deep = f"{election}/deep/down"
    program = programs("run", "-v", "-z", hosts, "-e", deep, "--auth-file", auth_file(*lines), "sleep", "60")
    token_of(program)
    (candidate,) = candidates(stranger, deep)
    expected = {*((scheme, ALL) for scheme in schemes), ("world", 1)}
    for path in (election, f"{election}/deep", deep, f"{deep}/lease-0", f"{deep}/{candidate}"):
        acls, _ = stranger.get_acls(path)
        assert identities(acls) == expected, path
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM


def test_without_authentication_all_is_open(
    candidate: Candidate, zookeeper: Server, kazoo_client: KazooClient, election: str
) -> None:
    """Where nobody can be told from anybody else, an ACL would lock out an operator and nobody besides."""
    program = candidate("a", hosts=zookeeper.hosts)
    token_of(program)
    (name,) = candidates(kazoo_client, election)
    for path in (election, f"{election}/lease-0", f"{election}/{name}"):
        assert kazoo_client.get_acls(path)[0] == OPEN_ACL_UNSAFE


def test_another_acl_is_set_where_one_is_asked_for(
    candidate: Candidate, hosts: str, auth_file: AuthFile, stranger: KazooClient, election: str
) -> None:
    """Another user may be let in, and nobody else to read."""
    acl = "auth::cdrwa,sasl:other:rw,ip:127.0.0.1:r"
    program = candidate("a", "--auth-file", auth_file(DIGEST), "--acl", acl, hosts=hosts)
    token_of(program)
    (name,) = candidates(stranger, election)
    for path in (election, f"{election}/lease-0", f"{election}/{name}"):
        acls, _ = stranger.get_acls(path)
        assert identities(acls) == {("digest", ALL), ("sasl", 3), ("ip", 1)}, path


# ---- strangers


def test_a_stranger_can_do_nothing_but_look(leader: Program, beats: Path, stranger: KazooClient, election: str) -> None:
    """Neither lead, nor edit the record, nor delete a candidate or anything else, nor change who may."""
    (name,) = candidates(stranger, election)
    record, own = f"{election}/lease-0", f"{election}/{name}"
    token = token_of(leader)
    attempts: list[Callable[[], object]] = [
        lambda: stranger.create(f"{election}/x-n_", b"", ephemeral=True, sequence=True),
        lambda: stranger.create(f"{election}/lease-1", b""),
        lambda: stranger.set(record, b"{}"),
        lambda: stranger.set(own, b"{}"),
        lambda: stranger.set(election, b"{}"),
        lambda: stranger.delete(record),
        lambda: stranger.delete(own),
        lambda: stranger.delete(election, recursive=True),
        lambda: stranger.set_acls(election, OPEN_ACL_UNSAFE),
        lambda: stranger.set_acls(record, OPEN_ACL_UNSAFE),
        lambda: stranger.set_acls(own, OPEN_ACL_UNSAFE),
    ]
    for attempt in attempts:
        with pytest.raises(NoAuthError):
            attempt()
    transaction = stranger.transaction()
    transaction.check(own, -1)
    transaction.set_data(record, b"{}")
    assert any(isinstance(result, NoAuthError) for result in transaction.commit())
    assert stranger.get(record)[0].startswith(b"{")
    leader.wait_for("event=renewed", after=len(leader.stderr))
    assert token_of(leader) == token
    assert_promise(beats, tenures=1)


@pytest.mark.parametrize("lines", [(), ("digest app:wrong",), ("digest other:word",)], ids=["none", "wrong", "other"])
def test_a_stranger_of_our_own_kind_is_told_what_it_may_not(
    leader: Program, candidate: Candidate, hosts: str, auth_file: AuthFile, election: str, lines: tuple[str, ...]
) -> None:
    """A server takes any digest, also a mistyped one; only the ACLs tell, so it is they who have to be named."""
    options = ("--auth-file", auth_file(*lines)) if lines else ()
    line = line_of(candidate("b", *options, hosts=hosts), 77)
    assert line == f"cannot create a candidate in {election}: not permitted"
    leader.wait_for("event=renewed", after=len(leader.stderr))


@pytest.mark.parametrize(
    ("permissions", "what"),
    [
        ("cdwa", "read (our candidate in {} with the ACL given to it|the lease record {}/lease-0|the election {})"),
        ("crd", "write our candidate in {} with the ACL given to it"),
        ("rwd", "create the election {}"),
    ],
)
def test_what_an_acl_of_our_own_refuses_is_named(
    candidate: Candidate, hosts: str, auth_file: AuthFile, election: str, permissions: str, what: str
) -> None:
    """Who asks for too little learns which permission it was, and on what."""
    program = candidate("a", "--auth-file", auth_file(DIGEST), "--acl", f"auth::{permissions}", hosts=hosts)
    assert re.fullmatch(f"cannot ({what.replace('{}', election)}): not permitted", line_of(program, 77))


def test_an_acl_that_no_server_knows_is_77(candidate: Candidate, hosts: str, election: str) -> None:
    """Its syntax is right, its scheme may be a provider's that other ensembles have."""
    program = candidate("a", "--acl", "nobody:knows:r", hosts=hosts)
    assert line_of(program, 77) == f"cannot create a candidate in {election} with the ACL asked for: not permitted"


def test_a_stranger_may_look_and_not_steer(
    leader: Program, programs: Programs, hosts: str, auth_file: AuthFile, election: str
) -> None:
    """Who leads is no secret unless it is made one; who stops leading is for those who have the secret."""
    leader.wait_for("event=renewed")
    assert programs("is-leader", "-z", hosts, election, "--id", "a").wait() == 0
    status = programs("status", "-z", hosts, election)
    assert status.wait() == 0
    assert any(" a " in f"{line} " for line in status.stdout), status.stdout
    refusal = line_of(programs("resign", "-z", hosts, election), 77)
    assert re.fullmatch(rf"cannot write the candidate {election}/\S+: not permitted", refusal)
    rehearsal = programs("check", "-z", hosts, election)
    assert rehearsal.wait() == 77
    assert [line for line in rehearsal.stdout if line.startswith("FAIL  election") and "may not be written" in line]
    secret = auth_file(SASL)
    rehearsal = programs("check", "-z", hosts, "--auth-file", secret, election)
    assert rehearsal.wait() == 0
    assert any(line.startswith("ok    login") and line.endswith("authenticated by sasl") for line in rehearsal.stdout)
    assert any(line.startswith("ok    acl") for line in rehearsal.stdout)
    assert programs("resign", "-z", hosts, "--auth-file", secret, election).wait() == 0
    assert leader.wait() == 79


def test_what_is_hidden_is_hidden_from_those_who_look(
    candidate: Candidate, programs: Programs, hosts: str, auth_file: AuthFile, election: str
) -> None:
    """Host names and process ids are nobody's business, where an ACL says so."""
    secret = auth_file(DIGEST)
    token_of(candidate("a", "--auth-file", secret, "--acl", "auth::cdrwa", hosts=hosts))
    assert line_of(programs("status", "-z", hosts, election), 77).startswith(f"cannot read {election}")
    assert programs("status", "-z", hosts, "--auth-file", secret, election).wait() == 0


def test_a_program_leads_by_itself_with_the_same_secret(
    hosts: str, auth_file: AuthFile, stranger: KazooClient, election: str
) -> None:
    """The library takes part as `run` does, and others find its znodes as closed."""
    with Election(hosts, election, auth_file=auth_file(DIGEST, SASL), lease=4, grace=1).campaign() as candidate:
        assert candidate.wait_for_leadership(10)
        (name,) = candidates(stranger, election)
        for path in (election, f"{election}/lease-0", f"{election}/{name}"):
            assert identities(stranger.get_acls(path)[0]) == {("digest", ALL), ("sasl", ALL), ("world", 1)}
        strange = Election(hosts, election, lease=4, grace=1)
        with strange.campaign() as other, pytest.raises(NotPermittedError) as raised:
            other.wait_for_leadership(10)
        assert str(raised.value) == f"create a candidate in {election}"
    wrong = Election(hosts, election, auth_file=auth_file("sasl app:wrong"), lease=4, grace=1)
    with wrong.campaign() as candidate, pytest.raises(NotPermittedError) as raised:
        candidate.wait_for_leadership(10)
    assert raised.value.why == f"{hosts} refuses the user or the password of SASL"


def test_what_a_program_asks_for_is_looked_at_at_once(auth_file: AuthFile) -> None:
    """By the names of its arguments, before anything is connected."""
    secret = auth_file(DIGEST)
    Path(secret).chmod(0o644)
    for arguments, reason in (
        ({"auth_file": secret}, f"cannot use the authentication file {secret}: group or others have access to it"),
        ({"acl": "auth::r"}, "acl: its auth is whoever auth_file or tls_cert says we are"),
        ({"tls_ca": "/ca.pem"}, "tls_ca: it needs tls"),
        ({"tls": True, "tls_ca": "/none.pem"}, "cannot use the CA file /none.pem: no such file or directory"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            Election("127.0.0.1", "x", **arguments)  # type: ignore[arg-type]
        assert str(raised.value).startswith(reason)


# ---- passwords


def test_a_bad_password_is_77_at_once(candidate: Candidate, hosts: str, secured: Server, auth_file: AuthFile) -> None:
    """Not after a time-out, and not tried again: a user is locked out by such things elsewhere."""
    before = secured.log.read_text().count("SASL authentication failure")
    began = time.monotonic()
    program = candidate("a", "--auth-file", auth_file("sasl app:wrong"), hosts=hosts)
    assert line_of(program, 77) == f"cannot authenticate: {hosts} refuses the user or the password of SASL"
    assert time.monotonic() - began < 5
    assert secured.log.read_text().count("SASL authentication failure") == before + 1


def test_a_visit_is_refused_likewise(hosts: str) -> None:
    """Subcommands that only look connect in the same way."""
    wrong = Credential(scheme="sasl", user="app", password="wrong")
    access = Access(hosts=parse_hosts(hosts), credentials=(wrong,))
    with Client(access) as client, pytest.raises(NotPermittedError) as raised:
        client.connect(5)
    assert (str(raised.value), raised.value.why) == (
        "authenticate",
        f"{hosts} refuses the user or the password of SASL",
    )


def test_a_server_without_sasl_is_77(candidate: Candidate, zookeeper: Server, auth_file: AuthFile) -> None:
    """It answers with nothing; left to itself kazoo asks it thousands of times a second, for ever."""
    program = candidate("a", "--auth-file", auth_file(SASL), hosts=zookeeper.hosts)
    assert line_of(program, 77) == f"cannot authenticate: {zookeeper.hosts} does not authenticate by SASL"


def test_a_server_that_insists_on_sasl_is_served_or_77(
    candidate: Candidate, programs: Programs, auth_file: AuthFile, election: str
) -> None:
    """It hangs up on others with an error of its own, which was an internal error of ours."""
    with Server(users=USERS, jvm_options=("-Dzookeeper.sessionRequireClientSASLAuth=true",)) as server:
        program = candidate("a", "--auth-file", auth_file(SASL), hosts=server.hosts, command=("true",))
        assert program.wait() == 0
        program = candidate("a", hosts=server.hosts)
        wanted = f"cannot create a candidate in {election} without authentication: not permitted"
        assert line_of(program, 77) == wanted
        program = candidate("a", "--auth-file", auth_file("sasl app:wrong"), hosts=server.hosts)
        assert line_of(program, 77).endswith("refuses the user or the password of SASL")
        anything = "cannot ask ZooKeeper anything without authentication: not permitted"
        assert line_of(programs("status", "-z", server.hosts), 77) == anything
        assert line_of(programs("is-leader", "-z", server.hosts, election), 77) == anything
        assert line_of(programs("resign", "-z", server.hosts, election), 77).endswith(
            "without authentication: not permitted"
        )
        rehearsal = programs("check", "-z", server.hosts)
        assert rehearsal.wait() == 77
        assert any(line.startswith("FAIL  session") and line.endswith(anything) for line in rehearsal.stdout)


def test_a_password_that_is_changed_ends_leadership_and_then_the_run(
    candidate: Candidate, auth_file: AuthFile, beats: Path
) -> None:
    """The next connection tells; the command is stopped at once, and campaigning again is refused."""
    with Server(users=USERS) as server:
        options = ("--auth-file", auth_file(SASL), "--lease", "20s", "--grace", "1s", "--on-loss", "rejoin")
        program = candidate("a", *options, hosts=server.hosts)
        wait_acting(program, beats)
        server.set_users({"app": "another"})
        server.restart()
        program.wait_for("event=leadership_lost.*reason=authentication_failed")
        assert line_of(program, 77).endswith("refuses the user or the password of SASL")
        assert_promise(beats, tenures=1)


# ---- faults


@pytest.mark.parametrize("lines", [(DIGEST,), (SASL,)], ids=["digest", "sasl"])
def test_who_reconnects_authenticates_again(
    candidate: Candidate, secured: Server, auth_file: AuthFile, beats: Path, lines: tuple[str, ...]
) -> None:
    """Otherwise the first renewal after a moment's outage would be refused, and a healthy leader stopped."""
    with Proxy(secured.hosts) as proxy:
        program = candidate("a", "--auth-file", auth_file(*lines), hosts=proxy.hosts)
        token = wait_acting(program, beats)
        for _ in range(2):
            proxy.drop_connections()
            program.wait_for("event=reconnected", after=len(program.stderr))
            program.wait_for("event=renewed", after=len(program.stderr))
        program.signal(signal.SIGTERM)
        assert program.wait() == -signal.SIGTERM
        assert token_of(program) == token
        assert_promise(beats, tenures=1)


@pytest.mark.parametrize("lines", [(DIGEST,), (SASL,)], ids=["digest", "sasl"])
def test_a_killed_supervisor_is_released_for_by_who_has_its_secret(
    candidate: Candidate, hosts: str, auth_file: AuthFile, beats: Path, lines: tuple[str, ...]
) -> None:
    """The guard's program writes what only the leader may; without the secret the next one would wait for 20 s."""
    options = ("--auth-file", auth_file(*lines))
    assert_killed_is_released_for(lambda name, *more: candidate(name, *options, *more, hosts=hosts), beats)


def test_a_release_that_is_refused_says_why(
    candidate: Candidate, secured: Server, auth_file: AuthFile, beats: Path, connect: Connect, election: str
) -> None:
    """An operator has taken the right away; the guard's program reads it in the answer, not in a time-out."""
    program = candidate("a", "--auth-file", auth_file(DIGEST), "--lease", "20s", hosts=secured.hosts)
    wait_acting(program, beats)
    operator = connect(secured.hosts)
    operator.add_auth("digest", f"app:{USERS['app']}")
    for path in (f"{election}/{candidates(operator, election)[0]}", f"{election}/lease-0", election):
        operator.set_acls(path, [*READ_ACL_UNSAFE, make_acl("auth", "", admin=True)])
    program.signal(signal.SIGKILL)
    program.wait_for("supervisor died: .* not released")
    program.wait_for("cannot release: not permitted")


def test_command_lines_are_checked_at_once(programs: Programs, auth_file: AuthFile, tmp_path: Path) -> None:
    """Nothing is created before; what is wrong on the command line is 64, what is wrong in a file 78."""
    open_file = auth_file(DIGEST)
    Path(open_file).chmod(0o644)
    cases = {
        ("--acl", "world:anyone"): (64, "cannot use --acl: permission 1 is not SCHEME:ID:PERMS"),
        ("--acl", "auth::r"): (64, "cannot use --acl: its auth is whoever --auth-file or --tls-cert says we are"),
        ("--tls-ca", "/ca"): (64, "cannot use --tls-ca: it needs --tls"),
        ("--tls-no-verify",): (64, "cannot use --tls-no-verify: it needs --tls"),
        ("--auth-file", open_file): (78, f"cannot use the authentication file {open_file}: group or others"),
        ("--auth-file", str(tmp_path)): (78, f"cannot use the authentication file {tmp_path}: not a regular file"),
        ("--tls", "--tls-key", "/none"): (78, "cannot use the client key /none: there is no certificate for it"),
        ("--tls", "--tls-ca", "none"): (78, f"cannot use the CA file {tmp_path}/none: no such file or directory"),
        ("--tls", "--tls-ca", ""): (78, f"cannot use the CA file {tmp_path}: not a regular file"),
        ("--tls-ca", ""): (64, "cannot use --tls-ca: it needs --tls"),
    }
    started = {
        options: programs("run", "-z", "127.0.0.1:1", "-e", "x", *options, "true", cwd=tmp_path) for options in cases
    }
    for options, (status, text) in cases.items():
        assert line_of(started[options], status).startswith(text), options
    program = programs("run", "-z", "127.0.0.1:1", "-e", "x", "true", env={"ZKLEADER_TLS_CERT": "/c"})
    assert line_of(program, 64) == "cannot use ZKLEADER_TLS_CERT: it needs --tls"
