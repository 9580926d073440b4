"""Faults of the core that the simulation in ``tests/property`` has found, each as the shortest script that shows it."""

from candidacy_script import ELECTION, OWN, RECORD, Script, record, stat

from zkleader.core.actions import End, Finish, Multi
from zkleader.core.candidacy_state import Phase
from zkleader.core.events import Connected, Content, GuardFailed, Refusal, Refused, Suspended, Unanswered


def test_a_guard_that_fails_on_the_way_out_of_a_lost_candidacy_is_not_followed_by_another() -> None:
    """The next candidacy was elected with that guard, which could start nothing: nobody led, and nobody else could."""
    script = Script()
    script.join()
    script.do(1, Suspended())
    script.answer(1, Multi, Unanswered())
    script.do(2, Connected(granted=20.0, server="s"))
    script.answer(2, f"{ELECTION}/{OWN}", Refused(refusal=Refusal.NO_NODE))
    assert script.state.phase is Phase.RELEASING  # nobody knows what became of its claim
    assert script.do(2, GuardFailed(reason="guard_died", proven=True)) == []
    (finish,) = script.answer(2, RECORD, Content(data=record(), stat=stat(1)))
    assert isinstance(finish, Finish)
    assert finish.outcome.end is End.GUARD_FAILED
