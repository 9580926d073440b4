"""--restart on a real server: the same tenure goes on without a command, and what can befall it meanwhile.

The pauses are long where a fault has to strike in one, so that no test has to hurry.
"""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from program import Program
from promise import assert_nothing_left, assert_promise, candidates, token_of, wait_acting
from proxy import Proxy
from waiting import wait_until
from zookeeper import Server

Programs = Callable[..., Program]
LONG = ("--restart", "always", "--restart-delay", "60s")


def runs(log: Path) -> list[str]:
    """Return the tokens of the runs so far."""
    return log.read_text().split() if log.exists() else []


def job(log: Path, then: str = "exit 3") -> tuple[str, ...]:
    """Return a command that writes its token when it runs."""
    return ("sh", "-c", f"echo $ZKLEADER_TOKEN >>{log}; {then}")


def waiting_to_restart(candidate: Candidate, log: Path, *options: str, **rest: object) -> Program:
    """Return a leader that leads without a command, for a minute."""
    program = candidate("a", *LONG, *options, command=job(log), **rest)
    program.wait_for("event=command_restarting")
    return program


def record_of(client: KazooClient, election: str) -> dict[str, object]:
    """Return the lease record."""
    content: dict[str, object] = json.loads(client.get(f"{election}/lease-0")[0])
    return content


def test_a_command_that_ends_is_started_again_in_the_same_tenure(
    candidate: Candidate, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """The same token, one guard for all of it, delays that double, and nobody else in between."""
    log = tmp_path / "log"
    first = candidate(
        "a", "--restart", "on-failure", "--restart-delay", "100ms", command=job(log, f"test $(wc -l <{log}) = 4")
    )
    second = candidate("b", "-n", command=("true",))
    assert first.wait() == 0
    assert second.wait() in (0, 75)
    assert runs(log) == [str(token_of(first))] * 4
    told = [line for line in first.stderr if "event=command_restarting" in line]
    assert [re.findall(r"(?:attempt|delay|status)=\S+", line) for line in told] == [
        ["status=1", f"delay={delay}", f"attempt={number}"] for number, delay in ((1, 0.1), (2, 0.2), (3, 0.4))
    ]
    assert sum("event=guard_ready" in line for line in first.stderr) == 1
    assert sum("event=released" in line for line in first.stderr) == 1
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@pytest.mark.parametrize(
    ("policy", "script", "status"),
    [("on-failure", "exit 0", 0), ("never", "exit 3", 3)],
)
def test_a_command_that_is_not_to_be_restarted_ends_us(
    candidate: Candidate, tmp_path: Path, policy: str, script: str, status: int
) -> None:
    """Status 0 is no failure."""
    log = tmp_path / "log"
    assert candidate("a", "--restart", policy, command=job(log, script)).wait() == status
    assert len(runs(log)) == 1


def test_a_death_of_a_signal_is_a_failure(candidate: Candidate, tmp_path: Path) -> None:
    """As a status other than 0."""
    log = tmp_path / "log"
    options = ("--restart", "on-failure", "--restart-delay", "50ms")
    program = candidate("a", *options, command=job(log, f"test $(wc -l <{log}) = 2 || kill -9 $$"))
    assert program.wait() == 0
    program.wait_for("event=command_restarting.*signal=SIGKILL")
    assert len(runs(log)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_in_a_pause_it_releases_at_once(
    candidate: Candidate,
    beats: Path,
    tmp_path: Path,
    kazoo_client: KazooClient,
    election: str,
    number: signal.Signals,
) -> None:
    """With the status of the last run; the successor does not wait for a lease of 20 s."""
    file = tmp_path / "result"
    slow = ("--lease", "20s", "--grace", "200ms")
    first = waiting_to_restart(candidate, tmp_path / "log", *slow, "--result", str(file))
    second = candidate("b", *slow)
    second.wait_for("event=waiting ")
    first.signal(number)
    assert first.wait() == 3
    wait_acting(second, beats, deadline=5)
    result = json.loads(file.read_text())
    assert (result["outcome"], result["reason"], result["command_status"]) == ("command_ended", "asked", 3)
    assert result["command_ran"] is True
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_signals_for_the_command_are_dropped_in_a_pause(candidate: Candidate, tmp_path: Path) -> None:
    """A reload must not end a service that is about to be started again."""
    log = tmp_path / "log"
    program = candidate("a", "--restart", "always", "--restart-delay", "2s", command=job(log))
    program.wait_for("event=command_restarting")
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        program.signal(number)
    program.wait_for("event=command_restarting.*attempt=2")
    program.signal(signal.SIGTERM)
    assert program.wait() == 3
    assert len(runs(log)) == 2


def test_asked_to_stop_it_is_not_started_again(candidate: Candidate, beats: Path) -> None:
    """The stop signal ends it, and that is not an end by itself."""
    program = candidate("a", "--restart", "always", "--restart-delay", "10ms")
    wait_acting(program, beats)
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM
    assert_promise(beats, tenures=1)


def test_renewing_goes_on_in_a_pause(
    candidate: Candidate, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """For longer than the lease; whoever waits goes on waiting."""
    log = tmp_path / "log"
    fast = ("--lease", "2s", "--grace", "100ms")
    first = candidate("a", *fast, "--restart", "always", "--restart-delay", "5s", command=job(log))
    first.wait_for("event=command_restarting")
    beat = record_of(kazoo_client, election)["beat"]
    second = candidate("b", *fast, "-w", "4s", command=("true",))
    assert second.wait() == 75
    now = record_of(kazoo_client, election)
    assert isinstance(beat, int)
    assert isinstance(now["beat"], int)
    assert now["beat"] > beat + 10
    wait_until(lambda: len(runs(log)) == 2, what="it is started again")
    assert runs(log) == [str(token_of(first))] * 2
    first.signal(signal.SIGTERM)
    assert first.wait() == 3


def test_a_loss_in_a_pause_starts_nothing(candidate: Candidate, beats: Path, tmp_path: Path, proxy: Proxy) -> None:
    """Cut off it ends with 79, and the successor is the only one that acts."""
    log = tmp_path / "log"
    first = candidate("a", "--restart", "always", "--restart-delay", "3.5s", hosts=proxy.hosts, command=job(log))
    first.wait_for("event=command_restarting")
    proxy.black_hole()
    second = candidate("b")
    assert first.wait() == 79
    wait_acting(second, beats, deadline=20)
    assert len(runs(log)) == 1
    first.assert_nothing_left()
    second.signal(signal.SIGTERM)
    second.wait()


def test_a_record_deleted_in_a_pause_is_a_loss_and_rejoin_goes_on(
    candidate: Candidate, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """The candidate is deleted: a new candidacy, a new tenure, and the command runs in that."""
    log = tmp_path / "log"
    first = waiting_to_restart(candidate, log, "--on-loss", "rejoin")
    [name] = candidates(kazoo_client, election)
    kazoo_client.delete(f"{election}/{name}")
    wait_until(lambda: len(runs(log)) == 2, what="it is run in another tenure")
    before, after = map(int, runs(log))
    assert after > before
    first.wait_for("event=leadership_lost.*reason=candidate_deleted")
    first.signal(signal.SIGTERM)
    assert first.wait() == 3
    assert_nothing_left(first, client=kazoo_client, election=election)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_guard_that_fails_in_a_pause(
    candidate: Candidate,
    beats: Path,
    tmp_path: Path,
    kazoo_client: KazooClient,
    election: str,
    number: signal.Signals,
) -> None:
    """70, released; the successor does not wait for the lease."""
    log = tmp_path / "log"
    first = waiting_to_restart(candidate, log)
    second = candidate("b")
    second.wait_for("event=waiting ")
    signal.pidfd_send_signal(os.pidfd_open(first.guard_pid()), number)
    assert first.wait() == 70
    wait_acting(second, beats, deadline=5)
    assert len(runs(log)) == 1
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_a_supervisor_killed_in_a_pause_is_released_for(
    candidate: Candidate, beats: Path, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """By the guard: a successor within a second, and not after a lease of 20 s."""
    slow = ("--lease", "20s", "--grace", "200ms")
    first = waiting_to_restart(candidate, tmp_path / "log", *slow)
    second = candidate("b", *slow)
    second.wait_for("event=waiting ")
    first.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    wait_acting(second, beats, deadline=5)
    took = time.monotonic() - killed_at
    print(f"a successor acts after {took:.3f} s")
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(first, second, client=kazoo_client, election=election)
    assert took < 2, "a second, and as much again for a loaded machine"


def test_a_supervisor_frozen_in_a_pause_starts_nothing_when_it_is_continued(
    candidate: Candidate, beats: Path, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Its delay has passed, and so has its lease."""
    log = tmp_path / "log"
    first = candidate("a", "--restart", "always", "--restart-delay", "3s", command=job(log))
    first.wait_for("event=command_restarting")
    second = candidate("b")
    second.wait_for("event=waiting ")
    first.pause()
    wait_acting(second, beats, deadline=20)
    first.resume()
    assert first.wait() == 79
    assert len(runs(log)) == 1
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_a_command_that_crashes_at_once_does_not_disturb_renewing(
    candidate: Candidate, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Twenty guards within a few leases of two seconds; the delays are kept from growing by the clock of the test."""
    log = tmp_path / "log"
    undelayed = "import zkleader.core.restart as restart, zkleader.__main__ as m\nrestart.STEADY_AFTER = 0.0\nm.main()"
    program = candidate(
        "a",
        *("--lease", "2s", "--grace", "100ms", "--restart", "always", "--restart-delay", "1ms"),
        command=job(log),
        program=(sys.executable, "-c", undelayed),
    )
    wait_until(lambda: len(runs(log)) >= 30, deadline=60, what="thirty runs")
    assert len(set(runs(log))) == 1
    assert not [line for line in program.stderr if "leadership_lost" in line]
    took = [float(found[1]) for line in program.stderr if (found := re.search(r"event=renewed.* took=(\S+)", line))]
    print(f"{len(runs(log))} runs, {len(took)} renewals, the slowest took {max(took, default=0):.3f} s")
    program.signal(signal.SIGTERM)
    assert program.wait() in (3, -signal.SIGTERM)
    assert_nothing_left(program, client=kazoo_client, election=election)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--restart", "always", "--once-per", "1h"),
        ("--restart", "on-failure", "--once-per", "1h"),
        ("--restart-delay", "2s"),
        ("--restart", "never", "--restart-delay", "2s"),
        ("--restart", "sometimes"),
        ("--restart", "always", "--restart-delay", "0"),
    ],
)
def test_what_contradicts_itself_is_64(programs: Programs, arguments: tuple[str, ...]) -> None:
    """One line, before anything is created."""
    program = programs("run", *arguments, "true")
    assert program.wait() == 64
    [line] = program.stderr
    assert "--restart" in line


def test_a_command_that_can_no_longer_be_executed_is_127(
    programs: Programs, zookeeper: Server, election: str, tmp_path: Path
) -> None:
    """It has taken itself away; the result says that it ran nevertheless."""
    script, file = tmp_path / "job", tmp_path / "result"
    script.write_text("#!/bin/sh\nrm $0\nexit 3\n")
    script.chmod(0o755)
    options = ("--restart", "always", "--restart-delay", "10ms", "--result", str(file))
    program = programs("run", "-z", zookeeper.hosts, "-e", election, *options, str(script))
    assert program.wait() == 127
    result = json.loads(file.read_text())
    assert (result["outcome"], result["command_ran"], result["command_status"]) == ("not_executed", True, 3)
