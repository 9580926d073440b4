"""What is worth telling again, and how what was seen becomes an exit status."""

import pytest

from zkleader.cli import verdict
from zkleader.core.view import Look, Person, Slot, Standing, State, View
from zkleader.status.follow import Seen
from zkleader.zk.access import NotPermittedError

LEADER = Slot(number=0, standing=Standing.LEADS, who=Person(id="a", host="h"), token=7, renewed=1000, unrenewed=0.5)
ELECTION = View(path="/zkleader/job", state=State.LED, slots=(LEADER,))
LOOK = Look(server="zk1:2181", elections=(ELECTION,), time=1500)


def with_slot(**changes: object) -> Look:
    return LOOK.but(elections=(ELECTION.but(slots=(LEADER.but(**changes),)),))


@pytest.mark.parametrize("look", [LOOK, LOOK.but(time=9000), with_slot(renewed=3000), with_slot(unrenewed=1.5)])
def test_a_mere_renewal_is_no_news(look: Look) -> None:
    """There is one every two seconds: a log of changes would hold nothing else."""
    assert not Seen(look=look).is_news_after(Seen(look=LOOK))


@pytest.mark.parametrize(
    "look",
    [
        with_slot(standing=Standing.LOST),
        with_slot(token=8),
        with_slot(candidate="x"),
        LOOK.but(elections=()),
        LOOK.but(server="zk2:2181"),
    ],
)
def test_everything_else_is(look: Look) -> None:
    """A new tenure of the same candidate as well."""
    assert Seen(look=look).is_news_after(Seen(look=LOOK))


def test_that_the_connection_is_lost_is_news_once() -> None:
    """How long it is lost is not; that it is back is."""
    up, down, longer = Seen(look=LOOK), Seen(look=LOOK, lost_for=0.0), Seen(look=LOOK, lost_for=5.0)
    assert down.is_news_after(up)
    assert not longer.is_news_after(down)
    assert up.is_news_after(longer)
    assert up.is_news_after(None)


NEWER = Slot(number=2, standing=Standing.NEWER_FORMAT, problem="format 3, and this version knows formats 1 and 2")
HIDDEN = Slot(number=1, standing=Standing.NOT_PERMITTED, problem="not permitted")


@pytest.mark.parametrize(
    ("state", "status"), [(State.LED, 0), (State.NOBODY, 3), (State.ABSENT, 4), (State.NEWER_FORMAT, 78)]
)
def test_what_was_seen_of_an_election_is_a_status(state: State, status: int) -> None:
    """Scripts branch on it."""
    election = ELECTION.but(state=state, slots=(NEWER,))
    assert verdict.of_one(election) == status


@pytest.mark.parametrize(("slots", "path"), [((), "/zkleader/job"), ((HIDDEN,), "/zkleader/job/lease-1")])
def test_what_may_not_be_read_is_named(slots: tuple[Slot, ...], path: str) -> None:
    """Its ACL is what has to be looked at."""
    with pytest.raises(NotPermittedError, match=f"^read {path}$"):
        verdict.of_one(ELECTION.but(state=State.NOT_PERMITTED, slots=slots))


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([State.NOBODY, State.LED, State.NOT_PERMITTED], 0),
        ([State.NOBODY, State.NOBODY], 3),
        ([State.NOBODY, State.NEWER_FORMAT], 78),
        ([], 4),
    ],
)
def test_all_elections_together_are_one_status(states: list[State], status: int) -> None:
    """Somebody leads somewhere; or nobody anywhere, which is said only if everything could be read."""
    elections = tuple(ELECTION.but(state=state, slots=(NEWER,)) for state in states)
    assert verdict.of_all(LOOK.but(elections=elections)) == status


def test_an_election_that_is_hidden_keeps_us_from_saying_nobody() -> None:
    """Perhaps somebody leads it."""
    hidden = ELECTION.but(path="/zkleader/hidden", state=State.NOT_PERMITTED, slots=())
    with pytest.raises(NotPermittedError, match="/zkleader/hidden"):
        verdict.of_all(LOOK.but(elections=(ELECTION.but(state=State.NOBODY), hidden)))


@pytest.mark.parametrize(
    ("slots", "is_leader", "status"),
    [((LEADER,), True, 0), ((LEADER,), False, 1), ((LEADER, NEWER), True, 0), ((LEADER, NEWER), False, 78)],
)
def test_somebody_leads_or_another_or_it_cannot_be_told(slots: tuple[Slot, ...], is_leader: bool, status: int) -> None:  # noqa: FBT001
    """Where several may lead, one that cannot be read may be the one who was asked for."""
    assert verdict.of_somebody(ELECTION.but(slots=slots), is_leader=is_leader) == status
