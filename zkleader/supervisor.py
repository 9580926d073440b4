"""The supervisor: the process that users know, and its one loop.

News from ZooKeeper, from the guard and from signals is queued by whoever learns it, taken out here, handed to
``candidacy.step``, and what that wants is performed.  The supervisor decides nothing about leadership.

It does not promise to act in time by itself: should it be frozen or killed, the guard has the deadlines.
"""

from __future__ import annotations

import os
import select
import uuid
from typing import TYPE_CHECKING

from zkleader import __version__, guard_words
from zkleader.config import Config, OnLoss, tightness
from zkleader.core import candidacy, job, wire
from zkleader.core.actions import (
    Action,
    DropConnection,
    End,
    Finish,
    Outcome,
    Send,
    StartCommand,
    Tell,
)
from zkleader.core.candidacy_state import IN_TENURE, Memory, Phase, State
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.events import (
    Connected,
    Event,
    GuardFailed,
    LeaveAsked,
    Tick,
)
from zkleader.core.lease import Instant
from zkleader.core.records import Identity
from zkleader.core.rules import Rules
from zkleader.custody import Custody, Inherited
from zkleader.guard import system
from zkleader.guard.handle import GuardGoneError
from zkleader.guard_words import readable
from zkleader.inbox import Inbox, Item, SignalArrived
from zkleader.job import LOOK_INTERVAL, Job
from zkleader.log import Log
from zkleader.result import Course
from zkleader.sessions import AddressesKnown, Sessions
from zkleader.signals import Meaning, meaning_of
from zkleader.systemd import Notifier

if TYPE_CHECKING:
    from zkleader.metrics_file import MetricsFile

MOST_AT_ONCE = 100
"""So many items are taken between two looks at the clock."""


class Supervisor:
    """One ``zkleader run``."""

    def __init__(
        self, config: Config, log: Log, inbox: Inbox, inherited: Inherited, metrics: MetricsFile | None = None
    ) -> None:
        self._config = config
        self._log = log
        self._inbox = inbox
        self._inherited = inherited
        self._metrics = metrics
        self._poll = select.poll()
        self._poll.register(inbox, select.POLLIN)
        self._sessions = Sessions(config.access, config.timing, inbox.put)
        self._outcome: Outcome | None = None
        self.course = Course()
        """What became of the command so far, for people."""
        self._rules = Rules(
            election=config.access.hosts.chroot + config.election,
            identity=Identity(
                id=config.id,
                host=os.uname().nodename,
                pid=os.getpid(),
                command=config.command_name,
                version=__version__,
            ),
            timing=config.timing,
            connect_timeout=config.connect_timeout,
            leaders=config.leaders,
            wait=config.wait,
            once_per=config.once_per,
            retry_failed=config.retry_failed,
            on_disconnect=config.on_disconnect,
            restart=config.restart,
            restart_delay=config.restart_delay,
            hooks=config.hooks,
        )
        self._notifier = Notifier(os.environ)
        self._custody: Custody
        self._job: Job
        # The guard first: it starts while we import kazoo and connect.
        self._execute_guard()
        self._state = self._begin(Memory(began=system.now()))

    @property
    def trouble(self) -> str:
        """Why ZooKeeper could not be reached, as far as that is known."""
        return self._sessions.trouble

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
                self._execute_guard()
            pause = self._state.memory.pause
            delay = pause.delay if pause is not None and outcome.end is End.HOOK_FAILED else None
            self._log.event("info", "campaigning_again", reason=outcome.reason, delay=delay)
            self._state = self._begin(self._state.memory)

    def end_command(self) -> None:
        """After an error of our own: have everything of the command ended, and what is ours in ZooKeeper released."""
        if not self._custody.has_ended and not self._custody.leave_it_to_the_guard(system.now(), self._lease_start):
            self._log.say("cannot prove that everything of the command is gone")
        self._job.handle(job.Ended())
        self._close_session()

    # ---- the parts

    def _execute_guard(self) -> None:
        """Have a guard, for a tenure or a wait for it."""
        self._custody = Custody(self._config, self._inherited, self._poll, self._notifier.beat_interval)
        self._job = Job(self._inherited.terminal, self._tell_guard)

    def _campaigns_again_after(self, outcome: Outcome) -> bool:
        is_loss = outcome.end in (End.LOST, End.RESIGNED, End.HOOK_FAILED)
        rejoins = is_loss and self._config.on_loss is OnLoss.REJOIN and not self._state.asked_by
        return rejoins or outcome.end is End.CANDIDACY_LOST

    def _begin(self, memory: Memory) -> State:
        """Begin a candidacy: a new guid, a new session."""
        guid = str(uuid.uuid4())
        self._outcome = None
        self._custody.send(wire.Candidacy(guid=guid))
        from zkleader.zk.connecting import silence_kazoo  # noqa: PLC0415 # kazoo: while the guard starts

        silence_kazoo()
        self._sessions.begin()
        return candidacy.begin(self._rules, guid, memory, system.now())

    def _close_session(self) -> None:
        if not self._sessions.close():
            self._log.event("warning", "session_not_closed", consequence="it expires by itself")

    def _announce(self) -> None:
        config, timing, access = self._config, self._config.timing, self._config.access
        self._log.event(
            "info",
            "campaigning",
            hosts=str(access.hosts),
            tls=None if access.tls is None else "verified" if access.tls.is_verified else "not_verified",
            authentication=",".join(access.schemes) or None,
            lease=timing.lease,
            grace=timing.grace,
            on_disconnect=None if config.on_disconnect is OnDisconnect.CONTINUE else config.on_disconnect.value,
            outage_ridden_out=round(config.outage_ridden_out, 3),
        )
        if config.hooks.on_lost and not timing.grace:
            self._log.event("warning", "on_lost_without_grace", consequence="it does not run when the lease lapses")
        if tight := tightness(timing, len(config.access.hosts.servers)):
            self._log.event("warning", "timing_tight", reason=tight)

    # ---- the loop

    def _run_candidacy(self) -> Outcome:
        while self._outcome is None:
            # Read before polling: should we be frozen between the poll and the judgement, that is no silence of the
            # guard's, whose answer may lie in the socket.
            asked_at = system.now().monotonic
            self._poll.poll(self._poll_timeout())
            # The race: while we were frozen the guard stopped the command and released, which deletes our candidate.
            # It tells why; so it is heard before ZooKeeper, which tells of the deletion only.
            if not self._custody.has_ended:
                self._watch_guard(asked_at)
            # One at a time: one of them may end this candidacy, and what is behind it is then the next one's.  Not for
            # ever: a storm of them must not keep the guard and the clock waiting.
            for _ in range(MOST_AT_ONCE):
                if self._outcome is not None or (item := self._inbox.take()) is None:
                    break
                self._take(item)
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
        self._measure()
        # Before acting: systemd's watchdog is to know of a lease before the command starts under it.
        self._notify()
        for action in actions:
            self._perform(action)

    def _measure(self) -> None:
        if self._metrics is not None and (trouble := self._metrics.observe(self._state, system.now())):
            self._log.event("warning", "metrics_not_written", path=self._metrics.path, reason=trouble)

    def _notify(self) -> None:
        state, now = self._state, system.now()
        is_over = state.outcome is not None and not self._campaigns_again_after(state.outcome)
        is_ending = bool(state.asked_by) or is_over
        self._notifier.tell(state, now, is_ending=is_ending, answered_at=self._custody.answered_at(now))

    def _take(self, item: Item) -> None:
        if isinstance(item, SignalArrived):
            self._on_signal(item.signal, by_terminal=item.by_terminal)
        elif isinstance(item, AddressesKnown):
            if trouble := self._sessions.on_addresses(item):
                self._log.event("warning", "host_not_resolved", reason=trouble)
        elif (event := self._sessions.event_of(item)) is not None:
            if isinstance(event, Connected):
                self._on_connected(event)
            self._step(event)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Send):
            self._sessions.present.submit(action.number, action.request)
        elif isinstance(action, Tell):
            self._log.event(action.level, action.event, **readable(action.facts))
            if action.event in ("waiting", "waiting_out_lease"):
                self._log.hurry()
        elif isinstance(action, DropConnection):
            self._sessions.present.drop_connection()
        elif isinstance(action, Finish):
            self._outcome = action.outcome
        else:
            if isinstance(action, StartCommand):
                # A job of its own, whatever became of the run before.
                self._job = Job(self._inherited.terminal, self._tell_guard)
                self.course = self.course.told_to_start(action.token, action.slot)
            self._tell_guard(guard_words.message_of(action, self._config, self._state.loss))

    def _on_connected(self, event: Connected) -> None:
        if event.granted is None:
            return
        ridden_out = self._config.timing.ridden_out_with(event.granted)
        if ridden_out < self._config.outage_ridden_out:
            self._log.event(
                "info",
                "outage_bounded_by_session",
                outage_ridden_out=round(ridden_out, 3),
                session_timeout=event.granted,
            )

    def _on_signal(self, number: int, *, by_terminal: bool) -> None:
        has_it = by_terminal and self._job.in_our_group
        match meaning_of(number, self._state.phase, has_it=has_it):
            case Meaning.LEAVE:
                self._step(LeaveAsked(signal=number))
            case Meaning.FORWARD | Meaning.FORWARD_TO_GROUP as meaning:
                # Between two runs of the command the guard has nobody to hand it to.
                self._tell_guard(wire.Forward(signal=number, to_group=meaning is Meaning.FORWARD_TO_GROUP))
            case Meaning.STOP_JOB:
                # A hook is no part of the job: it goes on, as the lease does.
                is_in_it = self._state.phase in (Phase.LEADING, Phase.STOPPING)
                has_command = is_in_it and not self._state.is_electing
                self._job.handle(job.StopAsked(signal=number, by_terminal=by_terminal, has_command=has_command))
            case Meaning.CONTINUE_JOB:
                self._job.handle(job.ContinueAsked())
            case Meaning.REAP:
                self._custody.reap_orphans()
            case Meaning.NOTHING:
                pass

    # ---- the guard

    @property
    def _lease_start(self) -> Instant | None:
        held = self._state.chain.held
        # Of the lease under which something of the command, or a hook, may be there.
        return held.lease_start if held is not None and self._state.phase in IN_TENURE else None

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
        self.course = guard_words.course_after(self.course, message)
        if (line := guard_words.line_of(message)) is not None:
            self._log.event(line.level, line.event, **line.facts)
        if (event := guard_words.event_of(message)) is not None:
            self._step(event)
        if isinstance(message, wire.Started):
            self._log.hurry()

    def _on_job_news(self, message: wire.Message) -> None:
        if isinstance(message, wire.FirstStopped):
            self._job.handle(message)
            if self._job.is_halted:
                self._log.event("warning", "command_halted", signal=readable({"signal": message.signal})["signal"])
        elif isinstance(message, wire.Started | wire.Continued):
            self._job.handle(message)
        elif isinstance(message, wire.FirstEnded | wire.Gone | wire.TooLate | wire.ExecFailed):
            self._job.handle(job.Ended())
