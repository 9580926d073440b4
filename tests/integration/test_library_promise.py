"""The promise in an election of programs that lead by themselves and of `run`: the same election, one leader."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import GRACE, LEASE, Candidate
from program import Program
from promise import assert_promise, is_acting, wait_acting
from proxy import Proxy
from waiting import wait_until
from witness import beats_in, gaps
from zookeeper import Server

LEADER = Path(__file__).with_name("library_leader.py")
Library = Callable[..., Program]


@pytest.fixture
def library(programs: Callable[..., Program], zookeeper: Server, election: str, beats: Path) -> Library:
    """Give `library(id, *options, hosts=)`: a program that leads by itself in the test's election."""

    def start(name: str, *options: str, hosts: str = "", lease: float = LEASE) -> Program:
        line = (str(beats), hosts or zookeeper.hosts, election, name, str(lease), str(GRACE))
        return programs(*line, *options, command=(sys.executable, str(LEADER)))

    return start


def token_of(leader: Program, deadline: float = 15.0) -> int:
    """Return the token with which a program leads by itself; wait for it."""
    line = leader.wait_for("^Leading", deadline=deadline)
    return int(line.partition("token=")[2].rstrip(")"))


def test_leadership_goes_to_and_fro_between_a_program_and_run(
    candidate: Candidate, library: Library, beats: Path
) -> None:
    """One resigns, the other's command ends: at once, one after the other, and tokens rise."""
    first = library("lib")
    token_of(first)
    second = candidate("run", witness=("--lifetime", "1"))
    second.wait_for("event=waiting .*predecessor_id=lib")
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    wait_acting(second, beats)
    third = library("lib2")
    third.wait_for(r"^Waiting\(rank=1\)")
    assert second.wait() == 0
    wait_until(lambda: is_acting(beats, token_of(third)), what="the program acts again")
    third.signal(signal.SIGTERM)
    assert third.wait() == 0
    assert_promise(beats, tenures=3)
    assert max(gaps(beats_in(beats))) < 1000


@pytest.mark.parametrize("mode", ["--to-the-end", "--by-deadline"])
def test_a_program_cut_off_that_acts_as_long_as_it_may_is_followed_later(
    library: Library, candidate: Candidate, beats: Path, proxy: Proxy, mode: str
) -> None:
    """It is told of the loss before its deadline, and its deadline comes before its successor's start."""
    first = library("lib", mode, hosts=proxy.hosts)
    token = token_of(first)
    wait_until(lambda: is_acting(beats, token), what="it acts")
    second = candidate("run")
    second.wait_for("event=waiting ")
    proxy.cut()
    first.wait_for("^Suspected", deadline=5)
    first.wait_for("^Lost.*lease_lapsed", deadline=5)
    wait_acting(second, beats, deadline=20)
    proxy.heal()
    assert first.wait() == 79
    second.signal(signal.SIGTERM)
    assert second.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=2)


def test_a_run_that_is_cut_off_is_followed_by_a_program(
    library: Library, candidate: Candidate, beats: Path, proxy: Proxy
) -> None:
    """The other way round."""
    first = candidate("run", hosts=proxy.hosts)
    wait_acting(first, beats)
    second = library("lib")
    second.wait_for(r"^Waiting\(rank=1\)")
    proxy.cut()
    wait_until(lambda: is_acting(beats, token_of(second, 20)), what="the program acts")
    proxy.heal()
    assert first.wait() == 79
    second.signal(signal.SIGTERM)
    assert second.wait() == 0
    assert_promise(beats, tenures=2)


def test_a_program_that_is_killed_is_waited_out(library: Library, candidate: Candidate, beats: Path) -> None:
    """Nobody releases for it: without a guard nobody knows what it has left behind."""
    first = library("lib", "--to-the-end")
    wait_until(lambda: is_acting(beats, token_of(first)), what="it acts")
    second = candidate("run")
    second.wait_for("event=waiting ")
    first.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    wait_acting(second, beats, deadline=15)
    # Less the interval of renewals: that long before it was killed it may have written the last time.
    assert time.monotonic() - killed_at > LEASE - LEASE / 10 - 0.1
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)


def test_a_program_that_was_frozen_finds_that_it_has_lost(library: Library, candidate: Candidate, beats: Path) -> None:
    """It may begin nothing any more, whatever it believed before."""
    first = library("lib")
    wait_until(lambda: is_acting(beats, token_of(first)), what="it acts")
    second = candidate("run")
    second.wait_for("event=waiting ")
    first.pause()
    wait_acting(second, beats, deadline=20)
    first.resume()
    assert first.wait() == 79
    assert first.wait_for("^Lost", deadline=1)
    second.signal(signal.SIGTERM)
    second.wait()
