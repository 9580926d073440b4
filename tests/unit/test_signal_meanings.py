"""What a signal means, phase by phase: a table, because each line of it is a promise to users."""

import signal

import pytest

from zkleader.core.candidacy_state import Phase
from zkleader.signals import TAKEN, TAKEN_AS_FIRST, Meaning, meaning_of

QUEUEING = (Phase.JOINING, Phase.WAITING, Phase.RELEASING, Phase.LEAVING)
LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
STOP = (signal.SIGTERM, signal.SIGINT)


def meanings(phase: Phase, *, has_it: bool = False) -> dict[int, Meaning]:
    """Return the meaning of every signal that is taken and is not the job's."""
    numbers = set(TAKEN) - {signal.SIGTSTP, signal.SIGCONT}
    return {number: meaning_of(number, phase, has_it=has_it) for number in numbers}


@pytest.mark.parametrize("phase", QUEUEING)
def test_without_a_command_what_ends_programs_leaves_the_queue(phase: Phase) -> None:
    """And what a command might be told is for nobody."""
    for number, meaning in meanings(phase).items():
        assert meaning is (Meaning.LEAVE if number in LEAVE else Meaning.NOTHING)


@pytest.mark.parametrize("phase", [Phase.LEADING, Phase.STOPPING, Phase.RESTARTING])
def test_with_a_command_two_signals_stop_it_and_the_others_are_its_own(phase: Phase) -> None:
    """A daemon that reloads on SIGHUP does so under us as well."""
    for number, meaning in meanings(phase).items():
        if number in STOP:
            assert meaning is Meaning.LEAVE
        else:
            assert meaning is (Meaning.FORWARD_TO_GROUP if number == signal.SIGQUIT else Meaning.FORWARD)


def test_what_the_terminal_has_sent_to_the_command_too_is_not_sent_again() -> None:
    """Ctrl-C is its own affair; once it is being stopped, a second one wants it killed; an ended one has nothing."""
    assert set(meanings(Phase.LEADING, has_it=True).values()) == {Meaning.NOTHING}
    for number, meaning in meanings(Phase.STOPPING, has_it=True).items():
        assert meaning is (Meaning.LEAVE if number in STOP else Meaning.NOTHING)
    assert meanings(Phase.RESTARTING, has_it=True) == meanings(Phase.RESTARTING)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ENDED])
def test_job_control_and_orphans_do_not_ask_for_the_phase(phase: Phase) -> None:
    """Ctrl-Z stops one who waits as well."""
    for has_it in (False, True):
        assert meaning_of(signal.SIGTSTP, phase, has_it=has_it) is Meaning.STOP_JOB
        assert meaning_of(signal.SIGCONT, phase, has_it=has_it) is Meaning.CONTINUE_JOB
        assert meaning_of(signal.SIGCHLD, phase, has_it=has_it) is Meaning.REAP


def test_orphans_are_ours_only_as_the_first_process() -> None:
    """Elsewhere SIGCHLD tells of the guard alone, which has a descriptor for that."""
    assert set(TAKEN_AS_FIRST) - set(TAKEN) == {signal.SIGCHLD}
