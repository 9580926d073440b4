"""The supervisor's dealings with its guard: one guard, watched by beats, ended with everything of its command.

It owns the guard's process, the messages both ways, and the judgement that the guard has failed, which the core cannot
make.  It must not know candidacies.  It does not promise that a guard that answers does its work; the guard's own tests
are for that.

A guard that was killed is told by its socket and pidfd; one that is frozen, only by beats that nobody answers
(``core.beats``).
"""

from __future__ import annotations

import os
import select
import sys

from zkleader.config import Config
from zkleader.core import wire
from zkleader.core.beats import Beats
from zkleader.core.lease import Instant
from zkleader.core.value import Value
from zkleader.guard import system
from zkleader.guard.handle import Ending, GuardGoneError, GuardHandle, Noted, end_everything
from zkleader.guard.orphans import reap_orphans
from zkleader.guard.settings import GuardSettings
from zkleader.terminal import Terminal

_PACKAGE = os.path.dirname(os.path.abspath(__file__))

_FAREWELL = 2.0
"""Seconds in which a dismissed guard ends."""

_RELEASE_PATIENCE = 10.0
"""Seconds that a guard may take to release for us."""

_PROOF_PATIENCE = 5.0
"""Seconds for killing what a failed guard left behind: longer than any tree took when it was measured."""


class Inherited(Value):
    """What we were started with and hand on to the command."""

    ignored_signals: tuple[int, ...]
    signal_mask: tuple[int, ...]
    children: frozenset[Noted]
    """Children from before we were executed; they are not the command's."""
    terminal: Terminal


class Custody:
    """One guard from its execution to its end, as the supervisor sees it.

    ``lease_start`` below is that of the lease as last confirmed, None when there is none.
    """

    def __init__(
        self, config: Config, inherited: Inherited, poll: select.poll, sign_interval: float | None = None
    ) -> None:
        self._timing = config.timing
        self._on_lost_patience = config.hooks.timeout if config.hooks.on_lost else 0.0
        self._children = inherited.children
        self._poll = poll
        self._beats = Beats(timing=config.timing, sign_interval=sign_interval)
        self._answered_at: float | None = None
        self._is_watched = True
        self._guard = GuardHandle.spawn(_settings(config, inherited))
        self._descriptors = (self._guard.fileno(), self._guard.pidfd)
        for descriptor in self._descriptors:
            self._poll.register(descriptor, select.POLLIN)

    @property
    def has_ended(self) -> bool:
        """Whether the guard was ended, as far as that could be had; nothing is to be heard from it any more."""
        return not self._is_watched

    @property
    def is_used(self) -> bool:
        """Whether this guard was told to start the command: then it is used up with this tenure."""
        return self._beats.has_command

    def send(self, message: wire.Message) -> bool:
        """Send a message; return whether there is a guard to take it."""
        if isinstance(message, wire.Start):
            self._beats = self._beats.but(has_command=True)
        try:
            self._guard.send(message)
        except GuardGoneError:
            return False
        self._poll_for_room()
        return True

    def hear(self) -> list[wire.Message]:
        """Return what the guard has said.

        Raises:
            GuardGoneError: it has ended, and everything that it had said was returned before.
            MalformedMessageError: it is no guard of ours.
        """
        self._guard.flush()
        self._poll_for_room()
        # Asked before reading, so that its last words are not missed.  The socket alone would not do: a descriptor
        # that leaked into another process keeps it open.
        has_ended = self._guard.reap(0)
        messages = self._guard.receive()
        if messages:
            self._beats = self._beats.heard()
            self._answered_at = system.now().monotonic
        elif has_ended or self._guard.closed:
            raise GuardGoneError
        return messages

    def answered_at(self, now: Instant) -> float | None:
        """Return when the guard last said anything (CLOCK_MONOTONIC); one that was ended owes nobody an answer."""
        return now.monotonic if self.has_ended else self._answered_at

    def beat_in(self, now: Instant, lease_start: Instant | None) -> float:
        """Return the seconds until the next beat is to be sent; without a guard, until systemd is to hear from us."""
        return self._beats.interval if self.has_ended else self._beats.due_in(now, lease_start)

    def beat(self, now: Instant) -> bool:
        """Ask for a sign of life; return whether there is a guard to ask."""
        self._beats = self._beats.sent(now)
        return self.send(wire.Beat(number=self._beats.count))

    def is_silent(self, asked_at: float, now: Instant, lease_start: Instant | None) -> bool:
        """Judge the guard by an instant (CLOCK_MONOTONIC) that was read before the last poll (see `Beats`)."""
        return self._beats.is_silent(asked_at, now, lease_start)

    def reap_orphans(self) -> None:
        """Reap what was handed to us as PID 1 and has ended; the guard's end is the guard's handle's to take."""
        reap_orphans({self._guard.pid})

    def end_everything(self) -> Ending:
        """End the guard and everything of the command by ourselves."""
        ending = end_everything(self._guard, noted=self._children, within=_PROOF_PATIENCE)
        self._forget()
        return ending

    def leave_it_to_the_guard(self, now: Instant, lease_start: Instant | None) -> bool:
        """Hang up: the guard then ends the command and releases, as it does for a supervisor that died.

        Returns whether everything is proven gone.
        """
        self._guard.hang_up()
        patience = self._timing.grace + self._timing.kill_allowance + self._on_lost_patience + _RELEASE_PATIENCE
        if self.is_used and lease_start is not None:
            # It may be frozen, and there are no beats any more: by SIGKILL's time it has done its work or we do it.
            patience = min(patience, self._timing.kill_after - now.held_since(lease_start))
        if self._guard.reap(patience):
            self._forget()
            return True
        return self.end_everything().proven

    def dismiss(self) -> None:
        """Let a guard whose command is gone end; give it back its descriptors."""
        if not self.has_ended:
            if self.send(wire.Dismiss()):
                self._guard.flush()
            if not self._guard.reap(_FAREWELL):
                self._guard.kill()
                self._guard.reap(_FAREWELL)
            self._forget()
        self._guard.close()

    def _poll_for_room(self) -> None:
        """Let room in the socket end a poll while something waits for it: it may be the order to stop."""
        if self._is_watched:
            room = select.POLLOUT if self._guard.wants_write else 0
            self._poll.modify(self._guard.fileno(), select.POLLIN | room)

    def _forget(self) -> None:
        self._is_watched = False
        for descriptor in self._descriptors:
            self._poll.unregister(descriptor)


def _settings(config: Config, inherited: Inherited) -> GuardSettings:
    return GuardSettings(
        argv=config.argv,
        executable=config.executable,
        environment=config.environment,
        timing=config.timing,
        on_elected=config.on_elected,
        on_lost=config.on_lost,
        hook_timeout=config.hook_timeout,
        stop_signal=config.stop_signal,
        on_disconnect=config.on_disconnect,
        supervisor_pid=os.getpid(),
        place=inherited.terminal.place,
        supervisor_group=inherited.terminal.group,
        ignored_signals=inherited.ignored_signals,
        signal_mask=inherited.signal_mask,
        # The guard runs without site: what we were found through, and where our own package lies.
        search_path=(*(path for path in sys.path if path), os.path.dirname(_PACKAGE)),
        release={
            "access": config.access.to_json(),
            "election": config.access.hosts.chroot + config.election,
            "reason": "supervisor_gone",
            "status": None,
        },
    )
