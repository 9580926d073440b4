"""Job control, as scripts of event -> expected actions: who is stopped, continued, and given the terminal, and when."""

from signal import SIGSTOP, SIGTSTP, SIGTTIN

import pytest

from zkleader.core import wire
from zkleader.core.job import (
    Action,
    ContinueAsked,
    ContinueGroup,
    Ended,
    Event,
    Foreground,
    GiveTerminal,
    Looked,
    Phase,
    Place,
    State,
    StopAsked,
    StopOurselves,
    TakeTerminal,
    TellGuard,
    place_of,
    step,
)

PID = 4711
STARTED = wire.Started(pid=PID)
CTRL_Z = StopAsked(signal=SIGTSTP, by_terminal=True, has_command=True)
KILL_TSTP = StopAsked(signal=SIGTSTP, by_terminal=False, has_command=True)
FORWARD = TellGuard(message=wire.Forward(signal=SIGTSTP, to_group=True))
STOP = (TakeTerminal(), StopOurselves())
GIVE = GiveTerminal(group=PID)


def stopped(number: int = SIGTSTP) -> wire.FirstStopped:
    return wire.FirstStopped(pid=PID, signal=number, wants_terminal=number == SIGTTIN)


GO_ON = TellGuard(message=wire.Continue(is_continued=False))
GOES_ON = TellGuard(message=wire.Continue(is_continued=True))


def play(place: Place, *script: tuple[Event, Foreground, tuple[Action, ...]], has_left: bool = False) -> State:
    """Run a script after the command's start; return the last state."""
    in_our_group = place is Place.SHARED and not has_left
    state, _ = step(State(place=place), STARTED, Foreground.OTHERS, in_our_group=in_our_group)
    for event, foreground, expected in script:
        state, actions = step(state, event, foreground, in_our_group=in_our_group)
        assert actions == expected, event
    return state


@pytest.mark.parametrize(
    ("has_terminal", "reads_terminal", "is_alone", "place"),
    [
        (False, False, True, Place.APART),
        (False, False, False, Place.APART),
        (True, True, True, Place.FOREGROUND),
        (True, False, True, Place.APART),
        (True, True, False, Place.SHARED),
        (True, False, False, Place.SHARED),
    ],
)
def test_a_place_follows_from_the_terminal_and_the_company(
    *, has_terminal: bool, reads_terminal: bool, is_alone: bool, place: Place
) -> None:
    """Cron's pipeline has no terminal; a terminal's pipeline is one job, whatever end of it we are."""
    assert place_of(has_terminal=has_terminal, reads_terminal=reads_terminal, is_alone=is_alone) is place


def test_a_foreground_command_that_is_stopped_stops_us_and_is_continued_with_us() -> None:
    """Ctrl-Z goes to it alone; the shell sees us stop, and `fg` continues us."""
    state = play(
        Place.FOREGROUND,
        (stopped(), Foreground.COMMANDS, STOP),
        (ContinueAsked(), Foreground.OURS, (GIVE, GOES_ON)),
        (wire.Continued(), Foreground.COMMANDS, ()),
        (stopped(SIGSTOP), Foreground.COMMANDS, STOP),
    )
    assert state.phase is Phase.STOPPED


def test_bg_continues_it_without_the_terminal() -> None:
    """The shell keeps it."""
    play(
        Place.FOREGROUND,
        (stopped(), Foreground.COMMANDS, STOP),
        (ContinueAsked(), Foreground.OTHERS, (GO_ON,)),
    )


def test_what_was_said_before_it_was_continued_is_no_news() -> None:
    """Else a stop that was reported while we were stopped would stop us again as soon as the user continues us.

    What came later the guard says again.
    """
    state = play(
        Place.FOREGROUND,
        (stopped(), Foreground.COMMANDS, STOP),
        (ContinueAsked(), Foreground.OURS, (GIVE, GOES_ON)),
        (stopped(), Foreground.COMMANDS, ()),
        (ContinueAsked(), Foreground.COMMANDS, ()),
        (stopped(), Foreground.COMMANDS, ()),
        (wire.Continued(), Foreground.COMMANDS, ()),
        (stopped(), Foreground.COMMANDS, STOP),
    )
    assert state.phase is Phase.STOPPED


def test_that_we_were_continued_is_learned_twice_and_sends_one_signal() -> None:
    """By running again and from the shell: a second one would undo a Ctrl-Z that was pressed between the two."""
    play(
        Place.FOREGROUND,
        (stopped(), Foreground.COMMANDS, STOP),
        (ContinueAsked(), Foreground.OURS, (GIVE, GOES_ON)),
        (wire.Continued(), Foreground.COMMANDS, ()),
        (ContinueAsked(), Foreground.COMMANDS, (GOES_ON,)),
    )


def test_a_background_command_that_reads_does_not_stop_us() -> None:
    """Renewing goes on; `fg` gives it the terminal."""
    play(
        Place.FOREGROUND,
        (stopped(SIGTTIN), Foreground.OTHERS, ()),
        (ContinueAsked(), Foreground.OURS, (GIVE, GOES_ON)),
    )


def test_a_shell_that_moves_us_to_the_foreground_without_a_word_is_noticed() -> None:
    """Bash sends SIGCONT only to a job that it has seen stop."""
    look = Looked()
    play(
        Place.FOREGROUND,
        (look, Foreground.OTHERS, ()),
        (look, Foreground.OURS, (GIVE,)),
        (look, Foreground.COMMANDS, ()),
        (stopped(SIGTTIN), Foreground.OTHERS, ()),
        (look, Foreground.OTHERS, ()),
        (look, Foreground.OURS, (GIVE, GOES_ON)),
        (look, Foreground.COMMANDS, ()),
    )
    # The terminal has stopped its neighbours too, and nobody else would continue them.
    play(Place.SHARED, (stopped(SIGTTIN), Foreground.OTHERS, ()), (look, Foreground.OURS, (ContinueGroup(), GOES_ON)))
    # Who was stopped on purpose stays so.
    play(
        Place.SHARED, (look, Foreground.OURS, ()), (stopped(SIGSTOP), Foreground.OURS, ()), (look, Foreground.OURS, ())
    )


def test_a_command_that_cannot_be_given_the_terminal_is_not_continued_for_ever() -> None:
    """Apart, or in a group that it made itself, it would be stopped again at once."""
    look = Looked()
    for place in (Place.APART, Place.SHARED):
        play(place, (stopped(SIGTTIN), Foreground.OURS, ()), (look, Foreground.OURS, ()))
    play(Place.APART, (stopped(SIGTTIN), Foreground.OTHERS, ()), (look, Foreground.OURS, ()))


def test_a_command_that_wants_the_terminal_while_we_are_in_the_foreground_gets_it() -> None:
    """It may have asked just before it was given."""
    play(Place.FOREGROUND, (stopped(SIGTTIN), Foreground.OURS, (GIVE, GOES_ON)))
    play(Place.FOREGROUND, (stopped(SIGTTIN), Foreground.COMMANDS, (GO_ON,)))


@pytest.mark.parametrize("place", [Place.APART, Place.SHARED])
def test_a_command_that_is_stopped_by_somebody_else_does_not_stop_us(place: Place) -> None:
    """An operator's kill -STOP is no reason to lose leadership, nor are we a job that anybody would continue."""
    state = play(place, (stopped(SIGSTOP), Foreground.OTHERS, ()))
    assert state.phase is Phase.HALTED


def test_of_a_shared_group_we_stop_when_the_command_has() -> None:
    """The terminal has stopped it as well, and whoever continues us continues it: told again, it would be too late."""
    play(
        Place.SHARED,
        (CTRL_Z, Foreground.OTHERS, ()),
        (stopped(), Foreground.OTHERS, STOP),
        (ContinueAsked(), Foreground.OTHERS, (GOES_ON,)),
    )


def test_a_command_that_has_left_the_shared_group_is_stopped_and_continued_by_us() -> None:
    """As ``timeout`` does: the terminal does not reach it."""
    play(
        Place.SHARED,
        (CTRL_Z, Foreground.OTHERS, (FORWARD,)),
        (stopped(), Foreground.OTHERS, STOP),
        (ContinueAsked(), Foreground.OTHERS, (GO_ON,)),
        has_left=True,
    )


def test_its_stop_may_be_known_before_our_own() -> None:
    """Guard and terminal are two ways."""
    play(Place.SHARED, (stopped(), Foreground.OTHERS, ()), (CTRL_Z, Foreground.OTHERS, STOP))


def test_apart_we_pass_it_on_and_wait_for_the_command() -> None:
    """With standard input from a file, Ctrl-Z reaches us alone."""
    play(Place.APART, (CTRL_Z, Foreground.OTHERS, (FORWARD,)), (stopped(), Foreground.OTHERS, STOP))
    play(Place.SHARED, (KILL_TSTP, Foreground.OTHERS, (FORWARD,)), (stopped(), Foreground.OTHERS, STOP))


def test_a_command_that_does_not_want_to_stop_is_continued_all_the_same() -> None:
    """And what it says of a stop later is news."""
    state = play(
        Place.APART,
        (CTRL_Z, Foreground.OTHERS, (FORWARD,)),
        (ContinueAsked(), Foreground.OTHERS, (GO_ON,)),
        (wire.Continued(), Foreground.OTHERS, ()),
    )
    assert state.phase is Phase.RUNNING


def test_without_a_command_we_stop_at_once() -> None:
    """Waiting in the queue, there is nobody to wait for."""
    asked = CTRL_Z.but(has_command=False)
    for place in Place:
        state, actions = step(State(place=place), asked, Foreground.OURS, in_our_group=False)
        assert actions == STOP
        state, actions = step(state, ContinueAsked(), Foreground.OURS, in_our_group=False)
        assert (state.phase, actions) == (Phase.RUNNING, ())


def test_a_stop_while_the_command_starts_is_told_to_the_guard() -> None:
    """The race: the terminal may have sent it before the command was there."""
    _, actions = step(State(place=Place.SHARED), CTRL_Z, Foreground.OTHERS, in_our_group=False)
    assert actions == (FORWARD,)


def test_what_has_ended_gives_the_terminal_back_and_keeps_nobody_from_stopping() -> None:
    """Its group is empty, so Ctrl-C would reach nobody."""
    state = play(
        Place.FOREGROUND,
        (Ended(), Foreground.COMMANDS, (TakeTerminal(),)),
        (stopped(), Foreground.OURS, ()),
        (CTRL_Z, Foreground.OURS, STOP),
        (ContinueAsked(), Foreground.OURS, ()),
    )
    assert state.phase is Phase.ENDED
