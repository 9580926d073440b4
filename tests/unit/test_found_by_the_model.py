"""Faults of the core that the simulation in ``tests/property`` has found, each as the shortest script that shows it."""

from candidacy_script import ELECTION, OWN, Script

from zkleader.core.actions import End, Finish, Multi
from zkleader.core.events import GuardFailed, Refusal, Refused, Touched
from zkleader.core.turn import Phase


def test_a_guard_that_fails_on_the_way_out_of_a_lost_candidacy_is_not_followed_by_another() -> None:
    """The next candidacy was elected with that guard, which could start nothing: nobody led, and nobody else could."""
    script = Script()
    script.join()
    script.do(1, Touched(path=f"{ELECTION}/{OWN}"))
    script.answer(1, f"{ELECTION}/{OWN}", Refused(refusal=Refusal.NO_NODE))
    assert script.state.phase is Phase.RELEASING  # its claim is still under way
    assert script.do(1, GuardFailed(reason="guard_died", proven=True)) == []
    (finish,) = script.answer(2, Multi, Refused(refusal=Refusal.NO_NODE))
    assert isinstance(finish, Finish)
    assert finish.outcome.end is End.GUARD_FAILED
