"""TLS on real servers: it is verified, it costs no leadership, and what is wrong with it is said."""

import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from candidate import Candidate
from cryptography.x509 import load_pem_x509_certificate
from keys import Authority
from program import Program
from promise import assert_killed_is_released_for, assert_promise, candidates, token_of, wait_acting
from waiting import wait_until
from zookeeper import Ensemble, Server

from zkleader import Election, UnreachableError

Programs = Callable[..., Program]


@pytest.fixture
def trusting(authority: Authority) -> tuple[str, ...]:
    """Options for whom it is enough to verify the servers."""
    return ("--tls", "--tls-ca", str(authority.file))


@pytest.fixture
def certified(authority: Authority, trusting: tuple[str, ...]) -> tuple[str, ...]:
    """Options for whom the servers verify as well."""
    return (*trusting, "--tls-cert", str(authority.issue("client", common_name="client")))


@pytest.fixture(scope="module")
def _secured_ensemble(authority: Authority) -> Iterator[Ensemble]:
    keys = authority.server_settings(authority.issue("localhost"), client_auth="need")
    with Ensemble(3, tls=keys) as ensemble:
        yield ensemble


@pytest.fixture
def secured_ensemble(_secured_ensemble: Ensemble) -> Iterator[Ensemble]:
    """Three servers that want certificates, and are all called localhost; each test finds all of them up."""
    _secured_ensemble.start_all()
    yield _secured_ensemble
    for server in _secured_ensemble:
        server.resume()


def server_of(program: Program, ensemble: Ensemble, after: int = 0) -> Server:
    """Return the server that the program has connected to."""
    line = program.wait_for(r"event=(re)?connected ", after=after)
    port = int(line.partition("server=127.0.0.1:")[2].split()[0])
    return next(server for server in ensemble if server.secure_port == port)


def trouble_of(program: Program, deadline: float = 8.0) -> str:
    """Return why the program could not reach ZooKeeper, with the name of the server left out."""
    assert program.wait(deadline) == 69
    (line,) = [line for line in program.stderr if line.startswith("zkleader: ")]
    assert line.startswith("zkleader: cannot reach ZooKeeper at "), line
    return line.partition(" within ")[2].partition(": 127.0.0.1:")[2].partition(" ")[2]


# ---- leading


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_leader_goes_on_through_another_server(
    candidate: Candidate, secured_ensemble: Ensemble, certified: tuple[str, ...], beats: Path, fault: str
) -> None:
    """Every handshake again, with the names that the user gave, in what is left of the lease; nothing is disturbed.

    A frozen server is left by cutting the connection, for which the socket must be kept through its handshake.
    """
    options = ("--lease", "10s", "--grace", "1s", *certified)
    leader = candidate("a", *options, hosts=secured_ensemble.secure_hosts)
    wait_acting(leader, beats)
    token = token_of(leader)
    server = server_of(leader, secured_ensemble)
    seen = len(leader.stderr)
    getattr(server, fault)()
    assert server_of(leader, secured_ensemble, after=seen) is not server
    leader.wait_for("event=renewed", after=len(leader.stderr))
    server.resume()
    leader.signal(signal.SIGTERM)
    assert leader.wait() == -signal.SIGTERM
    assert token_of(leader) == token
    assert_promise(beats, tenures=1)


def test_a_host_that_dies_is_followed(
    candidate: Candidate, secured_ensemble: Ensemble, certified: tuple[str, ...], beats: Path
) -> None:
    """The whole way under TLS: candidates, watches, the wait for a lease, a claim."""
    first = candidate("a", *certified, hosts=secured_ensemble.secure_hosts)
    wait_acting(first, beats)
    second = candidate("b", *certified, hosts=secured_ensemble.secure_hosts)
    second.wait_for("event=waiting ")
    first.die_as_host()
    wait_acting(second, beats)
    second.signal(signal.SIGTERM)
    assert second.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=2)


def test_a_killed_supervisor_is_released_for_with_its_certificate(
    candidate: Candidate, secured_ensemble: Ensemble, certified: tuple[str, ...], beats: Path
) -> None:
    """The guard's program speaks TLS as well, verifies the same names, and shows the same certificate."""
    hosts = secured_ensemble.secure_hosts
    assert_killed_is_released_for(lambda name, *more: candidate(name, *certified, *more, hosts=hosts), beats)


def test_a_certificate_may_be_what_an_acl_asks_for(
    candidate: Candidate,
    secured: Server,
    authority: Authority,
    trusting: tuple[str, ...],
    election: str,
    beats: Path,
) -> None:
    """Hosts have one each, so they are named; who shows none, or another, is a stranger."""
    files = [authority.issue(name, common_name=name) for name in ("host1", "host2", "host3")]
    subjects = [load_pem_x509_certificate(file.read_bytes()).subject.rfc4514_string() for file in files]
    names = [subject.replace("#", "\\#") for subject in subjects]  # as Java writes them
    acl = ",".join([*(f"x509:{name}:cdrwa" for name in names[:2]), "world:anyone:r"])
    options = [(*trusting, "--tls-cert", str(file), "--acl", acl) for file in files]
    first = candidate("a", *options[0], hosts=secured.secure_hosts)
    wait_acting(first, beats)
    for other in (options[2], trusting):
        stranger = candidate("c", *other, hosts=secured.secure_hosts)
        assert stranger.wait() == 77
        assert stranger.stderr[-1] == f"zkleader: cannot create a candidate in {election}: not permitted"
    second = candidate("b", *options[1], hosts=secured.secure_hosts)
    first.signal(signal.SIGTERM)
    wait_acting(second, beats)
    assert_promise(beats, tenures=2)


def test_what_is_said_at_the_start_names_it(
    candidate: Candidate, secured: Server, trusting: tuple[str, ...], auth_file: Callable[..., str]
) -> None:
    """At three in the morning somebody has to know whether this one was started without verification."""
    options = ("--auth-file", auth_file("digest app:x", "sasl app:correct horse"))
    program = candidate("a", *trusting, *options, hosts=secured.secure_hosts, command=("true",))
    program.wait_for("event=campaigning .*tls=verified authentication=digest,sasl")
    program = candidate("b", "--tls", "--tls-no-verify", *options, hosts=secured.secure_hosts, command=("true",))
    program.wait_for("event=campaigning .*tls=not_verified")
    assert program.wait() == 0


def test_visits_speak_it_too(
    programs: Programs, candidate: Candidate, secured_ensemble: Ensemble, certified: tuple[str, ...], election: str
) -> None:
    """A rehearsal in plain text would be one of something else; servers are asked by TLS who they are as well."""
    hosts = ("-z", secured_ensemble.secure_hosts)
    leader = candidate("a", *certified, hosts=secured_ensemble.secure_hosts)
    token_of(leader)
    rehearsal = programs("check", *hosts, *certified, election)
    assert rehearsal.wait(20) == 0
    said = "\n".join(rehearsal.stdout)
    assert said.count("3.8.0, ") == len(secured_ensemble), said
    assert re.search(r"^ok    tls +servers are verified by their names$", said, re.MULTILINE)
    rehearsal = programs("check", *hosts, *certified, "--tls-no-verify", election)
    assert rehearsal.wait(20) == 0
    assert any(line.startswith("warn  tls ") for line in rehearsal.stdout)
    assert programs("status", *hosts, *certified, election).wait() == 0
    assert programs("resign", *hosts, *certified, election).wait() == 0
    assert leader.wait() == 79


def test_a_program_leads_by_itself_over_it(secured_ensemble: Ensemble, authority: Authority, election: str) -> None:
    """The library takes what `run` takes."""
    certificate = str(authority.issue("client", common_name="client"))
    arguments = {"tls": True, "tls_ca": str(authority.file), "tls_cert": certificate, "lease": 4, "grace": 1}
    with Election(secured_ensemble.secure_hosts, election, **arguments).campaign() as candidate:  # type: ignore[arg-type]
        assert candidate.wait_for_leadership(10)
    trustful = Election(secured_ensemble.secure_hosts, election, tls=True, connect_timeout=1)
    untrusted = pytest.raises(UnreachableError, match="has a certificate that no authority trusted here has signed")
    with trustful.campaign() as candidate, untrusted:
        candidate.wait_for_leadership(10)


# ---- what is wrong


def test_each_cause_is_told(
    programs: Programs, secured: Server, secured_ensemble: Ensemble, trusting: tuple[str, ...], tmp_path: Path
) -> None:
    """All of them are "Connection time-out" to kazoo."""
    stranger = Authority(tmp_path)
    port = secured.secure_port
    cases = {
        (f"localhost:{port}", "--tls"): "has a certificate that no authority trusted here has signed",
        (f"localhost:{port}", "--tls", "--tls-ca", str(stranger.file)): (
            "has a certificate that no authority trusted here has signed"
        ),
        (f"127.0.0.1:{port}", *trusting): "has a certificate that is not for 127.0.0.1",
        (f"127.0.0.1:{port}",): "speaks TLS (see --tls)",
        (secured.hosts, *trusting): "hangs up in the TLS handshake (is this a plaintext port?)",
        (secured_ensemble.secure_hosts, *trusting): "wants a client certificate (see --tls-cert)",
        (secured_ensemble.secure_hosts, *trusting, "--tls-cert", str(stranger.issue("client"))): (
            "refuses our client certificate (certificate unknown)"
        ),
    }
    # The first handshake of a Java takes a second.
    assert programs("run", "-z", secured.secure_hosts, "-e", "/warm", *trusting, "true").wait() == 0
    line = ("run", "-e", "x", "--connect-timeout", "3s", "-z")
    started = {options: programs(*line, *options, "true") for options in cases}
    for options, wanted in cases.items():
        assert trouble_of(started[options]) == wanted, options


def test_an_expired_certificate_is_told(programs: Programs, authority: Authority, trusting: tuple[str, ...]) -> None:
    """The classic: it worked for a year."""
    keys = authority.server_settings(authority.issue("localhost", common_name="expired", begins=-2, ends=-1))
    with Server(tls=keys) as server:
        line = ("run", "-z", server.secure_hosts, "-e", "x", "--connect-timeout", "2s", *trusting, "true")
        assert trouble_of(programs(*line)) == "has a certificate that has expired"


def test_a_server_that_never_shakes_hands_is_not_waited_for(programs: Programs, trusting: tuple[str, ...]) -> None:
    """A frozen one: its kernel accepts, and nothing follows."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"localhost:{silent.getsockname()[1]}"
        line = ("run", "-z", hosts, "-e", "x", "--connect-timeout", "1s", *trusting, "true")
        assert trouble_of(programs(*line), 5) == "does not finish the TLS handshake within 0.8 s"


def test_a_silent_server_first_in_the_list_costs_a_moment(
    candidate: Candidate, secured: Server, trusting: tuple[str, ...]
) -> None:
    """The handshake has the cap of a connection; kazoo's would have taken the whole session timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"localhost:{silent.getsockname()[1]},{secured.secure_hosts}"
        for name in ("a", "b", "c"):  # kazoo shuffles
            program = candidate(name, *trusting, hosts=hosts, command=("true",))
            assert program.wait(5) == 0


def test_files_are_read_for_each_connection(
    candidate: Candidate, secured: Server, authority: Authority, beats: Path, tmp_path: Path
) -> None:
    """An authority that is replaced on the disk is in force from the next connection on, without a restart."""
    file, stranger = tmp_path / "trusted.pem", tmp_path / "stranger"
    stranger.mkdir()
    file.write_bytes(Authority(stranger).file.read_bytes())
    program = candidate("a", "--tls", "--tls-ca", str(file), hosts=secured.secure_hosts)
    renewed = tmp_path / "renewed.pem"
    renewed.write_bytes(authority.file.read_bytes())
    program.wait_for("event=campaigning")
    renewed.replace(file)
    wait_acting(program, beats)


def test_a_stranger_to_the_certificate_has_not_even_a_look(
    secured_ensemble: Ensemble,
    candidate: Candidate,
    certified: tuple[str, ...],
    trusting: tuple[str, ...],
    election: str,
    connect: Callable[..., object],
) -> None:
    """Where the servers want certificates, those without are not let in at all."""
    leader = candidate("a", *certified, hosts=secured_ensemble.secure_hosts)
    token_of(leader)
    stranger = candidate("b", *trusting, "--connect-timeout", "1s", hosts=secured_ensemble.secure_hosts)
    assert stranger.wait() == 69
    operator = connect(secured_ensemble.hosts)
    assert len(candidates(operator, election)) == 1
    wait_until(lambda: leader.returncode is None, what="it leads on")
