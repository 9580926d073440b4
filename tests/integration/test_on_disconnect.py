"""``--on-disconnect`` on real servers: who is cut off does not act, or steps down, and a successor acts alone."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from program import Program
from promise import assert_nothing_left, assert_promise, wait_acting
from proxy import Proxy
from terminal import CTRL_C, CTRL_Z, Terminal, command_of, wait_job_stopped
from test_faults import STUBBORN
from test_metrics_textfile import figures
from test_notifying import Listener, listener
from waiting import wait_until
from witness import beats_in
from zookeeper import Server

from zkleader.guard import cgroup

__all__ = ["listener"]

TEN = ("--lease", "10s", "--grace", "1s")
"""A renewal every second, overdue after 3 s, stop signal at 8.15 s."""

PAUSE = (*TEN, "--on-disconnect", "pause")
STOP = (*TEN, "--on-disconnect", "stop")

EITHER = "(suspended|renewal_overdue)"
"""Where nothing is told, the supervisor gives up waiting at the instant when the guard does."""

WITHOUT_GROUPS = """
import sys
from zkleader.guard import cgroup
def refuse(): raise cgroup.NoControlGroupError("there are none here")
cgroup._find_own = refuse
from zkleader.cli import main
sys.exit(main.main())
"""


def _why_not() -> str:
    try:
        cgroup.rehearse(freezes=True)
    except cgroup.NoControlGroupError as error:
        return str(error)
    return ""


needs_control_groups = pytest.mark.skipif(bool(_why_not()), reason=_why_not())


def now_ns() -> int:
    return time.monotonic_ns()


def acts_between(beats: Path, begin: int, end: int) -> int:
    return sum(begin < beat.at_ns < end for beat in beats_in(beats))


def longest_silence(beats: Path) -> float:
    """Return the longest time in which nobody acted, in seconds."""
    return max(later.at_ns - earlier.at_ns for earlier, later in pairwise(beats_in(beats))) / 1e9


def wait_paused(program: Program, reason: str, after: int = 0, deadline: float = 5) -> int:
    """Wait until the log says that it is paused; return the instant after which it must not act."""
    program.wait_for(f"event=command_paused.*reason={reason}", after=after, deadline=deadline)
    return now_ns()


def hold(seconds: float) -> int:
    """Let an outage last; return the instant of its end."""
    time.sleep(seconds)  # what lasts is the fact
    return now_ns()


def wait_resumed(program: Program, beats: Path, after: int = 0) -> None:
    program.wait_for("event=command_resumed.*seconds=", after=after, deadline=8)
    back = now_ns()
    wait_until(lambda: acts_between(beats, back, now_ns()), what="it acts again")


def leaf_of(pid: int) -> str:
    """Return the name of the control group that a process is in."""
    content = Path(f"/proc/{pid}/cgroup").read_text()
    return next(line for line in content.splitlines() if line.startswith("0::")).rpartition("/")[2]


def end(program: Program) -> None:
    program.signal(signal.SIGTERM)
    assert program.wait(20) == -signal.SIGTERM


@needs_control_groups
@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
@pytest.mark.parametrize("outage", ["cut", "refuse"])
def test_who_is_cut_off_does_not_act_until_a_renewal_is_confirmed(
    candidate: Candidate, beats: Path, proxy: Proxy, outage: str, witness: tuple[str, ...]
) -> None:
    """At once when the connection breaks, by the first renewal without an answer when nothing is told; all of it."""
    program = candidate("a", *PAUSE, "--stop-timeout", "1s", hosts=proxy.hosts, witness=witness)
    wait_acting(program, beats)
    getattr(proxy, outage)()
    paused = wait_paused(program, "suspended" if outage == "refuse" else EITHER)
    healed = hold(1.0)
    proxy.heal()
    wait_resumed(program, beats)
    assert acts_between(beats, paused, healed) == 0
    program.signal(signal.SIGTERM)
    program.wait()
    assert_promise(beats, tenures=1)


@needs_control_groups
@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
def test_a_frozen_command_is_gone_before_its_successor_acts(
    candidate: Candidate,
    beats: Path,
    kazoo_client: KazooClient,
    election: str,
    proxy: Proxy,
    witness: tuple[str, ...],
) -> None:
    """Cut off for good: the deadlines are where they always were, and from the pause on it never acts again."""
    first = candidate("a", *PAUSE, hosts=proxy.hosts, witness=witness)
    token = wait_acting(first, beats)
    second = candidate("b", *PAUSE)
    second.wait_for("event=waiting ")
    proxy.cut()
    paused = wait_paused(first, EITHER)
    wait_acting(second, beats, deadline=20)
    assert not [beat for beat in beats_in(beats) if beat.token == token and beat.at_ns > paused]
    assert "killed=" in first.wait_for("event=command_gone.*in_time=true")
    proxy.heal()
    assert first.wait() == 79
    end(second)
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@needs_control_groups
def test_a_frozen_supervisors_command_is_frozen_by_the_guard_and_goes_on(candidate: Candidate, beats: Path) -> None:
    """It cannot say that it is suspended: an overdue renewal by the guard's own clock tells."""
    program = candidate("a", *PAUSE)
    wait_acting(program, beats)
    program.pause()
    began = now_ns()
    # The log is the supervisor's, so the silence is what tells.
    wait_until(lambda: not acts_between(beats, now_ns() - 500_000_000, now_ns()), deadline=5, what="it stands still")
    assert now_ns() - began < 4e9
    still = now_ns()
    continued = hold(1.0)
    program.resume()
    wait_paused(program, "renewal_overdue")
    wait_resumed(program, beats)
    assert acts_between(beats, still, continued) == 0
    end(program)
    assert_promise(beats, tenures=1)


@needs_control_groups
@pytest.mark.parametrize("then", ["stays frozen", "dies"])
def test_a_frozen_supervisors_frozen_command_is_killed_and_released_for(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, then: str
) -> None:
    """The successor need wait neither for the grace nor for the rest of the lease."""
    first = candidate("a", *PAUSE, witness=("--ignore-term",))
    wait_acting(first, beats)
    second = candidate("b", *PAUSE)
    second.wait_for("event=waiting ")
    first.pause()
    frozen = now_ns()
    if then == "dies":
        wait_until(lambda: not acts_between(beats, now_ns() - 500_000_000, now_ns()), deadline=5, what="it is still")
        first.signal(signal.SIGKILL)
        wait_acting(second, beats, deadline=2)
    else:
        wait_acting(second, beats, deadline=10)
        assert (now_ns() - frozen) / 1e9 < 9.2  # the stop signal's instant; not SIGKILL's, a second later
        first.resume()
        assert first.wait() == 79
    end(second)
    assert_promise(beats, tenures=2)
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@needs_control_groups
def test_a_guard_that_dies_while_its_command_stands_still_leaves_nothing(
    candidate: Candidate, beats: Path, proxy: Proxy
) -> None:
    """The supervisor ends what is frozen."""
    program = candidate("a", *PAUSE, hosts=proxy.hosts, witness=STUBBORN)
    wait_acting(program, beats)
    proxy.refuse()
    paused = wait_paused(program, "suspended")
    subprocess.run(["kill", "-KILL", str(program.guard_pid())], check=True)
    assert program.wait(20) == 70
    program.assert_nothing_left(deadline=2)
    assert acts_between(beats, paused, now_ns()) == 0


@needs_control_groups
def test_restarting_the_only_server_pauses_and_disturbs_nobody(
    candidate: Candidate, beats: Path, own_zookeeper: Server
) -> None:
    """One pause, in one tenure."""
    program = candidate("a", "--lease", "20s", "--grace", "1s", "--on-disconnect", "pause", hosts=own_zookeeper.hosts)
    wait_acting(program, beats)
    own_zookeeper.restart()
    wait_paused(program, "suspended")
    wait_resumed(program, beats)
    assert sum("event=command_paused" in line for line in program.stderr) == 1
    end(program)
    assert_promise(beats, tenures=1)


@needs_control_groups
def test_a_short_outage_that_breaks_no_connection_pauses_nothing(
    candidate: Candidate, beats: Path, proxy: Proxy
) -> None:
    """Renewals come late, and before they are overdue."""
    program = candidate("a", *PAUSE, hosts=proxy.hosts)
    wait_acting(program, beats)
    proxy.cut(keep=True)
    hold(1.2)
    proxy.heal()
    program.wait_for("event=renewed", after=len(program.stderr))
    assert "command_paused" not in "".join(program.stderr)
    assert longest_silence(beats) < 1
    end(program)


@needs_control_groups
def test_flapping_connections_pause_and_never_disturb(candidate: Candidate, beats: Path, proxy: Proxy) -> None:
    """Each break freezes until a renewal of the new connection; as many resumptions as pauses; one tenure."""
    program = candidate("a", *PAUSE, hosts=proxy.hosts)
    wait_acting(program, beats)
    for _ in range(8):
        seen = len(program.stderr)
        proxy.drop_connections()
        program.wait_for("event=reconnected", after=seen, deadline=5)
        hold(0.15)
    wait_until(lambda: _paused_and_resumed(program), what="as many resumptions as pauses")
    end(program)
    assert_promise(beats, tenures=1)


def _paused_and_resumed(program: Program) -> bool:
    log = "".join(program.stderr)
    return log.count("event=command_paused") == log.count("event=command_resumed") > 0


@needs_control_groups
def test_told_to_stop_while_paused_the_command_ends_when_it_may_act(
    candidate: Candidate, beats: Path, proxy: Proxy
) -> None:
    """The witness handles SIGTERM: it gets it, and acts on it once a renewal is confirmed."""
    program = candidate("a", *PAUSE, hosts=proxy.hosts)
    wait_acting(program, beats)
    proxy.refuse()
    paused = wait_paused(program, "suspended")
    program.signal(signal.SIGTERM)
    program.wait_for("event=command_stopping.*cause=asked")
    healed = hold(0.5)
    proxy.heal()
    assert program.wait() == -signal.SIGTERM
    assert acts_between(beats, paused, healed) == 0
    assert beats_in(beats)[-1].terminated


@needs_control_groups
def test_metrics_and_systemd_are_told_of_a_pause(
    candidate: Candidate, beats: Path, proxy: Proxy, listener: Listener, tmp_path: Path
) -> None:
    """And the watchdog goes on as ever: by confirmed renewals."""
    file = tmp_path / "a.prom"
    options = (*PAUSE, "--metrics-textfile", str(file))
    program = candidate("a", *options, hosts=proxy.hosts, env=listener.environment)
    token = wait_acting(program, beats)
    proxy.refuse()
    listener.wait_for(f"STATUS=leader, token {token}: paused")
    wait_until(lambda: (figures(file)["paused"], figures(file)["pauses_total"]) == (1, 1), what="the gauge")
    proxy.heal()
    listener.wait_for(f"STATUS=leader, token {token}\n")
    wait_until(lambda: (figures(file)["paused"], figures(file)["pauses_total"]) == (0, 1), what="the gauge again")
    end(program)
    assert figures(file)["pauses_total"] == 1


@needs_control_groups
def test_a_job_that_was_paused_while_it_was_stopped_goes_on_with_fg(terminal: Terminal, run: str) -> None:
    """Ctrl-Z stops us too, so nobody renews: the guard freezes what is stopped, and a renewal after fg thaws it."""
    terminal.run(f"{run} --lease 20s --on-disconnect pause -- cat")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    freezer = Path(f"{cgroup._find_own()}/{leaf_of(command)}/cgroup.freeze")
    wait_until(lambda: freezer.read_text() == "1\n", deadline=8, what="it is frozen")
    at = terminal.run("fg")
    terminal.wait_for("command_resumed", after=at)
    at = terminal.run("line")
    terminal.wait_for("line\nline\n", after=at)
    terminal.type(CTRL_C)
    terminal.wait_nothing_left()


@needs_control_groups
def test_ctrl_c_ends_a_job_that_is_paused(open_terminal: Callable[..., Terminal], proxy: Proxy, election: str) -> None:
    """One that does not handle it: the kernel needs nobody to run for that."""
    terminal = open_terminal()
    words = f"run -z {proxy.hosts} -e {election} --on-disconnect pause -- cat"
    terminal.run(f"{sys.executable} -m zkleader {words}")
    terminal.wait_for("command_started")
    proxy.refuse()
    terminal.wait_for("command_paused")
    terminal.type(CTRL_C)
    terminal.wait_for("command_ended .*signal=SIGINT")
    proxy.heal()
    terminal.wait_nothing_left()


def test_where_nothing_can_be_frozen_pause_is_refused_before_anything_is_created(
    candidate: Candidate, kazoo_client: KazooClient, election: str
) -> None:
    """Not when elected, after hours as a standby."""
    program = candidate("a", *PAUSE, program=(sys.executable, "-c", WITHOUT_GROUPS))
    assert program.wait() == 78
    assert program.stderr == ["zkleader: cannot use --on-disconnect pause: there are none here"]
    assert not kazoo_client.exists(election)
    assert candidate("a", *STOP, "-n", command=("true",), program=(sys.executable, "-c", WITHOUT_GROUPS)).wait() == 0


@pytest.mark.parametrize("witness", [(), STUBBORN], ids=["mild", "stubborn"])
def test_with_stop_a_broken_connection_ends_the_tenure(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, proxy: Proxy, witness: tuple[str, ...]
) -> None:
    """Stop signal at once, SIGKILL after grace; released as soon as ZooKeeper is back, long before the lease ends."""
    first = candidate("a", "--lease", "20s", *STOP[2:], hosts=proxy.hosts, witness=witness)
    token = wait_acting(first, beats)
    second = candidate("b", "--lease", "20s", *STOP[2:])
    second.wait_for("event=waiting ")
    proxy.refuse()
    first.wait_for("event=leadership_lost.*reason=suspended")
    lost = now_ns()
    first.wait_for("event=command_gone.*cause=loss")
    assert max(beat.at_ns for beat in beats_in(beats) if beat.token == token) < lost + 1.5e9
    proxy.heal()
    wait_acting(second, beats, deadline=5)
    assert first.wait() == 79
    end(second) if not witness else second.close()
    assert_promise(beats, tenures=2)
    del kazoo_client, election


def test_with_stop_a_frozen_supervisors_command_is_stopped_by_the_guard(candidate: Candidate, beats: Path) -> None:
    """At three renewal intervals; released for it; continued it says why."""
    first = candidate("a", *STOP)
    wait_acting(first, beats)
    second = candidate("b", *STOP)
    second.wait_for("event=waiting ")
    first.pause()
    wait_acting(second, beats, deadline=5)
    first.resume()
    assert first.wait() == 79
    first.wait_for("event=leadership_lost.*reason=renewal_overdue")
    end(second)
    assert_promise(beats, tenures=2)


def test_with_stop_and_rejoin_a_new_tenure_follows(candidate: Candidate, beats: Path, proxy: Proxy) -> None:
    """Cheap to hand over; and if nobody else is there it is handed to ourselves."""
    program = candidate("a", *STOP, "--on-loss", "rejoin", hosts=proxy.hosts)
    wait_acting(program, beats)
    proxy.drop_connections()
    program.wait_for("event=campaigning_again.*reason=suspended")
    wait_acting_again: Callable[[], bool] = lambda: len({beat.token for beat in beats_in(beats)}) == 2  # noqa: E731
    wait_until(wait_acting_again, what="a second tenure")
    end(program)
    assert_promise(beats, tenures=2)
