"""What a program sees of its leadership, as scripts: events go into the core, and a state comes out."""

from __future__ import annotations

from typing import Any

import pytest
from candidacy_script import ELECTION, OWN, RECORD, Script, at, record, stat

from zkleader.core.actions import Create, End, Multi, Outcome
from zkleader.core.events import (
    Applied,
    CommandGone,
    Connected,
    Content,
    LeaveAsked,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
)
from zkleader.core.wire import Cause
from zkleader.errors import InternalError, NewerFormatError, RefusedError
from zkleader.library.states import Failed, Leading, Lost, ResignAsked, Resigned, Suspected, Waiting, state_of, token_of
from zkleader.library.states import suspected_in as next_suspicion
from zkleader.zk.access import NotPermittedError, UnreachableError

AHEAD = "other-n_0000000003"
TOKEN = 1002
STOPPED = CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True)
"""What the program's word that it has stopped is to the core."""


class Seen(Script):
    """A script of a candidacy that a program looks at."""

    def at(self, seconds: float) -> object:
        """Return the state at this instant."""
        return state_of(self.state, at(seconds))

    def suspected_in(self, seconds: float) -> float | None:
        return next_suspicion(self.state, at(seconds))

    def renew(self, seconds: float, version: int) -> None:
        """Send a renewal, and confirm it."""
        self.do(seconds)
        self.claimed(seconds, version)

    def lead(self, seconds: float = 0) -> None:
        """Become leader, without a command to be told of."""
        self.join(seconds)
        self.claimed(seconds)


def test_waiting_tells_its_rank_once_that_is_known() -> None:
    """Before there is a connection, and a queue that was listed, nobody knows it."""
    script = Seen()
    assert script.at(0) == Waiting(rank=None)
    script.join(0, AHEAD)
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    assert script.at(0) == Waiting(rank=1)
    script.do(1, Touched(path=f"{ELECTION}/{AHEAD}", is_deleted=True))
    assert script.at(1) == Waiting(rank=0)


def test_a_lease_that_is_waited_out_is_waiting() -> None:
    """First in the queue is not the leader."""
    script = Seen()
    script.join(0, data=record(released=False))
    assert script.at(5) == Waiting(rank=0)


def test_a_confirmed_claim_is_leadership() -> None:
    """Not one that is under way; no command has to be started for it."""
    script = Seen()
    script.join(0)
    assert script.at(0) == Waiting(rank=0)
    script.claimed(0)
    assert script.at(0) == Leading(token=TOKEN)
    script.renew(2, version=3)
    assert script.at(3) == Leading(token=TOKEN)


def test_a_claim_that_is_confirmed_too_late_is_none() -> None:
    """The core claims again, and so there is nothing that the program could begin."""
    script = Seen()
    script.join(0)
    script.claimed(14)
    assert script.at(14) == Waiting(rank=0)


def test_a_connection_that_is_down_is_suspected_until_a_renewal_is_confirmed() -> None:
    """That it is up again proves nothing: it may be up to a server that is cut off."""
    script = Seen()
    script.lead()
    script.do(1, Suspended())
    down = Suspected(token=TOKEN, reason="disconnected")
    assert script.at(1) == down
    script.do(1.5, Connected(granted=20.0, server="t"))
    assert script.at(1.5) == down
    script.answer(1.5, ELECTION, Applied())
    script.answer(1.5, f"{ELECTION}/{OWN}", Content(data=b"{}", stat=stat(0)))
    script.answer(1.5, RECORD, Content(data=record(released=False, holder="guid", beat=1), stat=stat(2)))
    assert script.at(1.9) == down
    script.renew(2, version=3)
    assert script.at(2) == Leading(token=TOKEN)


def test_a_renewal_that_is_overdue_is_suspected_and_its_answer_ends_that() -> None:
    """Two renewal intervals after the last one that was confirmed was sent, and not before."""
    script = Seen()
    script.lead()
    assert script.suspected_in(1) == 3
    script.do(2)
    assert script.at(3.9) == Leading(token=TOKEN)
    assert script.at(4) == Suspected(token=TOKEN, reason="renewal_overdue")
    assert script.suspected_in(4) is None
    script.claimed(4.1, version=3)
    assert script.at(4.1) == Leading(token=TOKEN)
    assert script.suspected_in(4.1) == pytest.approx(1.9)


def test_nothing_is_suspected_by_a_clock_while_it_waits() -> None:
    """Else it would be woken for nothing."""
    script = Seen()
    script.join(0, AHEAD)
    assert script.suspected_in(0) is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [(SessionLost(reason="session_expired"), "session_expired"), (None, "lease_lapsed")],
    ids=["told", "silence"],
)
def test_a_loss_is_the_last_state_whatever_the_program_says_then(event: Any, reason: str) -> None:
    """Its word that the work has stopped releases what can still be released, and is no resignation."""
    script = Seen()
    script.lead()
    script.do(13.6, event)
    lost = Lost(token=TOKEN, reason=reason)
    assert script.at(13.6) == lost
    script.do(14, CommandGone(cause=Cause.LOSS, wait_status=0, in_time=True))
    assert script.at(14) == lost


def test_nothing_is_released_before_the_program_says_that_it_has_stopped() -> None:
    """Without a guard nobody else knows."""
    script = Seen()
    script.lead()
    script.do(1, Touched(path=f"{ELECTION}/{OWN}", is_deleted=True))
    assert script.at(1) == Lost(token=TOKEN, reason="candidate_deleted")
    assert script.do(10) == []
    script.do(10, CommandGone(cause=Cause.LOSS, wait_status=0, in_time=True))
    _, content = script.write()
    assert content["released"] is True
    assert content["previous"]["reason"] == "candidate_deleted"


def test_a_program_that_never_says_so_is_not_released_for() -> None:
    """The lease is waited out, and the candidate does not stand in the way of that."""
    script = Seen()
    script.lead()
    script.do(13.6)
    script.do(20.1)
    assert script.state.outcome == Outcome(end=End.LOST_LATE, reason="lease_lapsed")
    assert not any(flight.record for flight in script.state.flights.values() if flight.sent == at(20.1))
    assert script.at(20.1) == Lost(token=TOKEN, reason="lease_lapsed")


def test_a_program_that_was_late_to_say_so_has_lost() -> None:
    """Frozen until then, it may have heard of nothing before."""
    script = Seen()
    script.lead()
    script.do(19.7, STOPPED.but(in_time=False))
    assert script.at(19.7) == Lost(token=TOKEN, reason="lease_lapsed")


def test_a_leader_that_has_stopped_has_resigned() -> None:
    """From the moment on when it said so; and the record is released."""
    script = Seen()
    script.lead()
    script.do(1, STOPPED)
    assert script.at(1) == Resigned(token=TOKEN)
    _, content = script.write()
    assert (content["released"], content["previous"]["reason"]) == (True, "ended")
    script.answer(1, Multi, Applied(stats=(stat(3), None)))
    assert script.at(1) == Resigned(token=TOKEN)
    assert script.state.is_released


def test_who_leaves_the_queue_has_resigned_without_a_token() -> None:
    """It never led."""
    script = Seen()
    script.join(0, AHEAD)
    script.do(1, LeaveAsked(signal=15))
    assert script.at(1) == Resigned(token=None)


def test_an_operators_request_to_resign_is_a_state_of_its_own() -> None:
    """The lease is renewed on, so that the program can finish what it has begun."""
    script = Seen()
    script.lead()
    script.reread(1, resign={"token": TOKEN, "user": "root", "host": "web2"})
    assert script.at(1) == ResignAsked(token=TOKEN)
    script.renew(2, version=3)
    assert script.at(3) == ResignAsked(token=TOKEN)
    script.do(4, STOPPED.but(cause=Cause.ASKED))
    assert script.at(4) == Resigned(token=TOKEN)
    _, content = script.write()
    assert content["previous"]["reason"] == "resigned"


def test_a_place_in_the_queue_that_is_lost_is_taken_again() -> None:
    """Another candidacy follows: the program goes on waiting."""
    script = Seen()
    script.join(0, AHEAD)
    script.do(1, SessionLost(reason="session_expired"))
    assert script.at(1) == Waiting(rank=None)


def failure(script: Seen, seconds: float) -> Any:
    state = script.at(seconds)
    assert isinstance(state, Failed)
    return state.error


def test_an_ensemble_that_is_not_reached() -> None:
    """With what is known of the reason."""
    script = Seen()
    script.do(15)
    assert isinstance(failure(script, 15), UnreachableError)
    told = state_of(script.state, at(15), "connection refused")
    assert isinstance(told, Failed)
    assert str(told.error) == "connection refused"


def test_what_is_not_permitted_or_refused_or_of_a_newer_format() -> None:
    """Each has a class of its own, and says what it was about."""
    script = Seen()
    script.connect()
    script.answer(0, Create, Refused(refusal=Refusal.NO_AUTH))
    assert isinstance(failure(script, 0), NotPermittedError)
    assert "create a candidate" in str(failure(script, 0))
    script = Seen()
    script.connect()
    script.answer(0, Create, Refused(refusal=Refusal.NODE_EXISTS))
    assert isinstance(failure(script, 0), RefusedError)
    script = Seen()
    script.join(0, data=record(format=3))
    assert isinstance(failure(script, 0), NewerFormatError)
    assert "format 3" in str(failure(script, 0))


def test_what_cannot_happen_without_a_guard_is_an_error_of_our_own() -> None:
    """And not a state that a program might take for something else."""
    script = Seen()
    script.state.outcome = Outcome(end=End.NOT_EXECUTED)
    assert isinstance(failure(script, 0), InternalError)


def test_the_token_of_a_state() -> None:
    """Whoever led has one for good."""
    led = (Leading(token=7), Suspected(token=7, reason=""), ResignAsked(token=7), Lost(token=7, reason=""))
    assert [token_of(state) for state in (*led, Resigned(token=7))] == [7] * 5
    assert token_of(Waiting(rank=1)) is None


def test_who_is_first_again_after_a_list_tells_so() -> None:
    """Ranks follow the queue as it was last looked at."""
    script = Seen()
    script.join(0, AHEAD, "third-n_0000000001")
    assert script.at(0) == Waiting(rank=2)
    script.do(1, Touched(path=f"{ELECTION}/{AHEAD}", is_deleted=True))
    script.answer(1, ELECTION, Names(names=("lease-0", OWN)))
    assert script.at(1) == Waiting(rank=0)
