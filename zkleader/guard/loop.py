"""The guard's loop: everything that happens becomes an event for `termination`, every action is performed here.

It owns the descriptors, the order in which news is taken, and the watch over the supervisor.  It must not decide
anything about the command: that is `core.termination`'s.  It does not promise to survive its own faults: on one it
kills the command, waits for the proof, says one line and ends.

Single-threaded, so that fork is safe and PDEATHSIG, which is bound to the thread that forked, means the guard's death.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType

from zkleader.core import deadlines, guard_actions, guard_events, guard_state, termination, wire
from zkleader.core.acts import Act
from zkleader.core.guard_state import Phase
from zkleader.core.lease import Instant
from zkleader.guard import release, system
from zkleader.guard.channel import Channel
from zkleader.guard.command import Command, Stop
from zkleader.guard.settings import GuardSettings
from zkleader.guard.watch import SupervisorWatch

LONGEST_POLL = 0.25
"""Seconds; poll() sleeps on CLOCK_MONOTONIC, which stands still during suspend, so a longer sleep would notice the
resuming too late."""

EMPTYING_POLL = 0.005
"""Seconds between looks at a leaf whose last process was reaped while the kernel counts it a little longer.  The
leaf tells of the change too, but of two that follow each other closely only after 10 ms.  Everything else that is
waited for has news of its own: a child that ends, adopted or another user's, raises SIGCHLD."""

STANDARD_ERROR = 2

_NO_COMMAND = "no command was running"


class Guard:
    """One guard: one tenure, or one wait for it."""

    def __init__(self, settings: GuardSettings, channel: Channel, supervisor: int) -> None:
        self._settings = settings
        self._channel = channel
        self._watch = SupervisorWatch(settings.supervisor_pid, supervisor, settings.timing)
        self._state = guard_state.State(
            timing=settings.timing, hooks=settings.hooks, on_disconnect=settings.on_disconnect
        )
        self._command = Command(settings)
        self._release: release.Release | None = None
        self._refused_told = 0
        self._supervisor_died = False
        self._exiting = False
        self._end_of_command = _NO_COMMAND
        self._wake = _wake_on_child()
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._watch_leaf()
        self._poll.register(supervisor, select.POLLIN)

    def run(self) -> int:
        """Serve until nobody needs us."""
        command = self._command
        self._channel.send(wire.Ready(pid=os.getpid(), scope=command.scope_kind, detail=command.scope_detail))
        while not self._exiting:
            self._wait()
            # The order matters.  How the start went comes before the end of what was started; everything that the
            # supervisor has said, renewals above all, before the deadlines that it moves are judged.
            # The race: frozen between hearing and judging, we would find on resuming that a deadline has passed which
            # renewals in the socket have moved.  So what is judged is the instant *before* hearing: whatever had been
            # said by then is known, and what has passed since is judged in the next round, which follows at once.
            judged_at = system.now()
            self._read_start()
            self._reap()
            self._hear()
            self._watch_supervisor()
            self._handle(guard_events.Tick(), at=judged_at)
            self._look_for_freeze()
            self._prove()
        command.remove_leaf()
        if self._supervisor_died:
            self._say(self._last_words())
        return 0

    def end_after_fault(self, error: BaseException) -> None:
        """Kill the command and wait for the proof, trusting nothing but the kernel; then say one line."""
        fault = f"{type(error).__name__}: {error}".replace("\n", " ")
        existed = self._command.first_lives or self._state.phase in guard_state.COMMAND_EXISTS
        self._command.kill_until_gone()
        self._channel.send(wire.Note(level="error", event="guard_failed", facts={"reason": fault}))
        self._say(f"guard failed: {fault}" + ("; command ended" if existed else ""))

    # ---- news

    def _wait(self) -> None:
        """Sleep until there is news or something is due."""
        if not self._channel.closed:
            events = select.POLLIN | (select.POLLOUT if self._channel.wants_write else 0)
            self._poll.register(self._channel.fileno(), events)
        start_news = self._command.start_news
        if start_news is not None:
            self._poll.register(start_news, select.POLLIN)
        seconds = self._seconds_to_wait()
        try:
            # Rounded up: rounded down it would spin through the last millisecond.
            ready = self._poll.poll(int(seconds * 1000) + 1 if seconds > 0 else 0)
        finally:
            # Its number may be another file's after it was read to its end.
            if start_news is not None:
                self._poll.unregister(start_news)
        if any(fd == self._wake for fd, _ in ready):
            _drain(self._wake)
        leaf_events = self._command.leaf_events
        if leaf_events is not None and any(fd == leaf_events for fd, _ in ready):
            # Reading is what rearms it; what it says is asked for anew where it matters.
            os.pread(leaf_events, 4096, 0)
        self._channel.flush()

    def _seconds_to_wait(self) -> float:
        due = deadlines.due_in(self._state, system.now())
        waits = [due] if due is not None else []
        if self._state.phase is not Phase.IDLE:
            waits.append(LONGEST_POLL)
        if self._command.leaf_is_emptying:
            waits.append(EMPTYING_POLL)
        if not self._channel.closed:
            waits.append(self._watch.seconds_to_wait())
        return min(waits, default=LONGEST_POLL)

    def _read_start(self) -> None:
        """Take the news of a start: executed, too late, or refused by the kernel."""
        started = self._command.read_start()
        if started is None:
            return
        pid, verdict = started
        if verdict.join_errno is not None:
            self._note("warning", "control_group_not_joined", reason=os.strerror(verdict.join_errno))
        if verdict.executed:
            self._handle(guard_events.Executed(pid=pid))
        elif verdict.late:
            self._handle(guard_events.NotExecuted(refusal=wire.TooLate()))
        else:
            self._handle(guard_events.NotExecuted(refusal=wire.ExecFailed(errno=verdict.exec_errno or 0)))

    def _reap(self) -> None:
        """Take the news of what has ended."""
        reaped = self._command.reap()
        if reaped.first is not None:
            # It may have executed and ended since the look before: nobody else writes to the pipe any more.
            self._read_start()
            self._handle(guard_events.FirstReaped(wait_status=reaped.first, alone=reaped.alone))
        self._take_stop(self._command.read_stop())
        for pid, status in reaped.others:
            if self._release is not None and pid == self._release.pid:
                self._release_ended(released=status == 0)

    def _take_stop(self, stop: Stop | None) -> None:
        if stop is not None:
            wants_terminal = stop.signal in (signal.SIGTTIN, signal.SIGTTOU)
            self._handle(guard_events.FirstStopped(pid=stop.pid, signal=stop.signal, wants_terminal=wants_terminal))

    def _hear(self) -> None:
        """Take what the supervisor says, to the end: its last words count even when it is dead."""
        if self._channel.closed:
            return
        self._take(self._channel.receive())
        if self._channel.closed:
            self._poll.unregister(self._channel.fileno())
            self._supervisor_gone()

    def _watch_supervisor(self) -> None:
        """Notice a supervisor that is dead though its socket is open, absent, or silent."""
        if self._channel.closed:
            return
        if self._watch.is_dead():
            self._take(self._channel.receive())
            self._poll.unregister(self._channel.fileno())
            self._channel.closed = True
            self._supervisor_gone()
        elif self._watch.is_silent():
            self._handle(guard_events.SupervisorSilent())
        elif self._state.phase is Phase.GONE and self._watch.is_absent():
            self._handle(guard_events.SupervisorAbsent())

    def _take(self, messages: list[wire.Message]) -> None:
        if messages:
            self._watch.heard(is_beat=any(isinstance(message, wire.Beat) for message in messages))
        for message in termination.under_latest_lease(messages):
            # The race: whoever asked for the start may have died since, and nobody would renew what it begins.
            if isinstance(message, wire.Start) and self._watch.is_dead():
                continue
            self._handle(message)

    def _supervisor_gone(self) -> None:
        self._poll.unregister(self._watch.pidfd)
        self._supervisor_died = self._state.supervisor is not guard_state.Supervisor.DISMISSED_US
        self._handle(guard_events.SupervisorGone())

    def _look_for_freeze(self) -> None:
        """Hand in that all of the command stands still, which it does a little after that was ordered."""
        freezing = self._state.freezing
        if freezing is not None and not freezing.is_whole and self._command.is_frozen():
            self._handle(guard_events.Frozen())

    def _prove(self) -> None:
        """Hand in the proof that everything of the command is gone, as soon as there is one."""
        if self._state.phase not in guard_state.COMMAND_EXISTS or self._command.first_lives:
            return
        if not self._command.is_gone():
            return
        command = self._command
        if self._state.act is Act.COMMAND:
            self._end_of_command = _words_for(command)
        self._handle(guard_events.TreeGone(signalled=command.signalled, killed=command.killed))
        if command.first_lives:  # what follows was started
            return
        # Told first: removing the leaf may take its time, and nobody has to wait for it.
        if command.leaf_events is not None:
            self._forget_leaf()
            if not command.remove_leaf():
                self._note("warning", "control_group_not_removed", path=command.scope_detail)

    def _watch_leaf(self) -> None:
        if self._command.leaf_events is not None:
            self._poll.register(self._command.leaf_events, select.POLLPRI)

    def _forget_leaf(self) -> None:
        if self._command.leaf_events is not None:
            self._poll.unregister(self._command.leaf_events)

    # ---- actions

    def _handle(self, event: guard_events.Event, at: Instant | None = None) -> None:
        self._state, actions = termination.step(self._state, event, at or system.now())
        for action in actions:
            self._perform(action)

    def _perform(self, action: guard_actions.Action) -> None:
        match action:
            case guard_actions.Spawn():
                self._spawn(action)
            case guard_actions.SendStopSignal():
                self._command.send_stop_signal()
                self._tell_refused()
            case guard_actions.ForwardSignal(signal=number, to_group=to_group):
                if not self._command.forward(number, to_group=to_group):
                    self._note("warning", "signal_refused", processes=1)
            case guard_actions.ContinueCommand():
                self._command.forward(signal.SIGCONT, to_group=True)
            case guard_actions.LookForStop():
                self._take_stop(self._command.present_stop())
            case guard_actions.Freeze():
                self._command.freeze(frozen=True)
            case guard_actions.Thaw():
                self._command.freeze(frozen=False)
            case guard_actions.Kill():
                self._command.kill()
                self._tell_refused()
            case guard_actions.Report(message=message):
                self._channel.send(message)
            case guard_actions.KillSupervisor():
                self._watch.kill()
            case guard_actions.ReleaseForSupervisor(guid=guid):
                self._start_release(guid)
            case guard_actions.AbandonRelease():
                if self._release is not None:
                    self._release.abandon()
            case guard_actions.Exit():
                self._exiting = True

    def _spawn(self, wanted: guard_actions.Spawn) -> None:
        self._refused_told = 0
        self._forget_leaf()  # it may be another one afterwards
        try:
            self._command.start(wanted.act, wanted.lease_start, wanted.environment, frozen=wanted.frozen)
        except OSError as error:
            self._handle(guard_events.NotExecuted(refusal=wire.ExecFailed(errno=error.errno or 0)))
        finally:
            self._watch_leaf()

    def _tell_refused(self) -> None:
        refused = self._command.refused
        if refused > self._refused_told:
            self._refused_told = refused
            self._note("warning", "signal_refused", processes=refused)

    def _start_release(self, guid: str) -> None:
        try:
            self._release = release.start(self._settings, guid)
        except OSError as error:
            self._note("warning", "release_not_started", reason=error.strerror or str(error))
            self._handle(guard_events.ReleaseEnded())

    def _release_ended(self, *, released: bool) -> None:
        assert self._release is not None, "only a program that was started is reaped"
        self._release.released = released
        self._note("info" if released else "warning", "released_for_supervisor", released=released)
        self._handle(guard_events.ReleaseEnded())

    # ---- words

    def _note(self, level: str, event: str, **facts: object) -> None:
        self._channel.send(wire.Note(level=level, event=event, facts=facts))

    def _last_words(self) -> str:
        command = self._end_of_command
        if self._state.on_lost_came_to:
            command += f"; {self._state.on_lost_came_to}"
        if self._release is None:
            return f"supervisor died: {command}"
        outcome = "released" if self._release.released else "not released, others wait out its lease"
        return f"supervisor died: {command}; {outcome}"

    def _say(self, line: str) -> None:
        """Write one line to standard error, unless that would make us wait."""
        with contextlib.suppress(OSError):
            if system.is_ready(STANDARD_ERROR, select.POLLOUT):
                os.write(STANDARD_ERROR, f"zkleader: {line}\n".encode("utf-8", "replace"))


def _words_for(command: Command) -> str:
    """Return what became of a command that is gone."""
    if not command.was_executed:
        return _NO_COMMAND
    count = max(command.signalled, command.killed)
    return f"command ended ({count} {'process' if count == 1 else 'processes'}, {command.killed} killed)"


def _wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child has ended."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # Full means that there is a byte to read, and one is enough.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _do_nothing)
    return reading


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Stand as a handler: an ignored SIGCHLD would have the kernel reap, and the statuses would be lost."""


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass
