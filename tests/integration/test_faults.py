"""Faults under a real leader: the next one acts, and never beside the old one."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import LEASE, Candidate
from kazoo.client import KazooClient
from promise import assert_nothing_left, assert_promise, candidates, last_beat_age, wait_acting
from proxy import Proxy
from waiting import wait_until
from witness import beats_in, gaps, spans
from zookeeper import Ensemble, Server

STUBBORN = ("--ignore-term", "--daemonise", "--forks", "2")
"""A command that ignores the stop signal, forks, and has a copy in another session."""


def test_a_clean_hand_over_takes_no_lease(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """A command that ends is followed at once: the record is released when its tree is gone."""
    first = candidate("a", witness=("--lifetime", "1.5"))
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting.*predecessor_id=a")
    assert first.wait() == 0
    wait_acting(second, beats)
    second.signal(signal.SIGTERM)
    assert second.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=2)
    assert gaps(beats_in(beats))[0] < 1000
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
def test_a_killed_supervisor_is_released_for(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, witness: tuple[str, ...]
) -> None:
    """Killed by -9 it leaves nothing, and the successor acts without waiting for lease or session (20 s here)."""
    first = candidate("a", "--lease", "20s", "--grace", "200ms", witness=witness)
    wait_acting(first, beats)
    second = candidate("b", "--lease", "20s", "--grace", "200ms")
    second.wait_for("event=waiting ")
    first.signal(signal.SIGKILL)
    wait_acting(second, beats, deadline=5)
    first.assert_nothing_left(deadline=1)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
def test_a_frozen_supervisor_loses_in_time(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, witness: tuple[str, ...]
) -> None:
    """The guard ends the command at its deadline and releases; thawed, the supervisor reports 79."""
    first = candidate("a", witness=witness)
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    first.pause()
    wait_acting(second, beats)
    first.resume()
    assert first.wait() == 79
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_guard_that_fails_is_replaced_by_the_supervisor(
    candidate: Candidate,
    beats: Path,
    kazoo_client: KazooClient,
    election: str,
    witness: tuple[str, ...],
    number: signal.Signals,
) -> None:
    """Killed or frozen: the supervisor ends the command itself, releases, and says 70."""
    first = candidate("a", witness=witness)
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    guard = first.guard_pid()
    signal.pidfd_send_signal(os.pidfd_open(guard), number)
    wait_acting(second, beats)
    assert first.wait() == 70
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_a_dead_host_is_waited_out(candidate: Candidate, beats: Path) -> None:
    """Nobody releases for a host: the successor acts after the lease, with a greater token."""
    first = candidate("a")
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    first.die_as_host()
    wait_acting(second, beats, deadline=20)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)


@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
@pytest.mark.parametrize("direction", [None, "in", "out"], ids=["both", "in", "out"])
def test_a_partitioned_leader_is_gone_before_its_successor(
    candidate: Candidate,
    beats: Path,
    kazoo_client: KazooClient,
    election: str,
    proxy: Proxy,
    witness: tuple[str, ...],
    direction: str | None,
) -> None:
    """Bytes swallowed, one way or both: the deadline ends the command, healed late the supervisor reports 79."""
    first = candidate("a", hosts=proxy.hosts, witness=witness)
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    proxy.cut(direction)
    wait_acting(second, beats, deadline=20)
    proxy.heal()
    assert first.wait() == 79
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_an_operator_who_deletes_the_candidate_stops_the_command_at_once(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """The own znode is watched; the record is released early although the candidate is gone."""
    first = candidate("a", "--lease", "20s", "--grace", "1s")
    wait_acting(first, beats)
    second = candidate("b", "--lease", "20s", "--grace", "1s")
    second.wait_for("event=waiting ")
    kazoo_client.delete(f"{election}/{candidates(kazoo_client, election)[0]}")
    first.wait_for("event=leadership_lost.*reason=candidate_deleted", deadline=2)
    wait_acting(second, beats, deadline=5)
    assert first.wait() == 79
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@pytest.mark.parametrize("what", ["deleted", "garbage"])
def test_an_operator_who_destroys_the_record_ends_the_tenure(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, what: str
) -> None:
    """The next renewal finds out; the successor waits out the longest lease, which this test does not."""
    first = candidate("a")
    wait_acting(first, beats)
    if what == "deleted":
        kazoo_client.delete(f"{election}/lease-0")
    else:
        kazoo_client.set(f"{election}/lease-0", b"\xff garbage")
    assert first.wait() == 79
    second = candidate("b", "-w", "3s")
    second.wait_for(r"event=waiting_out_lease.*seconds=6\d", deadline=5)
    second.signal(signal.SIGTERM)
    assert second.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=1)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_an_outage_shorter_than_promised_disturbs_nobody(candidate: Candidate, beats: Path, proxy: Proxy) -> None:
    """The figure that the log tells at the start is ridden out: connections drop, freeze and come back."""
    first = candidate("a", "--lease", "10s", "--grace", "1s", hosts=proxy.hosts)
    token = wait_acting(first, beats)
    for outage in (0.0, 2.0, 4.0):
        proxy.cut()
        end = time.monotonic() + outage
        wait_until(lambda end=end: time.monotonic() >= end, what="the outage lasts")  # type: ignore[misc]
        proxy.heal()
        seen = len(first.stderr)
        first.wait_for("event=renewed", deadline=5, after=seen)
    proxy.drop_connections()
    first.wait_for("event=renewed", deadline=5, after=len(first.stderr))
    assert first.returncode is None
    assert last_beat_age(beats) < 1
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=1)
    assert token > 0


def test_restarting_the_only_server_disturbs_nobody(candidate: Candidate, beats: Path, own_zookeeper: Server) -> None:
    """A restart of some two seconds is shorter than what a lease of 20 s rides out."""
    first = candidate("a", "--lease", "20s", "--grace", "1s", hosts=own_zookeeper.hosts)
    wait_acting(first, beats)
    own_zookeeper.restart()
    first.wait_for("event=reconnected", deadline=10)
    first.wait_for("event=renewed", deadline=10, after=len(first.stderr))
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=1)


@pytest.mark.parametrize("fault", ["kill", "pause"])
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_server_that_fails_under_a_leader_disturbs_nobody(
    candidate: Candidate,
    beats: Path,
    ensemble: Ensemble,
    connect: Callable[[str], KazooClient],
    election: str,
    fault: str,
    role: str,
) -> None:
    """One of three servers dies or falls silent, whichever the candidate talks to: the command runs on."""
    victim = ensemble.leader() if role == "leader" else ensemble.followers()[0]
    # The victim alone at first, so that it is the one talked to; the others are added behind it.
    first = candidate("a", "--lease", "20s", "--grace", "1s", hosts=ensemble.hosts)
    token = wait_acting(first, beats)
    getattr(victim, fault)()
    wait_until(lambda: is_renewed_by_another(first.stderr, token), deadline=20, what="three more renewals")
    assert first.returncode is None
    first.signal(signal.SIGTERM)
    assert first.wait(20) == -signal.SIGTERM
    assert_promise(beats, tenures=1)
    if fault == "pause":
        victim.resume()
    ensemble.start_all()
    client = connect(ensemble.hosts)
    assert_nothing_left(first, client=client, election=election)


def is_renewed_by_another(lines: list[str], _token: int) -> bool:
    """Say whether three renewals were confirmed since the last trouble."""
    troubles = [index for index, line in enumerate(lines) if "suspended" in line or "server_silent" in line]
    last = troubles[-1] if troubles else 0
    return sum("event=renewed" in line for line in lines[last:]) >= 3


def test_a_black_holed_server_first_in_the_list_does_not_cost_the_leadership(
    candidate: Candidate, beats: Path, zookeeper: Server, proxy: Proxy
) -> None:
    """Connecting is capped: while a server can be reached, one that cannot be costs little."""
    proxy.black_hole()
    first = candidate("a", "--lease", "10s", "--grace", "1s", hosts=f"{proxy.hosts},{zookeeper.hosts}")
    wait_acting(first, beats, deadline=10)
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=1)


def test_nonblocking_runs_get_in_after_a_host_died(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """With -n alone (cron on every host) the lease of a dead host is waited out, or nobody would ever run again."""
    # So long a busy host may take to start the next one.
    first = candidate("a", "--lease", "8s", "--grace", "1s")
    wait_acting(first, beats)
    first.die_as_host()
    blocked = candidate("b", "-n")
    assert blocked.wait() == 75  # its candidate is there until its session expires
    wait_until(lambda: not candidates(kazoo_client, election), deadline=15, what="the dead host's session expires")
    second = candidate("c", "-n")
    wait_acting(second, beats, deadline=15)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)


def test_rejoining_after_a_loss_makes_a_new_tenure(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """`--on-loss rejoin`: a new guard, a new session and a new token; the old command is gone first."""
    first = candidate("a", "--on-loss", "rejoin")
    wait_acting(first, beats)
    kazoo_client.delete(f"{election}/{candidates(kazoo_client, election)[0]}")
    first.wait_for("event=campaigning_again", deadline=5)
    seen = len(first.stderr)
    first.wait_for("event=command_started", deadline=10, after=seen)
    wait_until(lambda: len(spans(beats_in(beats))) == 2, what="the second tenure acts")
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, client=kazoo_client, election=election)


def test_a_candidate_deleted_while_waiting_queues_again(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Own znode gone while waiting: a new candidacy, whatever --on-loss says."""
    first = candidate("a")
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    kazoo_client.delete(f"{election}/{candidates(kazoo_client, election)[1]}")
    second.wait_for("event=campaigning_again.*reason=candidate_deleted", deadline=5)
    second.wait_for("event=waiting ", deadline=5, after=len(second.stderr))
    first.signal(signal.SIGTERM)
    first.wait()
    wait_acting(second, beats)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


BROKEN = """
import sys
from zkleader import supervisor
from zkleader.cli import main
sound = supervisor.candidacy.next_step_in
def broken(state, now):
    if state.memory.led and now.held_since(state.chain.held.lease_start) > 1:
        raise RuntimeError("boom")
    return sound(state, now)
supervisor.candidacy.next_step_in = broken
main.main()
"""
"""The program with a fault of its own: it raises a second after it has become leader."""


def test_an_error_of_our_own_ends_the_command_and_releases(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """70, one line and no traceback; the next candidate need not wait for lease or session (20 s here)."""
    timing = ("--lease", "20s", "--grace", "1s")
    first = candidate("a", *timing, witness=("--daemonise",), program=(sys.executable, "-c", BROKEN))
    wait_acting(first, beats)
    second = candidate("b", *timing)
    second.wait_for("event=waiting ")
    assert first.wait() == 70
    assert any("internal error: RuntimeError: boom" in line for line in first.stderr)
    assert not any("Traceback" in line for line in first.stderr)
    wait_acting(second, beats, deadline=5)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_who_joined_behind_two_takes_over_from_the_second_without_a_lease_more(
    candidate: Candidate, beats: Path
) -> None:
    """Told of its turn by its predecessor's claim, it watches the record before the crash and not only after it."""
    first = candidate("a")
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting .*rank=1")
    third = candidate("c")
    third.wait_for("event=waiting .*rank=2")
    first.signal(signal.SIGTERM)
    wait_acting(second, beats)
    third.wait_for("event=waiting .*rank=1")
    second.die_as_host()
    elected = third.wait_for("event=elected", deadline=30)
    waits = [line for line in third.stderr if "event=waiting_out_lease" in line]
    assert elected
    # Its session took the lease to expire, and what is left of the wait after that is the margin, not a lease.
    assert all(float(line.partition("seconds=")[2].split()[0]) < LEASE / 2 for line in waits), waits
