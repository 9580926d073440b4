"""Hooks on a real server: in their turn, with the lease, and never beside another host's.

Where it matters that two do not overlap, hooks are witnesses too: their beats count as those of the command do.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from container import CONTAINER, why_not
from kazoo.client import KazooClient
from program import Program
from promise import assert_nothing_left, assert_promise, candidates, token_of, wait_acting
from proxy import Proxy
from waiting import wait_until
from zookeeper import Server

Programs = Callable[..., Program]
WITNESS = Path(__file__).resolve().parent.parent / "witness.py"

SLOW = ("--lease", "20s", "--grace", "200ms")
"""A lease that no test waits for."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def saying(log: Path, what: str, then: str = "") -> str:
    """Return a shell's line that says what runs, under which token and for which reason, and then does something."""
    return f"echo {what} $ZKLEADER_TOKEN $ZKLEADER_REASON >>{log}; {then}"


def hooks(log: Path, elected: str = "", lost: str = "") -> tuple[str, ...]:
    return ("--on-elected", saying(log, "on-elected", elected), "--on-lost", saying(log, "on-lost", lost))


def command(log: Path, then: str = "exit 3") -> tuple[str, ...]:
    return ("sh", "-c", saying(log, "command", then))


def acting(beats: Path, *options: str) -> str:
    """Return a shell's line that is a witness, as a hook."""
    return " ".join((sys.executable, "-I", "-S", str(WITNESS), str(beats), *options))


def previous(client: KazooClient, election: str) -> dict[str, object]:
    """Return what the lease record says of the last tenure."""
    content: dict[str, object] = json.loads(client.get(f"{election}/lease-0")[0])["previous"]
    return content


def test_hooks_run_before_and_after_the_command(
    candidate: Candidate, log: Path, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """And the command's status is ours; its standard output is its own."""
    file = tmp_path / "result"
    line = ("sh", "-c", saying(log, "command", "echo data; exit 3"))
    first = candidate("a", *hooks(log, "echo chatter", "echo chatter"), "--result", str(file), command=line)
    assert first.wait() == 3
    token = token_of(first)
    assert lines(log) == [f"on-elected {token} elected", f"command {token}", f"on-lost {token} ended"]
    assert first.stdout == ["data"]
    assert first.stderr.count("chatter") == 2
    told = [line for line in first.stderr if "event=hook_" in line or "event=released" in line]
    events = [line.partition("event=")[2].split()[0] for line in told]
    assert events == ["hook_started", "hook_ended", "hook_started", "hook_ended", "released"]
    assert json.loads(file.read_text())["command_ran"] is True
    assert_nothing_left(first, client=kazoo_client, election=election)


def test_a_failed_on_elected_steps_down(
    candidate: Candidate, log: Path, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """79, one line, no command; on-lost undoes what was done, and the next one leads at once."""
    file = tmp_path / "result"
    first = candidate("a", *SLOW, *hooks(log, "sleep 1; exit 7"), "--result", str(file), command=command(log))
    wait_until(lambda: lines(log))
    second = candidate("b", *SLOW, command=("true",))
    assert first.wait() == 79
    assert second.wait(6) == 0
    token = token_of(first)
    assert lines(log) == [f"on-elected {token} elected", f"on-lost {token} on_elected_failed"]
    assert "zkleader: cannot start sh: --on-elected ended with status 7" in first.stderr
    result = json.loads(file.read_text())
    assert (result["outcome"], result["command_ran"], result["exit_status"]) == ("on_elected_failed", False, 79)
    assert_nothing_left(first, client=kazoo_client, election=election)


def test_an_on_elected_that_takes_too_long_is_told_as_such(candidate: Candidate) -> None:
    """That it died of a signal would have somebody look for whoever has sent it."""
    hook = ("--on-elected", "sleep 60", "--hook-timeout", "200ms")
    first = candidate("a", *hook, command=("true",))
    assert first.wait() == 79
    assert first.stderr[-1] == (
        "zkleader: cannot start true: --on-elected died of signal 9 "
        "(killed, if it took longer than --hook-timeout 0.2s)"
    )


def test_a_host_that_is_not_ready_rejoins_after_a_while(
    candidate: Candidate, log: Path, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """With delays that double, not in a loop as fast as the host can; and it leads when it is ready."""
    ready = tmp_path / "ready"
    options = ("--on-loss", "rejoin", "--on-elected", saying(log, "on-elected", f"test -e {ready}"))
    first = candidate("a", *options, command=command(log, "exec sleep 60"))
    wait_until(lambda: len(lines(log)) == 2, deadline=10)
    # The second failure keeps it out of the queue for two seconds.
    wait_until(lambda: candidates(kazoo_client, election) == [], deadline=1.9, what="it is out of the queue")
    ready.touch()
    first.wait_for("event=command_started", deadline=10)
    assert len(lines(log)) == 4
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    pauses = [line for line in first.stderr if "event=campaigning_again" in line]
    assert all("reason=on_elected_failed" in line for line in pauses)


def test_hooks_of_two_hosts_never_overlap(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """On-lost daemonises and ignores SIGTERM; on-elected of the next one begins when all of it is gone."""
    elected = acting(beats, "--lifetime", "0.3")
    lost = acting(beats, "--lifetime", "0.5", "--ignore-term", "--daemonise", "--forks", "2")
    both = ("--on-elected", elected, "--on-lost", lost)
    first = candidate("a", *SLOW, *both)
    wait_acting(first, beats)
    first.wait_for("event=command_started")
    second = candidate("b", *SLOW, *both)
    second.wait_for("event=waiting ")
    first.signal(signal.SIGTERM)
    wait_acting(second, beats, deadline=8)
    assert first.wait() == -signal.SIGTERM
    second.wait_for("event=command_started")
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_on_lost_is_renewed_for(candidate: Candidate, log: Path, beats: Path) -> None:
    """Longer than the lease, which is 4 s here: a standby does not get in."""
    lost = f"sleep 6; {saying(log, 'undone')}"
    first = candidate("a", *hooks(log, lost=lost), witness=("--lifetime", "0.5"))
    wait_acting(first, beats)
    second = candidate("b", command=command(log, "exit 0"))
    second.wait_for("event=waiting ")
    assert first.wait(12) == 0
    assert second.wait() == 0
    assert any("event=released" in line for line in first.stderr)
    assert [line.split()[0] for line in lines(log)] == ["on-elected", "on-lost", "undone", "command"]


def test_as_the_first_process_of_a_container(programs: Programs, chroot: str, log: Path) -> None:
    """Orphans of hooks are handed to the guard, and never to us."""
    if reason := why_not():
        pytest.skip(reason)
    line = f"setsid sleep 61 & {saying(log, 'hook')}"
    options = ("-z", chroot, "-e", "x", "--on-elected", line, "--on-lost", line)
    first = programs("zkleader", "run", *options, "--", *command(log), command=(*CONTAINER, sys.executable, "-m"))
    assert first.wait() == 3
    assert [line.split()[0] for line in lines(log)] == ["hook", "command", "hook"]
    first.assert_nothing_left()


@pytest.mark.parametrize("ends", ["command", "told"])
def test_on_elected_and_on_lost_run_once_per_tenure_with_restart(candidate: Candidate, log: Path, ends: str) -> None:
    """Whether the last run ends it, or somebody does in the pause after it."""
    policy = ("--restart", "on-failure", "--restart-delay", "100ms" if ends == "command" else "1s")
    then = f"test $(grep -c command {log}) = 3"
    first = candidate("a", *policy, *hooks(log), command=command(log, then if ends == "command" else "exit 5"))
    if ends == "told":
        first.wait_for("event=command_restarting")
        first.signal(signal.SIGTERM)
    assert first.wait() == (0 if ends == "command" else 5)
    runs = 3 if ends == "command" else 1
    token, why = token_of(first), "ended" if ends == "command" else "asked"
    assert lines(log) == [f"on-elected {token} elected", *[f"command {token}"] * runs, f"on-lost {token} {why}"]


def test_told_to_end_while_on_elected_runs(
    candidate: Candidate, log: Path, kazoo_client: KazooClient, election: str
) -> None:
    """It is stopped, the command never starts, on-lost runs, and we die of the signal as one who waited."""
    first = candidate("a", *hooks(log, "exec sleep 60"), command=command(log))
    wait_until(lambda: lines(log))
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    assert [line.split()[0] for line in lines(log)] == ["on-elected", "on-lost"]
    assert previous(kazoo_client, election)["reason"] == "asked"
    assert_nothing_left(first, client=kazoo_client, election=election)


def test_told_twice_while_a_stubborn_on_elected_runs(candidate: Candidate, log: Path) -> None:
    """The second time kills it."""
    first = candidate("a", *hooks(log, "trap '' TERM; while :; do sleep 1; done"), command=command(log))
    wait_until(lambda: lines(log))
    first.signal(signal.SIGTERM)
    first.wait_for("event=stop_asked")
    first.signal(signal.SIGTERM)
    assert first.wait(5) == -signal.SIGTERM
    assert [line.split()[0] for line in lines(log)] == ["on-elected", "on-lost"]


def test_resigned_while_on_elected_runs(
    candidate: Candidate, programs: Programs, log: Path, zookeeper: Server, election: str
) -> None:
    """The asker sees it step down: 79."""
    first = candidate("a", *hooks(log, "exec sleep 60"), command=command(log))
    wait_until(lambda: lines(log))
    asker = programs("resign", election, "-z", zookeeper.hosts)
    assert first.wait() == 79
    assert asker.wait() == 0
    what, _, reason = lines(log)[-1].split()
    assert (what, reason) == ("on-lost", "resigned")


# ---- faults


def test_a_killed_supervisors_on_lost_runs_before_the_next_one_acts(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """By the guard, before it releases: the lease of 20 s is not waited out."""
    lost = acting(beats, "--lifetime", "1", "--ignore-term", "--daemonise")
    first = candidate("a", *SLOW, "--on-lost", lost)
    wait_acting(first, beats)
    second = candidate("b", *SLOW)
    second.wait_for("event=waiting ")
    first.signal(signal.SIGKILL)
    wait_acting(second, beats, deadline=8)
    first.wait_for("supervisor died: .*; on-lost ended with status 0; released")
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_a_frozen_supervisors_on_lost_runs_in_the_lease(candidate: Candidate, beats: Path, log: Path) -> None:
    """And the guard releases; thawed, the supervisor says 79."""
    lost = f"echo $ZKLEADER_REASON >>{log}; {acting(beats, '--lifetime', '60', '--ignore-term', '--daemonise')}"
    first = candidate("a", "--on-lost", lost)
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    first.pause()
    wait_acting(second, beats)
    assert lines(log) == ["lease_lapsed"]
    first.resume()
    assert first.wait() == 79
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)


@pytest.mark.parametrize("during", ["on-elected", "command", "on-lost"])
def test_cut_off_whatever_runs_is_gone_before_the_next_one_acts(
    candidate: Candidate, beats: Path, proxy: Proxy, during: str
) -> None:
    """A hook that ignores SIGTERM, has daemonised and never ends is killed inside the lease, as the command is."""
    for_ever = acting(beats, "--lifetime", "60", "--ignore-term", "--daemonise")
    options = {
        "on-elected": ("--on-elected", for_ever, "--hook-timeout", "60s"),
        "command": ("--on-lost", for_ever, "--hook-timeout", "60s"),
        "on-lost": ("--on-lost", for_ever, "--hook-timeout", "60s"),
    }[during]
    witness = ("--lifetime", "0.5") if during == "on-lost" else ()
    first = candidate("a", *options, hosts=proxy.hosts, witness=witness)
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    if during == "on-lost":
        first.wait_for("event=hook_started")
    proxy.cut()
    wait_acting(second, beats, deadline=20)
    proxy.heal()
    assert first.wait() == (0 if during == "on-lost" else 79)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)


def test_a_guard_that_is_killed_while_on_lost_runs(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """The supervisor ends the hook and releases: 70, because what on-lost should have done may be undone."""
    first = candidate(
        "a", *SLOW, "--on-lost", acting(beats, "--lifetime", "60", "--daemonise"), witness=("--lifetime", "0.5")
    )
    wait_acting(first, beats)
    second = candidate("b", *SLOW)
    second.wait_for("event=waiting ")
    first.wait_for("event=hook_started")
    os.kill(first.guard_pid(), signal.SIGKILL)
    wait_acting(second, beats, deadline=8)
    assert first.wait() == 70
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


# ---- wrong use


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--on-elected", ""), "--on-elected: it is empty"),
        (("--on-lost", "  "), "--on-lost: it is empty"),
        (("--on-lost", "if true"), "--on-lost: the shell does not understand it"),
        (("--hook-timeout", "5s"), "--hook-timeout: it needs --on-elected or --on-lost"),
        (("--on-lost", "true", "--hook-timeout", "0"), "--hook-timeout"),
    ],
)
def test_what_cannot_work_is_refused_before_campaigning(
    candidate: Candidate, options: tuple[str, ...], told: str
) -> None:
    """64 and one line."""
    first = candidate("a", *options, command=("true",))
    assert first.wait() == 64
    assert len(first.stderr) == 1
    assert told in first.stderr[0]
