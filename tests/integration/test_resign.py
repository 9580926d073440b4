"""`resign` on real servers: the leader steps down in order, whoever asked sees it, and nobody else is disturbed."""

import json
import re
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import LEASE, Candidate
from kazoo.client import KazooClient
from kazoo.security import make_acl
from program import Program
from promise import assert_nothing_left, assert_promise, candidates, wait_acting
from proxy import Proxy
from waiting import wait_until
from witness import beats_in
from zookeeper import Ensemble, Server

Resign = Callable[..., Program]
SHORT = ("--lease", "2s", "--grace", "200ms")


@pytest.fixture
def resign(programs: Callable[..., Program], zookeeper: Server, election: str) -> Resign:
    """Give `resign(*options, hosts=, election=)`: somebody who asks the leader of the test's election."""

    def start(*options: str, hosts: str = "", of: str = election, **rest: object) -> Program:
        return programs("resign", "-z", hosts or zookeeper.hosts, *options, of, **rest)

    return start


def concluded(program: Program, status: int, deadline: float = 15) -> str:
    """Wait for the end of who asked; return the last line on standard output."""
    assert program.wait(deadline) == status, program.report()
    assert program.stderr == []
    return program.stdout[-1]


def refused(program: Program, status: int, deadline: float = 15) -> str:
    """Wait for the end of who asked in vain; return the one line on standard error."""
    assert program.wait(deadline) == status, program.report()
    [line] = program.stderr
    return line


def tenures_in(beats: Path) -> set[int]:
    """Return the tokens of the tenures that have acted."""
    return {beat.token for beat in beats_in(beats)}


def test_the_leader_stops_its_command_while_it_goes_on_leading_and_then_releases(
    candidate: Candidate, resign: Resign, beats: Path, kazoo_client: KazooClient, election: str, tmp_path: Path
) -> None:
    """Its command takes longer than the lease to end: nobody else acts before it has."""
    result = tmp_path / "result"
    first = candidate("a", *SHORT, "--result", str(result), witness=("--linger", "3"))
    token = wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    asking = resign()
    asked = asking.wait_for("is asked to step down", stream="stdout")
    assert re.fullmatch(rf"a \(host \S+, token {token}\) is asked to step down by \S+ at \S+", asked)
    assert re.search(r"user=\S+ host=\S+", first.wait_for("event=resign_asked"))
    end = concluded(asking, 0)
    assert end.startswith("a (host ")
    assert "has stepped down: resigned" in end
    assert first.wait() == 79
    told = json.loads(result.read_text())
    assert (told["outcome"], told["reason"], told["exit_status"]) == ("resigned", "resigned", 79)
    assert told["command_status"] == 0
    wait_acting(second, beats)
    record = json.loads(kazoo_client.get(f"{election}/lease-0")[0])
    assert (record["previous"]["token"], record["previous"]["reason"]) == (token, "resigned")
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_under_rejoin_it_goes_to_the_end_of_the_queue(
    candidate: Candidate, resign: Resign, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Behind all who wait, and none of them is moved; asked again, the next one steps down."""
    programs = []
    for name in "abc":
        programs.append(candidate(name, "--on-loss", "rejoin"))
        programs[-1].wait_for("event=elected" if name == "a" else "event=waiting ")
    before = candidates(kazoo_client, election)
    for number in range(3):
        wait_acting(programs[number], beats)
        assert "has stepped down: resigned" in concluded(resign(), 0)
        programs[number].wait_for("event=campaigning_again .*reason=resigned")
        wait_until(lambda: len(candidates(kazoo_client, election)) == 3, what="three candidates")
        before = before[1:]
        assert candidates(kazoo_client, election)[: len(before)] == before
    wait_until(lambda: len(tenures_in(beats)) == 4, what="a leads again")
    assert all(program.returncode is None for program in programs)
    for program in reversed(programs):
        program.signal(signal.SIGTERM)
        program.wait()
    assert_promise(beats, tenures=4)


def test_frozen_beyond_its_lease_while_it_resigns_a_leader_has_lost(
    candidate: Candidate, resign: Resign, beats: Path
) -> None:
    """Its command is deaf, and the guard ends it at the deadline and releases: the log tells that, and nothing else."""
    first = candidate("a", "--on-loss", "rejoin", "--restart", "always", witness=("--ignore-term",))
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    asking = resign()
    first.wait_for("event=resign_asked")
    first.pause()
    wait_acting(second, beats)
    first.resume()
    concluded(asking, 0)
    first.wait_for("event=campaigning_again .*reason=lease_lapsed")
    assert sum("event=leadership_lost" in line for line in first.stderr) == 1
    assert not any("event=release_unconfirmed" in line for line in first.stderr)
    for program in (first, second):
        program.signal(signal.SIGTERM)
        program.wait()
    assert_promise(beats, tenures=2)


def test_alone_in_its_election_a_leader_that_rejoins_leads_again(
    candidate: Candidate, resign: Resign, beats: Path
) -> None:
    """Another tenure, which the request for the one before does not mean."""
    program = candidate("a", "--on-loss", "rejoin")
    wait_acting(program, beats)
    concluded(resign(), 0)
    wait_until(lambda: len(tenures_in(beats)) == 2, what="it leads again")
    program.signal(signal.SIGTERM)
    program.wait()
    assert sum("event=resign_asked" in line for line in program.stderr) == 1
    assert_promise(beats, tenures=2)


def test_what_others_have_in_the_queue_is_of_no_concern(
    candidate: Candidate, resign: Resign, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Other recipes, garbage, a megabyte, names without a number, and a candidate that somebody writes into."""
    first = candidate("a")
    wait_acting(first, beats)
    [own] = candidates(kazoo_client, election)
    for name, data in (
        ("lock-0000000000", b"\xff"),
        (f"{uuid.uuid4()}-n_9999999999", b"x" * 1_000_000),
        ("nobody", b"[]"),
        ("lease-x", b'{"format": 9}'),
    ):
        kazoo_client.create(f"{election}/{name}", data, ephemeral=True)
    for data in (b"", b"\x00", b'{"format": 1, "resign": {"token": 1}}', b'{"note": "rack 4"}'):
        kazoo_client.set(f"{election}/{own}", data)
    first.wait_for("event=renewed", after=len(first.stderr))
    assert "has stepped down: resigned" in concluded(resign(), 0)
    assert first.wait() == 79


def test_two_who_ask_at_once_are_both_told(candidate: Candidate, resign: Resign, beats: Path) -> None:
    """One of them writes, perhaps, and the other finds it asked for; the command is stopped once and not killed."""
    program = candidate("a", witness=("--linger", "0.5"))
    wait_acting(program, beats)
    both = [resign(), resign()]
    assert all("has stepped down: resigned" in concluded(one, 0) for one in both)
    assert program.wait() == 79
    assert sum("event=resign_asked" in line for line in program.stderr) == 1
    assert any("event=command_gone" in line and "killed=0" in line for line in program.stderr)


def test_who_does_not_want_to_wait_longer_leaves_the_request_behind(
    candidate: Candidate, resign: Resign, beats: Path
) -> None:
    """Status 75, and the leader steps down all the same, as after a TERM that nobody waits for."""
    program = candidate("a", witness=("--linger", "2"))
    token = wait_acting(program, beats)
    line = refused(resign("--wait", "500ms"), 75)
    assert re.search(
        rf"zkleader: cannot resign /\S+: a \(host \S+, token {token}\) has not stepped down within 0.5s", line
    )
    assert "has stepped down: resigned" in concluded(resign("--wait", "30s"), 0)
    assert program.wait() == 79


def test_ctrl_c_ends_it_quietly(candidate: Candidate, resign: Resign, beats: Path) -> None:
    """Who only stops to look on has no traceback to read."""
    program = candidate("a", witness=("--linger", "1"))
    wait_acting(program, beats)
    asking = resign()
    asking.wait_for("is asked", stream="stdout")
    asking.signal(signal.SIGINT)
    assert asking.wait() == -signal.SIGINT
    assert asking.stderr == []
    assert program.wait() == 79


def test_a_frozen_leader_is_stopped_and_released_by_its_guard(
    candidate: Candidate, resign: Resign, beats: Path
) -> None:
    """It does not hear of it; the end of its tenure is seen all the same."""
    program = candidate("a", witness=("--ignore-term",))
    wait_acting(program, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    program.pause()
    assert re.search("has stepped down: supervisor_gone(; b leads)?$", concluded(resign(), 0))
    program.resume()
    assert program.wait() == 79
    wait_acting(second, beats)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)


def test_a_leader_whose_host_is_gone_is_waited_out(
    candidate: Candidate, resign: Resign, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Nobody can release: its lease is seen to be over, and only then is that told."""
    program = candidate("a", *SHORT)
    wait_acting(program, beats)
    program.die_as_host()
    end = concluded(resign(), 0)
    assert end.endswith("has not released, and its lease is over")
    wait_until(lambda: not candidates(kazoo_client, election), deadline=2 * LEASE, what="its session is over")
    again = resign()
    assert "nobody leads: its last leader is gone without having released" in refused(again, 3)
    assert re.search(r"has left the queue without releasing; its lease is over in 2\.\d+s", again.stdout[0])


@pytest.mark.parametrize("how", ["reset", "cut"])
def test_who_asks_rides_out_an_outage(
    candidate: Candidate, resign: Resign, beats: Path, proxy: Proxy, how: str
) -> None:
    """Its connection is not the leader's: what happens meanwhile is found out afterwards."""
    program = candidate("a", witness=("--linger", "1"))
    wait_acting(program, beats)
    asking = resign(hosts=proxy.hosts)
    asking.wait_for("is asked", stream="stdout")
    if how == "reset":
        proxy.drop_connections()
    else:
        proxy.cut()
    assert program.wait() == 79
    proxy.heal()
    assert "has stepped down: resigned" in concluded(asking, 0, deadline=30)


def test_a_member_of_the_ensemble_may_die_meanwhile(
    candidate: Candidate, resign: Resign, beats: Path, ensemble: Ensemble
) -> None:
    """Leader and asker go on to another server, the request with them."""
    program = candidate("a", "--lease", "10s", hosts=ensemble.hosts, witness=("--linger", "3"))
    wait_acting(program, beats)
    asking = resign(hosts=ensemble.hosts)
    asking.wait_for("is asked", stream="stdout")
    ensemble.leader().kill()
    assert program.wait() == 79
    assert "has stepped down: resigned" in concluded(asking, 0, deadline=30)


# ---- nobody to ask


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"x" * 1_000_000, 3, "nobody leads: its lease record cannot be read (not JSON)"),
        (b'{"format": 1, "holder": 7}', 3, "cannot be read (field holder is missing or of the wrong type)"),
        (b'{"format": 3}', 78, "its lease record has format 3, and this version knows formats 1 and 2"),
        (b'{"format": 1, "holder": "", "beat": 0, "lease_ms": 60000, "released": true}', 3, "nobody leads"),
    ],
)
def test_a_record_that_names_nobody_is_told_in_one_line(
    resign: Resign, kazoo_client: KazooClient, election: str, data: bytes, status: int, said: str
) -> None:
    """Whatever others have written there."""
    kazoo_client.create(f"{election}/lease-0", data, makepath=True)
    line = refused(resign(), status)
    assert line.startswith(f"zkleader: cannot resign {election}: ")
    assert line.endswith(said)


def test_where_there_is_nothing_nothing_is_made(
    resign: Resign, chroot: str, kazoo_client: KazooClient, election: str
) -> None:
    """Looking for a leader leaves no trace: neither the chroot nor the election."""
    assert refused(resign(hosts=chroot), 4) == f"zkleader: cannot resign {election}: no such election"
    assert not kazoo_client.exists("/" + chroot.partition("/")[2])
    kazoo_client.create(election, makepath=True)
    assert refused(resign(), 3) == f"zkleader: cannot resign {election}: nobody leads"
    assert kazoo_client.get_children(election) == []


def test_without_the_permission_it_is_77(
    candidate: Candidate, resign: Resign, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Who may read and not write sees the leader, and cannot ask it; who may not read sees nothing."""
    program = candidate("a")
    wait_acting(program, beats)
    [own] = candidates(kazoo_client, election)
    kazoo_client.set_acls(f"{election}/{own}", [make_acl("world", "anyone", read=True)])
    assert refused(resign(), 77) == f"zkleader: cannot write the candidate {election}/{own}: not permitted"
    assert program.returncode is None
    kazoo_client.set_acls(f"{election}/lease-0", [make_acl("world", "anyone", write=True)])
    assert refused(resign(), 77) == f"zkleader: cannot read the election {election}: not permitted"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("x", "--wait", "0"), 64, "cannot use --wait: '0' must be more than zero"),
        (("a//b",), 64, "cannot use ELECTION: "),
        ((), 64, "cannot use the command line: no election was given"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_64(
    programs: Callable[..., Program], words: tuple[str, ...], status: int, said: str
) -> None:
    """One line, before anything is done."""
    program = programs("resign", *words)
    assert program.wait() == status
    [line] = program.stderr
    assert said in line


def test_an_ensemble_that_cannot_be_reached_is_69(resign: Resign, own_zookeeper: Server) -> None:
    """One that accepts and never answers likewise; neither takes longer than it may, and a wait changes nothing."""
    own_zookeeper.pause()
    line = refused(resign("--connect-timeout", "1s", "--wait", "200ms", hosts=own_zookeeper.hosts), 69, deadline=4)
    assert line.startswith(f"zkleader: cannot reach ZooKeeper at {own_zookeeper.hosts} within 1s: ")
    own_zookeeper.kill()
    assert "refused" in refused(resign("--connect-timeout", "500ms", hosts=own_zookeeper.hosts), 69, deadline=4)
