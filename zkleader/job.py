"""The command as a job of our terminal: what ``core.job`` decides is performed here, for one tenure.

It owns that state and the order of its effects.  It must not know the candidacy, nor how the guard is reached.  It does
not promise that we are stopped when it says so: nobody might be there to continue us.
"""

from __future__ import annotations

from collections.abc import Callable

from zkleader.core import job, wire
from zkleader.terminal import Terminal, stop_ourselves

LOOK_INTERVAL = 0.25
"""Seconds between looks at the terminal for a command that is stopped: the user who types ``fg`` waits so long."""


class Job:
    """One command's life as a job."""

    def __init__(self, terminal: Terminal, tell_guard: Callable[[wire.Message], None]) -> None:
        self._terminal = terminal
        self._tell_guard = tell_guard
        self._state = job.State(place=terminal.place)

    @property
    def is_halted(self) -> bool:
        """Whether the command is stopped and we are not."""
        return self._state.phase in (job.Phase.HALTED, job.Phase.WANTING)

    @property
    def in_our_group(self) -> bool:
        """Whether the command runs in our group, where what the terminal and the shell send reaches both."""
        first = self._state.group
        return self._state.place is job.Place.SHARED and first is not None and not self._terminal.has_left(first)

    def handle(self, event: job.Event) -> None:
        """Take an event, and do what follows from it."""
        # The race: a Ctrl-Z before exec is told before the start is, and it names the group that we do not know yet.
        group = event.pid if isinstance(event, wire.FirstStopped) else self._state.group
        foreground = self._terminal.foreground(group)
        self._state, actions = job.step(self._state, event, foreground, in_our_group=self.in_our_group)
        for action in actions:
            self._perform(action)

    def _perform(self, action: job.Action) -> None:
        match action:
            case job.TellGuard(message=message):
                self._tell_guard(message)
            case job.GiveTerminal(group=group):
                self._terminal.give(group)
            case job.ContinueGroup():
                self._terminal.continue_group()
            case job.TakeTerminal():
                self._terminal.take(self._state.group)
            case job.StopOurselves():
                stop_ourselves()
                self.handle(job.ContinueAsked())
