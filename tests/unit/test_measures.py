"""What is counted of a run, as scripts: events go into the core, and figures come out."""

from __future__ import annotations

import pytest
from candidacy_script import ELECTION, OWN, RECORD, Script, at, record, stat

from zkleader.core.actions import Action, Multi
from zkleader.core.candidacy_state import Memory
from zkleader.core.events import (
    Applied,
    CommandGone,
    Content,
    Event,
    Refusal,
    Refused,
    SessionLost,
    Touched,
    Unanswered,
)
from zkleader.core.measures import Figures, Measures, measure
from zkleader.core.wire import Cause

AHEAD = "other-n_0000000003"
GONE = CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True)


class Measured(Script):
    """A script whose every step is measured, over several candidacies if need be."""

    measures = Measures()

    def do(self, seconds: float, event: Event | None = None) -> list[Action]:
        actions = super().do(seconds, event)
        self.measures = measure(self.measures, self.state, at(seconds))
        return actions

    @property
    def figures(self) -> Figures:
        return self.measures.figures


def test_a_run_that_waits_counts_nothing() -> None:
    """From the beginning on it does not lead."""
    script = Measured()
    script.join(0, AHEAD)
    assert script.figures == Figures()


def test_a_takeover_counts_from_being_first_in_the_queue() -> None:
    """Not from joining it, and with the lease that is waited out."""
    script = Measured()
    script.join(0, AHEAD, data=record(released=False))
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    script.do(100, Touched(path=f"{ELECTION}/{AHEAD}", is_deleted=True))
    script.claimed(101)
    assert script.figures.takeover == 1
    assert script.figures.tenures == 1
    assert script.figures.is_leading


def test_a_lease_that_is_waited_out_is_part_of_the_takeover() -> None:
    """That is what the others saw of it."""
    script = Measured()
    script.join(0, data=record(released=False))
    script.do(10.4)
    script.claimed(10.5)
    assert script.figures.takeover == 10.5


def test_renewals_are_counted_when_they_are_confirmed() -> None:
    """A claim is none; the instant is that of the sending."""
    script = Measured()
    script.lead()
    assert (script.figures.confirmed, script.figures.lease_start) == (0, at(0))
    for renewal, seconds in enumerate((2, 4, 6), start=1):
        script.do(seconds)
        script.claimed(seconds + 0.5, version=2 + renewal)
        assert (script.figures.confirmed, script.figures.lease_start) == (renewal, at(seconds))
    assert script.figures.failed == 0


@pytest.mark.parametrize("answer", [Unanswered(), Refused(refusal=Refusal.BAD_VERSION), None])
def test_a_renewal_that_is_refused_or_not_answered_has_failed(answer: Unanswered | Refused | None) -> None:
    """By a word or by silence; once."""
    script = Measured()
    script.lead()
    script.do(2)
    if answer is None:
        script.do(6.1)
    else:
        script.answer(3, Multi, answer)
    assert (script.figures.confirmed, script.figures.failed) == (0, 1)
    script.do(6.2)
    assert script.figures.failed == 1


def test_a_renewal_that_is_found_by_a_read_is_confirmed_as_well() -> None:
    """The answer was lost, which is worth counting, and the lease was extended."""
    script = Measured()
    script.lead()
    script.do(2)
    script.answer(3, Multi, Refused(refusal=Refusal.BAD_VERSION))
    script.answer(3, RECORD, Content(data=record(released=False, holder="guid", beat=2), stat=stat(3)))
    assert script.figures.failed == 1
    script = Measured()
    script.lead()
    script.do(2)
    script.answer(3, Multi, Unanswered())
    script.answer(3, ELECTION, Applied())
    script.answer(3, RECORD, Content(data=record(released=False, holder="guid", beat=2), stat=stat(3)))
    assert (script.figures.confirmed, script.figures.failed) == (1, 1)
    assert script.figures.lease_start == at(2)


def test_a_release_is_no_renewal() -> None:
    """Nor is it a failed one when it is not answered."""
    script = Measured()
    script.lead()
    script.do(1, GONE)
    script.answer(1, Multi, Applied(stats=(stat(3), None)))
    assert (script.figures.confirmed, script.figures.failed) == (0, 0)
    assert not script.figures.is_leading


def test_leadership_ends_with_its_loss() -> None:
    """And not when all of the command is gone."""
    script = Measured()
    script.lead()
    script.do(3, SessionLost(reason="session_expired"))
    assert not script.figures.is_leading
    assert script.figures.tenures == 1


def test_figures_go_on_over_candidacies() -> None:
    """A run that rejoins is one run: another tenure, with the token of another claim."""
    script = Measured()
    script.lead()
    script.do(3, SessionLost(reason="session_expired"))
    again = Measured(memory=Memory(began=at(0)))
    again.measures = script.measures
    again.join(4, version=5)
    again.claimed(4.25, version=6)
    assert again.figures == Figures(is_leading=True, tenures=2, slot=0, takeover=0.25, lease_start=at(4))


def test_a_candidate_that_is_deleted_does_not_lead() -> None:
    """Told by a watch, before any renewal."""
    script = Measured()
    script.lead()
    script.do(1, Touched(path=f"{ELECTION}/{OWN}", is_deleted=True))
    assert not script.figures.is_leading
