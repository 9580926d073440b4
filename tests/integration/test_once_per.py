"""--once-per on real servers: hosts that come when their clocks strike, short jobs, and deaths at every stage.

A period of these tests is seconds, so a host's skew is played by starting it so much later; the candidates' times are
the server's either way.
"""

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from program import Program
from proxy import Proxy
from waiting import wait_until
from zookeeper import Server

Programs = Callable[..., Program]
PERIOD = 6.0
"""Seconds; longer than a dead host's lease (2 s) and what else it takes to replace it."""
FAST = ("--lease", "2s", "--grace", "100ms", "--once-per", f"{PERIOD}s")


def record(client: KazooClient, election: str) -> dict[str, Any]:
    """Return the lease record."""
    content: dict[str, Any] = json.loads(client.get(f"{election}/lease-0")[0])
    return content


def last_run(client: KazooClient, election: str) -> dict[str, Any]:
    """Return what the record says of the last run."""
    run: dict[str, Any] = record(client, election)["last_run"]
    return run


def runs(log: Path) -> list[str]:
    """Return the lines that the runs wrote: `begin HOST` and `end HOST`."""
    return log.read_text().splitlines() if log.exists() else []


def job(log: Path, name: str, seconds: float = 0.0, *, until: Path | None = None) -> tuple[str, ...]:
    """Return a command that writes when it begins and when it ends: after a time, or as soon as a file is there."""
    waits = f"sleep {seconds}" if until is None else f"while [ ! -e {until} ]; do sleep 0.02; done"
    return ("sh", "-c", f"echo begin {name} >>{log}; {waits}; echo end {name} >>{log}")


def test_five_hosts_run_a_job_of_milliseconds_once_in_each_period(
    programs: Programs, zookeeper: Server, election: str, tmp_path: Path
) -> None:
    """Their clocks differ by a third of the period: the last one comes long after the job has ended."""
    log = tmp_path / "log"
    periods = 3
    hosts = "abcde"
    begun = time.monotonic()
    strikes = sorted(
        (number * PERIOD + index * PERIOD / 3 / (len(hosts) - 1), name)
        for number in range(periods)
        for index, name in enumerate(hosts)
    )
    started = []
    for at, name in strikes:
        wait_until(lambda at=at: time.monotonic() >= begun + at, deadline=PERIOD, what="the clock strikes")
        where = ("-z", zookeeper.hosts, "-e", election, "--id", name)
        started.append(programs("run", *FAST, *where, "--", *job(log, name)))
    assert [program.wait() for program in started] == [0] * len(started)
    assert len([line for line in runs(log) if line.startswith("end")]) == periods


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("before its claim", "begin a, begin c, end c"),
        ("after its claim", "begin z, begin b, end b"),
        ("running, its supervisor", "begin a, begin b, end b"),
        ("running, frozen", "begin a, begin b, end b"),
        ("running", "begin a, begin b, end b"),
        ("before its release", "begin a, end a, begin b, end b"),
        ("after its release", "begin a, end a"),
    ],
)
def test_a_host_that_dies_is_replaced_by_one_other_unless_its_run_is_recorded(
    candidate: Candidate,
    election: str,
    tmp_path: Path,
    kazoo_client: KazooClient,
    proxy: Proxy,
    stage: str,
    expected: str,
) -> None:
    """At every stage of a run.  Only one that ended just before its host died is done twice: nobody knows of it."""
    log, stop = tmp_path / "log", tmp_path / "stop"
    started: list[Program] = []

    def start(name: str, command: tuple[str, ...], *options: str, hosts: str = "") -> Program:
        started.append(candidate(name, *FAST, *options, hosts=hosts, command=command))
        started[-1].wait_for("event=command_started" if len(started) == 1 else "event=waiting ")
        return started[-1]

    options: tuple[str, ...] = ()
    if stage == "after its claim":
        start("z", job(log, "z", 600))
        options = ("--lease", "3s")
    a = start("a", job(log, "a", until=stop), *options, hosts=proxy.hosts)
    survivors = [b, c] = [start("b", job(log, "b")), start("c", job(log, "c"))]
    if stage == "before its claim":
        b.die_as_host()
        survivors = [c]
        a.signal(signal.SIGKILL)
    elif stage == "after its claim":
        # So it is a quarter of a second before it can know of it, and half a one before it can have renewed.
        proxy.delay(0.25)
        started[0].signal(signal.SIGTERM)
        wait_until(lambda: record(kazoo_client, election)["id"] == "a", what="its claim is applied")
        proxy.cut()
        a.die_as_host()
        assert record(kazoo_client, election)["token"] is None
    elif stage == "running, its supervisor":
        a.signal(signal.SIGKILL)
    elif stage == "running, frozen":
        a.pause()
    elif stage == "running":
        a.die_as_host()
    elif stage == "before its release":
        a.pause()
        stop.touch()
        wait_until(lambda: not a.command_pids(), what="its command is gone")
        a.die_as_host()
        assert last_run(kazoo_client, election)["status"] is None
    else:
        stop.touch()
        wait_until(lambda: last_run(kazoo_client, election)["status"] == 0, what="its release is applied")
        a.die_as_host()
    assert [program.wait(20) for program in survivors] == [0] * len(survivors)
    assert runs(log) == expected.split(", ")
    done = last_run(kazoo_client, election)
    assert (f"end {done['id']}", done["status"]) == (runs(log)[-1], 0)


def test_what_was_done_stands_in_the_record(candidate: Candidate, election: str, kazoo_client: KazooClient) -> None:
    """With the release, in one write; its times are the server's."""
    program = candidate("a", *FAST, command=("sh", "-c", "exit 3"))
    assert program.wait() == 3
    run = last_run(kazoo_client, election)
    token = program.wait_for("event=elected").partition("token=")[2].split()[0]
    assert (run["id"], run["status"], run["token"], run["end"]) == ("a", 3, int(token), None)
    assert abs(time.time() * 1000 - int(str(run["start"]))) < 60_000
    again = candidate("b", *FAST, command=("sh", "-c", "exit 4"))
    assert again.wait() == 0
    again.wait_for("event=already_done")


def test_a_failed_run_is_retried_when_that_is_wanted(candidate: Candidate) -> None:
    """On another host, or by the next line of the same crontab."""
    assert candidate("a", *FAST, "--retry-failed", command=("sh", "-c", "exit 3")).wait() == 3
    assert candidate("b", *FAST, "--retry-failed", command=("true",)).wait() == 0
    third = candidate("c", *FAST, "--retry-failed", command=("sh", "-c", "exit 5"))
    assert third.wait() == 0
    third.wait_for("event=already_done")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_stopped_is_done_again(candidate: Candidate, tmp_path: Path, number: signal.Signals) -> None:
    """Somebody wanted this host to stop, not the job to be skipped."""
    log = tmp_path / "log"
    first = candidate("a", *FAST, command=job(log, "a", 600))
    first.wait_for("event=command_started")
    second = candidate("b", *FAST, command=job(log, "b"))
    second.wait_for("event=waiting ")
    first.signal(number)
    assert second.wait() == 0
    assert "end b" in runs(log)


def test_a_run_that_cannot_be_recorded_does_not_end_with_0(candidate: Candidate, proxy: Proxy, tmp_path: Path) -> None:
    """A network that is cut while the command ends: it will be run again, and the status says that it is not done."""
    stop = tmp_path / "stop"
    waits = f"import os, time\nwhile not os.path.exists({str(stop)!r}): time.sleep(0.01)"
    program = candidate("a", *FAST, hosts=proxy.hosts, command=(sys.executable, "-I", "-S", "-c", waits))
    program.wait_for("event=command_started")
    proxy.cut()
    stop.touch()
    assert program.wait() == 79
    assert any("cannot record that" in line for line in program.stderr)


def test_a_candidate_behind_a_run_that_takes_longer_than_half_a_period_finds_it_done(
    candidate: Candidate, tmp_path: Path
) -> None:
    """When it came counts, not when its turn comes."""
    log = tmp_path / "log"
    first = candidate("a", *FAST, command=job(log, "a", 0.7 * PERIOD))
    first.wait_for("event=command_started")
    second = candidate("b", *FAST, command=job(log, "b"))
    assert second.wait(20) == 0
    assert first.wait() == 0
    assert runs(log) == ["begin a", "end a"]


def test_wrong_combinations_are_64(programs: Programs) -> None:
    """Before anything is created, in one line."""
    for options in (("--once-per", "10s"), ("--retry-failed",), ("--once-per", "0")):
        program = programs("run", *options, "true")
        assert program.wait() == 64
        assert len(program.stderr) == 1
