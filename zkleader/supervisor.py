"""The supervisor: the process that users know, and its one loop.

News from ZooKeeper, from the guard and from signals is queued by whoever learns it, taken out here, handed to
``candidacy.step``, and what that wants is performed.  The supervisor decides nothing about leadership.

It does not promise to act in time by itself: should it be frozen or killed, the guard has the deadlines.
"""

from __future__ import annotations

import os
import select
import signal
import uuid
from typing import TYPE_CHECKING, Any

from zkleader import __version__
from zkleader.config import Config, OnLoss, tightness
from zkleader.core import candidacy, job, wait_status, wire
from zkleader.core.actions import (
    Action,
    DropConnection,
    End,
    ExtendLease,
    Finish,
    KillCommand,
    Outcome,
    ReplaceGuard,
    Send,
    StartCommand,
    StopCommand,
    Tell,
)
from zkleader.core.events import (
    CommandFailed,
    CommandGone,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Connected,
    Event,
    GuardFailed,
    LeaveAsked,
    Tick,
)
from zkleader.core.lease import Instant
from zkleader.core.records import Identity
from zkleader.core.turn import Memory, Phase, Rules, State
from zkleader.custody import Custody, Inherited
from zkleader.guard import system
from zkleader.guard.handle import GuardGoneError
from zkleader.inbox import AddressesKnown, FromSession, Inbox, Item, SignalArrived
from zkleader.job import LOOK_INTERVAL, Job
from zkleader.log import Log
from zkleader.result import Course
from zkleader.systemd import Notifier
from zkleader.zk import hosts

if TYPE_CHECKING:
    from zkleader.zk.session import Session

TO_LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""While waiting these leave the queue."""
TO_STOP = (signal.SIGTERM, signal.SIGINT)
"""While leading these stop the command in order."""
TO_FORWARD = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
"""While leading these are the command's."""
OF_THE_JOB = (signal.SIGTSTP, signal.SIGCONT)
"""These stop and continue the command and us as one job."""
TAKEN = tuple(dict.fromkeys((*TO_LEAVE, *TO_FORWARD, *OF_THE_JOB)))
TAKEN_AS_FIRST = (*TAKEN, signal.SIGCHLD)
"""As PID 1 we are handed orphans that nobody else reaps."""

MOST_AT_ONCE = 100
"""So many items are taken between two looks at the clock."""

DEFAULT_TICK = 2.0
"""Seconds of ZooKeeper's tick unless configured; a session may expire that much later than it says, or, seen from a
client whose last touch was a reply to a tick, earlier.  Only the figure that is told uses it."""


class Supervisor:
    """One ``zkleader run``."""

    def __init__(self, config: Config, log: Log, inbox: Inbox, inherited: Inherited) -> None:
        self._config = config
        self._log = log
        self._inbox = inbox
        self._inherited = inherited
        self._poll = select.poll()
        self._poll.register(inbox, select.POLLIN)
        self._sessions = 0
        self._session: Session | None = None
        self._trouble = ""
        self._outcome: Outcome | None = None
        self.course = Course()
        """What became of the command so far, for people."""
        self._rules = Rules(
            election=config.hosts.chroot + config.election,
            identity=Identity(
                id=config.id,
                host=os.uname().nodename,
                pid=os.getpid(),
                command=config.command_name,
                version=__version__,
            ),
            timing=config.timing,
            connect_timeout=config.connect_timeout,
            wait=config.wait,
            once_per=config.once_per,
            retry_failed=config.retry_failed,
            restart=config.restart,
            restart_delay=config.restart_delay,
        )
        self._notifier = Notifier(os.environ)
        # The guard first: it starts while we import kazoo and connect.
        self._custody = self._take_custody()
        self._job = Job(inherited.terminal, self._tell_guard)
        self._state = self._begin(Memory(began=system.now()))

    @property
    def trouble(self) -> str:
        """Why ZooKeeper could not be reached, as far as that is known."""
        return (self._session.trouble if self._session is not None else "") or self._trouble

    def run(self) -> Outcome:
        """Campaign until it is over; return how it ended.  Nothing of the command is left then."""
        self._announce()
        while True:
            outcome = self._run_candidacy()
            campaigns_again = self._campaigns_again_after(outcome)
            # The guard may still be killing, and has seconds for that: nobody shall wait behind our candidate then.
            is_late = outcome.end is End.LOST_LATE
            if is_late:
                self._close_session()
            if self._custody.is_used or not campaigns_again:
                self._custody.dismiss()
            # After the guard: closing is one more commit of the ensemble's, and whoever takes over is just reading what
            # was released, which would wait for that.
            if not is_late:
                self._close_session()
            if not campaigns_again:
                return outcome
            if self._custody.is_used:
                # Nothing is reset: one guard is one tenure, and its end is proven before the next is made.
                self._custody = self._take_custody()
                self._job = Job(self._inherited.terminal, self._tell_guard)
            self._log.event("info", "campaigning_again", reason=outcome.reason)
            self._state = self._begin(self._state.memory)

    def end_command(self) -> None:
        """After an error of our own: have everything of the command ended, and what is ours in ZooKeeper released."""
        if not self._custody.has_ended and not self._custody.leave_it_to_the_guard(system.now(), self._lease_start):
            self._log.say("cannot prove that everything of the command is gone")
        self._job.handle(job.Ended())
        self._close_session()

    # ---- the parts

    def _take_custody(self) -> Custody:
        return Custody(self._config, self._inherited, self._poll, self._notifier.beat_interval)

    def _campaigns_again_after(self, outcome: Outcome) -> bool:
        rejoins = outcome.end is End.LOST and self._config.on_loss is OnLoss.REJOIN and not self._state.asked_by
        return rejoins or outcome.end is End.CANDIDACY_LOST

    def _begin(self, memory: Memory) -> State:
        """Begin a candidacy: a new guid, a new session."""
        guid = str(uuid.uuid4())
        self._outcome = None
        self._custody.send(wire.Candidacy(guid=guid))
        from zkleader.zk.session import Session  # noqa: PLC0415 # kazoo: while the guard starts

        self._sessions += 1
        number = self._sessions

        def deliver(event: Event) -> None:
            self._inbox.put(FromSession(session=number, event=event))

        def resolved(addresses: tuple[hosts.Server, ...], trouble: str) -> None:
            self._inbox.put(AddressesKnown(session=number, addresses=addresses, trouble=trouble))

        servers = self._config.hosts.servers
        self._session = Session(servers, self._config.timing, deliver)
        if hosts.numeric(servers):
            self._session.start(servers)
        else:
            self._session.look_up(resolved)
        return candidacy.begin(self._rules, guid, memory, system.now())

    def _close_session(self) -> None:
        if self._session is not None and not self._session.close():
            self._log.event("warning", "session_not_closed", consequence="it expires by itself")

    def _announce(self) -> None:
        config, timing = self._config, self._config.timing
        self._log.event(
            "info",
            "campaigning",
            hosts=str(config.hosts),
            lease=timing.lease,
            grace=timing.grace,
            outage_ridden_out=round(timing.ridden_out, 3),
        )
        if tight := tightness(timing, len(config.hosts.servers)):
            self._log.event("warning", "timing_tight", reason=tight)

    # ---- the loop

    def _run_candidacy(self) -> Outcome:
        while self._outcome is None:
            # Read before polling: should we be frozen between the poll and the judgement, that is no silence of the
            # guard's, whose answer may lie in the socket.
            asked_at = system.now().monotonic
            self._poll.poll(self._poll_timeout())
            # One at a time: one of them may end this candidacy, and what is behind it is then the next one's.  Not for
            # ever: a storm of them must not keep the guard and the clock waiting.
            for _ in range(MOST_AT_ONCE):
                if self._outcome is not None or (item := self._inbox.take()) is None:
                    break
                self._take(item)
            if not self._custody.has_ended:
                self._watch_guard(asked_at)
            self._job.handle(job.Looked())
            self._step(Tick())
        return self._outcome

    def _poll_timeout(self) -> float:
        now = system.now()
        left = [self._custody.beat_in(now, self._lease_start)]
        if (step_in := candidacy.next_step_in(self._state, now)) is not None:
            left.append(step_in)
        if self._job.is_halted:
            left.append(LOOK_INTERVAL)
        # Rounded up, or a poll that returns a little early would be followed by some that do not wait at all.
        return max(0.0, min(left)) * 1000 + 1

    def _step(self, event: Event) -> None:
        if self._outcome is not None:
            return
        self._state, actions = candidacy.step(self._state, event, system.now())
        # Before acting: systemd's watchdog is to know of a lease before the command starts under it.
        self._notify()
        for action in actions:
            self._perform(action)

    def _notify(self) -> None:
        state, now = self._state, system.now()
        is_over = state.outcome is not None and not self._campaigns_again_after(state.outcome)
        is_ending = bool(state.asked_by) or is_over
        self._notifier.tell(state, now, is_ending=is_ending, answered_at=self._custody.answered_at(now))

    def _take(self, item: Item) -> None:
        if isinstance(item, SignalArrived):
            self._on_signal(item.signal, by_terminal=item.by_terminal)
        elif item.session != self._sessions:
            pass  # of a session that was replaced
        elif isinstance(item, FromSession):
            if isinstance(item.event, Connected):
                self._on_connected(item.event)
            self._step(item.event)
        else:
            self._on_addresses(item)

    def _perform(self, action: Action) -> None:
        assert self._session is not None
        if isinstance(action, Send):
            self._session.submit(action.number, action.request)
        elif isinstance(action, Tell):
            self._log.event(action.level, action.event, **_readable(action.facts))
            if action.event in ("waiting", "waiting_out_lease"):
                self._log.hurry()
        elif isinstance(action, DropConnection):
            self._session.drop_connection()
        elif isinstance(action, Finish):
            self._outcome = action.outcome
        elif isinstance(action, ReplaceGuard):
            self._replace_guard()
        else:
            self._tell_guard(self._message(action))

    def _message(self, action: StartCommand | ExtendLease | StopCommand | KillCommand) -> wire.Message:
        if isinstance(action, StartCommand):
            self.course = self.course.told_to_start(action.token)
            environment = {
                "ZKLEADER_TOKEN": str(action.token),
                "ZKLEADER_ELECTION": self._config.election,
                "ZKLEADER_ID": self._config.id,
                "ZKLEADER_SLOT": "0",
            }
            return wire.Start(lease_start=action.lease_start, environment=environment)
        if isinstance(action, ExtendLease):
            return wire.Extend(lease_start=action.lease_start)
        if isinstance(action, StopCommand):
            return wire.Stop(cause=action.cause)
        return wire.KillNow()

    def _on_addresses(self, item: AddressesKnown) -> None:
        assert self._session is not None
        is_news, self._trouble = item.trouble != self._trouble, item.trouble
        if item.trouble and is_news:  # it is tried again twice a second
            self._log.event("warning", "host_not_resolved", reason=item.trouble)
        if item.addresses:
            self._session.start(item.addresses)

    def _on_connected(self, event: Connected) -> None:
        if event.granted is not None and event.granted - DEFAULT_TICK < self._config.timing.ridden_out:
            ridden_out = max(0.0, event.granted - DEFAULT_TICK)
            self._log.event(
                "info", "outage_bounded_by_session", outage_ridden_out=ridden_out, session_timeout=event.granted
            )

    def _on_signal(self, number: int, *, by_terminal: bool) -> None:
        has_command = self._state.phase in (Phase.LEADING, Phase.STOPPING)
        if number == signal.SIGCHLD:
            self._custody.reap_orphans()
        elif number == signal.SIGTSTP:
            self._job.handle(job.StopAsked(signal=number, by_terminal=by_terminal, has_command=has_command))
        elif number == signal.SIGCONT:
            self._job.handle(job.ContinueAsked())
        elif has_command or self._state.phase is Phase.RESTARTING:
            has_it = has_command and by_terminal and self._job.has_what_the_terminal_sends
            if has_it and (self._state.phase is Phase.LEADING or number not in TO_STOP):
                pass  # Ctrl-C is the command's own affair, until it is being stopped
            elif number in TO_STOP:
                self._step(LeaveAsked(signal=number))
            else:
                # Between two runs of the command the guard has nobody to hand it to.
                self._tell_guard(wire.Forward(signal=number, to_group=number == signal.SIGQUIT))
        elif number in TO_LEAVE:
            self._step(LeaveAsked(signal=number))

    # ---- the guard

    @property
    def _lease_start(self) -> Instant | None:
        held = self._state.chain.held
        # Of the lease under which something of the command may still be there.
        is_under_it = self._state.phase in (Phase.LEADING, Phase.STOPPING)
        return held.lease_start if held is not None and is_under_it else None

    def _replace_guard(self) -> None:
        """Have another guard for the next run of the command: one guard starts it once, and its end is proven first."""
        self._custody.dismiss()
        # The race: killed between the two, we are released for by neither, and the lease is waited out.
        self._custody = self._take_custody()
        self._custody.send(wire.Candidacy(guid=self._state.guid))

    def _tell_guard(self, message: wire.Message) -> None:
        if not self._custody.send(message):
            self._guard_failed("guard_died")

    def _watch_guard(self, asked_at: float) -> None:
        try:
            for message in self._custody.hear():
                self._on_message(message)
        except GuardGoneError:
            self._guard_failed("guard_died")
            return
        except wire.MalformedMessageError:
            self._guard_failed("guard_protocol_error")
            return
        now = system.now()
        if self._custody.beat_in(now, self._lease_start) <= 0 and not self._custody.beat(now):
            self._guard_failed("guard_died")
        elif self._custody.is_silent(asked_at, now, self._lease_start):
            self._guard_failed("guard_silent")

    def _guard_failed(self, reason: str) -> None:
        if self._outcome is not None or self._custody.has_ended:
            return
        ending = self._custody.end_everything()
        took = round(ending.seconds, 3)
        self._log.event("error", reason, killed=ending.killed, proven_gone=ending.proven, took=took)
        self._job.handle(job.Ended())
        self._step(GuardFailed(reason=reason, proven=ending.proven))

    def _on_message(self, message: wire.Message) -> None:
        self._on_job_news(message)
        if isinstance(message, wire.Ready):
            self._log.event("debug", "guard_ready", pid=message.pid, scope=message.scope, detail=message.detail)
        elif isinstance(message, wire.Started):
            self.course = self.course.started()
            self._step(CommandStarted(pid=message.pid))
            self._log.hurry()
        elif isinstance(message, wire.TooLate):
            self.course = self.course.not_started()
            self._step(CommandTooLate())
        elif isinstance(message, wire.ExecFailed):
            self.course = self.course.not_started()
            self._step(CommandFailed(errno=message.errno))
        elif isinstance(message, wire.Stopping):
            self._log.event("info", "command_stopping", cause=message.cause.value)
            self._step(CommandStopping(cause=message.cause))
        elif isinstance(message, wire.FirstEnded):
            self.course = self.course.ended(message.wait_status)
            self._log.event("info", "command_ended", **_ended(message.wait_status))
        elif isinstance(message, wire.Gone):
            self._on_gone(message)
        elif isinstance(message, wire.Note):
            self._log.event(message.level, message.event, **message.facts)

    def _on_job_news(self, message: wire.Message) -> None:
        if isinstance(message, wire.FirstStopped):
            self._job.handle(message)
            if self._job.is_halted:
                self._log.event("warning", "command_halted", signal=_readable({"signal": message.signal})["signal"])
        elif isinstance(message, wire.Started | wire.Continued):
            self._job.handle(message)
        elif isinstance(message, wire.FirstEnded | wire.Gone | wire.TooLate | wire.ExecFailed):
            self._job.handle(job.Ended())

    def _on_gone(self, message: wire.Gone) -> None:
        self.course = self.course.not_started()
        self._log.event(
            "info" if message.in_time else "error",
            "command_gone",
            cause=message.cause.value,
            in_time=message.in_time,
            signalled=message.signalled,
            killed=message.killed,
            kill_began_after=round(message.kill_began_after, 4),
            gone_after=round(message.gone_after, 4),
            **_ended(message.wait_status),
        )
        gone = CommandGone(
            cause=message.cause, wait_status=message.wait_status, in_time=message.in_time, lost=message.lost
        )
        self._step(gone)


def _ended(raw: int) -> dict[str, Any]:
    number = wait_status.signal_of(raw)
    return {"status": wait_status.exit_status_of(raw)} if number is None else _readable({"signal": number})


def _readable(facts: dict[str, Any]) -> dict[str, Any]:
    """Name the signal among the facts; those without a name (real-time ones) stay numbers."""
    number = facts.get("signal")
    return facts | {"signal": signal.Signals(number).name} if number in set(signal.Signals) else facts
