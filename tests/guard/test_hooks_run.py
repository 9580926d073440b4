"""Hooks as real processes: in their turn, within their time, and nothing of them left when the next one begins."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from processes import marked
from supervision import Scope, StandIn, Supervision, nothing_left, python, shell
from waiting import wait_until

from zkleader.core import wire
from zkleader.guard.handle import end_everything

Supervise = Callable[..., Supervision]
Make = Callable[..., StandIn]

STUBBORN_DAEMON = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >>{pids}; sleep 61' & "


def script(line: str) -> bytes:
    return os.fsencode(line)


def written(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def end(supervision: Supervision, reason: str = "ended") -> wire.TenureOver:
    """Say that the tenure is over; return what the guard says of on-lost."""
    supervision.guard.send(wire.EndTenure(reason=reason))
    return supervision.wait_for(wire.TenureOver)


def test_each_runs_in_its_turn_with_the_commands_environment_and_the_reason(
    supervise: Supervise, scope: Scope, tmp_path: Path
) -> None:
    """The command itself gets no reason."""
    log = tmp_path / "log"
    line = f'echo "{{}} $ZKLEADER_REASON $ZKLEADER_TOKEN $MINE" >>{log}'
    supervision = supervise(
        *shell(line.format("command")),
        scope=scope,
        environment={b"MINE": b"mine"},
        on_elected=script(line.format("on-elected")),
        on_lost=script(line.format("on-lost")),
    )
    supervision.start(ZKLEADER_TOKEN="7")
    assert supervision.wait_for(wire.Gone).ran
    assert written(log) == ["on-elected elected 7 mine", "command  7 mine"]
    assert end(supervision) == wire.TenureOver(in_time=True, lost=False)
    assert written(log)[2:] == ["on-lost ended 7 mine"]
    assert supervision.kinds() == ["Ready", "Started", "FirstEnded", "Gone", "TenureOver"]
    assert supervision.notes() == ["hook_started", "hook_ended"] * 2


def test_a_hook_has_nothing_to_read_writes_to_standard_error_and_has_a_session_of_its_own(
    supervise: Supervise, tmp_path: Path
) -> None:
    """Standard output is the command's, and may be a pipe for its data; a terminal cannot stop a hook."""
    told = tmp_path / "told"
    program = (
        "import os; streams = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]; "
        f"open({str(told)!r}, 'w').write('\\n'.join([*streams, str(os.getsid(0) == os.getpid())]))"
    )
    supervision = supervise(*shell("exit 0"), on_elected=script(f'exec {sys.executable} -I -S -c "{program}"'))
    supervision.start()
    supervision.wait_for(wire.Gone)
    error = os.readlink("/proc/self/fd/2")
    assert written(told) == ["/dev/null", error, error, "True"]


def test_what_on_elected_leaves_is_gone_before_the_command_starts(
    supervise: Supervise, scope: Scope, tmp_path: Path
) -> None:
    """Also what ignores the stop signal and has daemonised."""
    pids = tmp_path / "pids"
    elected = STUBBORN_DAEMON.format(pids=pids) + f"while ! [ -s {pids} ]; do :; done"
    command = f"kill -0 $(cat {pids}) && exit 3; exit 0"
    supervision = supervise(*shell(command), scope=scope, on_elected=script(elected))
    supervision.start()
    assert supervision.wait_for(wire.Gone).wait_status == 0
    assert written(pids)


def test_an_on_elected_that_fails_keeps_the_command_from_starting(supervise: Supervise, tmp_path: Path) -> None:
    """And on-lost may undo what it has done by halves."""
    log = tmp_path / "log"
    supervision = supervise(
        *shell(f"echo command >>{log}"),
        on_elected=script(f"echo on-elected >>{log}; exit 3"),
        on_lost=script(f"echo on-lost $ZKLEADER_REASON >>{log}"),
    )
    supervision.start()
    gone = supervision.wait_for(wire.Gone)
    assert (gone.cause, gone.ran, gone.wait_status) == (wire.Cause.HOOK_FAILED, False, 3 << 8)
    end(supervision, "on_elected_failed")
    assert written(log) == ["on-elected", "on-lost on_elected_failed"]


def test_an_on_elected_that_never_ends_is_killed_with_all_of_it(
    supervise: Supervise, scope: Scope, mark: str, tmp_path: Path
) -> None:
    """While the lease goes on being renewed."""
    line = STUBBORN_DAEMON.format(pids=tmp_path / "pids") + "while :; do sleep 1; done"
    supervision = supervise(*shell("exit 0"), scope=scope, on_elected=script(line), hook_timeout=0.5)
    supervision.start()
    began = time.monotonic()
    gone = supervision.wait_for(wire.Gone)
    assert (gone.cause, gone.ran) == (wire.Cause.HOOK_FAILED, False)
    assert marked(mark) == []
    assert 0.4 < time.monotonic() - began < 1.5
    assert "hook_killed" in supervision.notes()


def test_asked_to_stop_while_on_elected_runs_the_command_does_not_start(supervise: Supervise, tmp_path: Path) -> None:
    """It gets the stop signal, SIGTERM whatever the command's is, and may end well of it."""
    log = tmp_path / "log"
    line = f"trap 'echo stopped >>{log}; exit 0' TERM; echo ready >>{log}; while :; do sleep 0.05; done"
    supervision = supervise(
        *shell(f"echo command >>{log}"), on_elected=script(line), stop_signal=int(signal.SIGUSR1), on_lost=b"exit 0"
    )
    supervision.start()
    wait_until(lambda: written(log) == ["ready"])
    supervision.guard.send(wire.Stop(cause=wire.Cause.ASKED))
    gone = supervision.wait_for(wire.Gone)
    assert (gone.cause, gone.ran) == (wire.Cause.ASKED, False)
    end(supervision, "asked")
    assert written(log) == ["ready", "stopped"]


def test_the_end_of_on_lost_is_told_when_nothing_of_it_lives(
    supervise: Supervise, scope: Scope, mark: str, tmp_path: Path
) -> None:
    """The release follows it: a daemon that unset nothing yet would act beside the successor."""
    pids = tmp_path / "pids"
    line = STUBBORN_DAEMON.format(pids=pids) + f"while ! [ -s {pids} ]; do :; done"
    supervision = supervise(*shell("exit 0"), scope=scope, on_lost=script(line))
    supervision.start()
    supervision.wait_for(wire.Gone)
    assert end(supervision).in_time
    assert written(pids)
    assert marked(mark) == []


def test_on_lost_may_take_longer_than_the_lease_while_that_is_renewed(supervise: Supervise, tmp_path: Path) -> None:
    """Its time-out is what bounds it then."""
    done = tmp_path / "done"
    supervision = supervise(*shell("exit 0"), on_lost=script(f"sleep 2.5; echo done >{done}"))
    supervision.start()
    supervision.wait_for(wire.Gone)
    assert end(supervision) == wire.TenureOver(in_time=True, lost=False)
    assert written(done) == ["done"]


def test_on_lost_is_killed_by_the_lease_at_the_latest(supervise: Supervise, scope: Scope, mark: str) -> None:
    """Cut off: the command ends at the stop signal, and on-lost has the grace period and not a moment more."""
    line = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 61' & while :; do sleep 1; done"
    supervision = supervise(*shell("exec sleep 60"), scope=scope, on_lost=script(line))
    supervision.start()
    over = supervision.wait_for(wire.TenureOver, renew=False)
    assert over == wire.TenureOver(in_time=True, lost=True)
    assert marked(mark) == []
    assert 1.2 < supervision.held() < 1.73
    assert supervision.notes()[-3:] == ["hook_started", "hook_killed", "hook_ended"]


def test_on_lost_that_has_no_time_does_not_run(supervise: Supervise, tmp_path: Path) -> None:
    """A command that ignores the stop signal takes all of it."""
    log = tmp_path / "log"
    supervision = supervise(
        *python("import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"),
        on_lost=script(f"echo on-lost >{log}"),
    )
    supervision.start()
    assert supervision.wait_for(wire.TenureOver, renew=False) == wire.TenureOver(in_time=True, lost=True)
    assert supervision.notes() == ["hook_skipped"]
    assert not log.exists()


def test_a_second_kill_does_not_hurry_on_lost(supervise: Supervise, tmp_path: Path) -> None:
    """It may arrive just after the command that it was meant for is gone."""
    log = tmp_path / "log"
    supervision = supervise(*shell("exit 0"), on_lost=script(f"echo begun >>{log}; sleep 0.5; echo done >>{log}"))
    supervision.start()
    supervision.wait_for(wire.Gone)
    supervision.guard.send(wire.EndTenure(reason="asked"))
    wait_until(lambda: written(log) == ["begun"])
    supervision.guard.send(wire.KillNow())
    supervision.wait_for(wire.TenureOver)
    assert written(log) == ["begun", "done"]


def test_the_second_run_of_the_command_has_a_scope_as_good_as_the_first(
    supervise: Supervise, scope: Scope, mark: str, tmp_path: Path
) -> None:
    """One guard for all of a tenure: what a run has left of its control group is not the next one's."""
    log = tmp_path / "log"
    program = (
        "import os, sys\n"
        f"open({str(log)!r}, 'a').write(open('/proc/self/cgroup').read().strip().rpartition('/')[2] + '\\n')\n"
        "group = '/sys/fs/cgroup' + open('/proc/self/cgroup').read().strip().rpartition(':')[2]\n"
        "for below in (group, group.replace('/sys/fs/cgroup', '/sys/fs/cgroup/unified')):\n"
        "    if 'zkleader-' in below and os.path.isdir(below) and not os.path.isdir(below + '/below'):\n"
        "        os.mkdir(below + '/below')\n"
    )
    supervision = supervise(*python(program), scope=scope, on_elected=b"exit 0", on_lost=b"setsid sleep 61 & exit 0")
    for run in (1, 2, 3):
        supervision.heard.clear()
        supervision.start()
        assert supervision.wait_for(wire.Gone).wait_status == 0, supervision.heard
        assert len(written(log)) == run
    assert len(set(written(log))) == 1
    assert "control_group_not_joined" not in supervision.notes()
    end(supervision)
    assert marked(mark) == []


# ---- somebody is dead or frozen


def test_a_killed_supervisors_on_lost_runs_before_the_release(stand_in: Make, scope: Scope, tmp_path: Path) -> None:
    """By the guard alone, and what it leaves is gone first."""
    log = tmp_path / "log"
    line = f"echo $ZKLEADER_REASON >>{log}; setsid sleep 61 & exit 3"
    supervisor = stand_in(*shell("exec sleep 60"), scope=scope.value, on_lost=line)
    supervisor.wait_for("Started")
    supervisor.process.kill()
    assert supervisor.release_was()["alive"] == []
    assert written(log) == ["supervisor_gone"]
    wait_until(supervisor.guard_has_ended)
    words = "supervisor died: command ended (1 process, 0 killed); on-lost ended with status 3; released"
    assert supervisor.stderr().endswith(f"zkleader: {words}\n")


def test_a_supervisor_killed_while_on_elected_runs(stand_in: Make, tmp_path: Path) -> None:
    """The hook is stopped, the command never starts, on-lost runs, and then it is released."""
    log = tmp_path / "log"
    supervisor = stand_in(
        *shell(f"echo command >>{log}"),
        on_elected=f"echo on-elected >>{log}; exec sleep 60",
        on_lost=f"echo on-lost $ZKLEADER_REASON >>{log}",
    )
    wait_until(lambda: written(log) == ["on-elected"])
    supervisor.process.kill()
    assert supervisor.release_was()["alive"] == []
    assert written(log) == ["on-elected", "on-lost supervisor_gone"]
    wait_until(supervisor.guard_has_ended)
    assert "no command was running; on-lost ended with status 0; released" in supervisor.stderr()


def test_a_frozen_supervisors_on_lost_runs_in_the_lease_and_then_it_is_released(stand_in: Make, tmp_path: Path) -> None:
    """Nobody can give the word."""
    log = tmp_path / "log"
    supervisor = stand_in(*shell("exec sleep 60"), on_lost=f"echo on-lost $ZKLEADER_REASON >>{log}")
    supervisor.wait_for("Started")
    os.kill(supervisor.process.pid, signal.SIGSTOP)
    stopped_at = time.monotonic()
    assert supervisor.release_was()["alive"] == []
    assert time.monotonic() - stopped_at < 2.5
    assert written(log) == ["on-lost lease_lapsed"]


def test_a_supervisor_frozen_while_on_elected_runs(stand_in: Make, tmp_path: Path) -> None:
    """The lease's instants hold for the hook as for the command."""
    log = tmp_path / "log"
    supervisor = stand_in(
        *shell(f"echo command >>{log}"),
        on_elected=f"echo on-elected >>{log}; exec sleep 60",
        on_lost=f"echo on-lost $ZKLEADER_REASON >>{log}",
    )
    wait_until(lambda: written(log) == ["on-elected"])
    os.kill(supervisor.process.pid, signal.SIGSTOP)
    assert supervisor.release_was()["alive"] == []
    assert written(log) == ["on-elected", "on-lost lease_lapsed"]


def test_with_a_killed_guard_nothing_of_a_hook_runs_on(supervise: Supervise, scope: Scope, mark: str) -> None:
    """PDEATHSIG ends its first process, the supervisor the rest; on-lost does not run any more."""
    line = "setsid sh -c 'trap \"\" TERM; sleep 61' & exec sleep 62"
    supervision = supervise(*shell("exit 0"), scope=scope, on_lost=script(line))
    supervision.start()
    supervision.wait_for(wire.Gone)
    supervision.guard.send(wire.EndTenure(reason="ended"))
    wait_until(lambda: len(marked(mark)) >= 2)
    supervision.turn()
    os.kill(supervision.guard.pid, signal.SIGKILL)
    assert end_everything(supervision.guard, noted=supervision.noted, within=5).proven
    nothing_left(mark)
