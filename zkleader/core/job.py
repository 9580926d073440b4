"""The command as a job of a terminal: where it runs, and what follows when it is stopped or we are continued.

It owns these decisions.  It must not know leases: job control moves no deadline, and a command that is stopped is
killed at its time all the same.  It makes no system call, and what it is told of the terminal may be old when it is
read.  It does not promise that anybody continues us.

A stopped job goes on in this order: the shell puts our group into the foreground and continues it; where the command
has a group of its own, we do the same to that; then the guard is told, and answers.  What it says of a stop before its
answer may be of the one that is over; of a stop that lasts it speaks again behind it, for the user may have pressed
Ctrl-Z at any instant between.
"""

from __future__ import annotations

from enum import Enum

from zkleader.core import wire
from zkleader.core.value import Value


class Place(Enum):
    """Where the command runs, decided once at our start."""

    APART = "apart"
    """In a process group of its own; the terminal, if there is one, is not its business."""
    FOREGROUND = "foreground"
    """In a process group of its own, which is the terminal's foreground group whenever ours would be."""
    SHARED = "shared"
    """In our own process group, where others are too: the terminal treats all of it as one job."""


class Foreground(Enum):
    """Whose group is the terminal's foreground group."""

    OURS = "ours"
    COMMANDS = "commands"
    OTHERS = "others"
    """The shell's, or another job's: we are in the background.  Or there is no terminal."""


class Phase(Enum):
    """The job's one state machine."""

    RUNNING = "running"
    """As far as we know; or there is no command yet."""
    ASKED = "asked"
    """We were asked to stop, and do so as soon as the command has stopped."""
    HALTED = "halted"
    """The command is stopped and we are not: renewing goes on."""
    WANTING = "wanting"
    """The same, because it has used the terminal in the background."""
    STOPPED = "stopped"
    """We are to stop as well."""
    CONTINUING = "continuing"
    """The command was continued; what the guard said before it has heard of that is no news."""
    ENDED = "ended"
    """The command's first process has ended: there is nobody to wait for."""


class State(Value):
    """Everything that the decisions depend on, for one tenure."""

    place: Place
    phase: Phase = Phase.RUNNING
    group: int | None = None
    """The command's first process, once it is known, and so its group unless that is ours."""


class StopAsked(Value):
    """We were sent SIGTSTP, the ``signal``; ``by_terminal``: everything else in our group was too."""

    signal: int
    by_terminal: bool
    has_command: bool


class Ended(Value):
    """The command's first process has ended, or there will be none."""


class Looked(Value):
    """Somebody has looked at the terminal: a shell that moves a running job to the foreground tells nobody."""


class ContinueAsked(Value):
    """We were sent SIGCONT, or could not be stopped because nobody would continue us."""


class TellGuard(Value):
    """Say this to the guard."""

    message: wire.Message


class GiveTerminal(Value):
    """Make this the terminal's foreground group and continue it, as a shell's ``fg`` does."""

    group: int


class ContinueGroup(Value):
    """Continue everything in our group."""


class TakeTerminal(Value):
    """Make our group the terminal's foreground group again."""


class StopOurselves(Value):
    """Stop this process, so that the shell sees a stopped job."""


Event = StopAsked | ContinueAsked | Looked | wire.Started | wire.FirstStopped | wire.Continued | Ended
Action = TellGuard | GiveTerminal | ContinueGroup | TakeTerminal | StopOurselves
Outcome = tuple[State, tuple[Action, ...]]


def place_of(*, has_terminal: bool, reads_terminal: bool, is_alone: bool) -> Place:
    """Decide where the command runs.

    ``has_terminal``: we have a controlling terminal; ``reads_terminal``: it is our standard input; ``is_alone``: nobody
    else is in our process group, nor is about to be.
    """
    if not has_terminal:
        return Place.APART
    if not is_alone:
        return Place.SHARED
    return Place.FOREGROUND if reads_terminal else Place.APART


def step(state: State, event: Event, foreground: Foreground, *, in_our_group: bool) -> Outcome:
    """Return the state after an event and what is to be done, in this order.

    ``in_our_group``: the command shares our group, and has not left it as ``timeout`` and ``setsid`` do.  Whoever
    performs `StopOurselves` hands in `ContinueAsked` when it returns.
    """
    match event:
        case wire.Started(pid=pid):
            return state.but(group=pid), ()
        case Ended():
            return state.but(phase=Phase.ENDED), (TakeTerminal(),)
        case wire.FirstStopped():
            return _first_stopped(state, event, foreground, in_our_group=in_our_group)
        case wire.Continued():
            return state.but(phase=Phase.RUNNING) if state.phase is Phase.CONTINUING else state, ()
        case StopAsked():
            return _stop_asked(state, event, in_our_group=in_our_group)
        case ContinueAsked():
            return _continue(state, foreground, in_our_group=in_our_group)
        case Looked():
            return _looked(state, in_our_group=in_our_group) if foreground is Foreground.OURS else (state, ())


def _first_stopped(state: State, event: wire.FirstStopped, foreground: Foreground, *, in_our_group: bool) -> Outcome:
    state = state.but(group=event.pid)
    # The race: the guard may have said this before it heard that the command was continued; it would stop us again,
    # just after the user has continued us.  A stop that came later it says once more, behind its answer.
    if state.phase in (Phase.CONTINUING, Phase.ENDED):
        return state, ()
    if state.phase is Phase.ASKED:
        return _stop(state)
    if state.place is not Place.FOREGROUND or foreground is Foreground.OTHERS:
        # One that is stopped for this although our group is in the foreground would be stopped again at once, and be
        # continued for ever.
        in_background = foreground is Foreground.OTHERS and state.place is not Place.APART
        is_wanting = event.wants_terminal and in_background
        return state.but(phase=Phase.WANTING if is_wanting else Phase.HALTED), ()
    # The race: it may have asked for the terminal just before that was given to it.
    if not event.wants_terminal:
        return _stop(state)
    return _continue(state.but(phase=Phase.HALTED), foreground, in_our_group=in_our_group)


def _stop_asked(state: State, event: StopAsked, *, in_our_group: bool) -> Outcome:
    if not event.has_command or state.phase is Phase.ENDED:
        return _stop(state)
    has_it = event.by_terminal and in_our_group
    forward = () if has_it else (TellGuard(message=wire.Forward(signal=event.signal, to_group=True)),)
    # The race: of a job that is stopped as one, the command may be seen to stop before we are told to.
    if state.phase in (Phase.HALTED, Phase.WANTING):
        state, actions = _stop(state)
        return state, (*forward, *actions)
    # It may have things to do before it stops, or not want to stop; then neither do we.
    return state.but(phase=Phase.ASKED), forward


def _stop(state: State) -> Outcome:
    phase = state.phase if state.phase is Phase.ENDED else Phase.STOPPED
    return state.but(phase=phase), (TakeTerminal(), StopOurselves())


def _looked(state: State, *, in_our_group: bool) -> Outcome:
    """Our group is in the foreground."""
    has_own_group = state.place is Place.FOREGROUND
    if state.phase is Phase.WANTING or (state.phase is Phase.HALTED and has_own_group):
        state, actions = _continue(state, Foreground.OURS, in_our_group=in_our_group)
        # The terminal has stopped our neighbours as well.  Not us, so the shell thinks that the job runs and continues
        # nobody.
        return state, actions if has_own_group else (ContinueGroup(), *actions)
    if state.phase is Phase.RUNNING and has_own_group and state.group is not None:
        return state, (GiveTerminal(group=state.group),)
    return state, ()


def _continue(state: State, foreground: Foreground, *, in_our_group: bool) -> Outcome:
    if state.phase is Phase.ENDED:
        return state, ()
    if state.group is None:
        return state.but(phase=Phase.RUNNING), ()
    # In the background it is continued without the terminal.
    wants = state.place is Place.FOREGROUND and foreground is Foreground.OURS
    give = (GiveTerminal(group=state.group),) if wants else ()
    if state.phase is Phase.CONTINUING:
        return state, give
    # The race: the user may stop it again before the guard hears of this, and the guard's SIGCONT would undo that.  So
    # the guard sends one only to whom the terminal cannot stop now.  In our group whoever has continued us has
    # continued it too; and one that runs is not continued: after a stop we learn twice that we run again.
    is_continued = wants or in_our_group or state.phase is Phase.RUNNING
    return state.but(phase=Phase.CONTINUING), (*give, TellGuard(message=wire.Continue(is_continued=is_continued)))
