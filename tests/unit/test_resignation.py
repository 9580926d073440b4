"""Who asks a leader to step down: events in, actions out."""

import json
from typing import Any

import pytest
from candidacy_script import ELECTION, RECORD, at, record, stat

from zkleader.core import resignation
from zkleader.core.actions import Action as CoreAction
from zkleader.core.actions import Check, DropConnection, Get, ListNames, Multi, Request, Send, SetData, Sync
from zkleader.core.events import (
    Answer,
    Answered,
    Applied,
    Connected,
    Content,
    Event,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Tick,
    Touched,
    Unanswered,
)
from zkleader.core.lease import Timing
from zkleader.core.records import ResignRequest
from zkleader.core.resign_state import Action, Asked, BeginSession, Concluded, End, LeftQueue, State, Wish

CANDIDATE = "other-n_0000000003"
PATH = f"{ELECTION}/{CANDIDATE}"
LED = record(released=False, host="h")
OURS = ResignRequest(token=5, user="me", host="here")
GONE = Refused(refusal=Refusal.NO_NODE)


def candidate(**fields: Any) -> bytes:
    return json.dumps({"format": 1, "id": "them", "added by others": [1]} | fields).encode()


class Script:
    """One who asks, told what happens."""

    def __init__(self, wait: float | None = None) -> None:
        wish = Wish(election=ELECTION, user="me", host="here", wait=wait, connect_timeout=15)
        self.state = State(wish, Timing(lease=20, grace=0, stop_timeout=0), at(0))

    def do(self, seconds: float, event: Event | None = None) -> list[Action | CoreAction]:
        """Hand in an event (a Tick if none); return what is wanted, requests without their numbers."""
        self.state, actions = resignation.step(self.state, event or Tick(), at(seconds))
        return list(actions)

    def sends(self, seconds: float, event: Event | None = None) -> Request:
        """Hand in an event that calls for one request and nothing else; return that."""
        [send] = self.do(seconds, event)
        assert isinstance(send, Send), send
        return send.request

    def answer(self, seconds: float, answer: Answer) -> list[Action | CoreAction]:
        """Answer the request in flight."""
        assert self.state.flight is not None
        return self.do(seconds, Answered(number=self.state.flight.number, answer=answer))

    def then(self, seconds: float, answer: Answer) -> Request:
        """Answer the request in flight; return the one that this calls for."""
        [send] = self.answer(seconds, answer)
        assert isinstance(send, Send), send
        return send.request

    def look(self, seconds: float, data: bytes | None = LED, *, version: int = 1) -> list[Action | CoreAction]:
        """Connect and see the record."""
        assert self.sends(seconds, Connected(granted=20.0, server="s")) == Sync(path=ELECTION)
        assert self.then(seconds, Applied()) == Get(path=RECORD)
        return self.answer(seconds, GONE if data is None else Content(data=data, stat=stat(version)))

    def find(self, seconds: float = 0, data: bytes | None = None, *, version: int = 4) -> Request:
        """Look for the leader's candidate and read it; return what that calls for."""
        [send] = self.look(seconds)
        assert isinstance(send, Send)
        assert send.request == ListNames(path=ELECTION)
        names = Names(names=("lease-0", CANDIDATE, "mine-n_0000000004"))
        assert self.then(seconds, names) == Get(path=PATH, watch=False)
        return self.then(seconds, Content(data=data or candidate(), stat=stat(version)))

    def ask(self, seconds: float = 0) -> None:
        """Have asked."""
        self.find(seconds)
        [asked] = self.answer(seconds, Applied(stats=(stat(5),)))
        assert isinstance(asked, Asked)

    def see(self, seconds: float, data: bytes | None, *, version: int = 2) -> list[Action | CoreAction]:
        """Be shown another version of the record, because the watch has fired."""
        assert self.sends(seconds, Touched(path=RECORD)) == Get(path=RECORD)
        return self.answer(seconds, GONE if data is None else Content(data=data, stat=stat(version)))


def end_of(actions: list[Action | CoreAction]) -> Concluded:
    """Return the conclusion, the only thing that is wanted."""
    [concluded] = actions
    assert isinstance(concluded, Concluded)
    return concluded


# ---- asking


def test_the_request_is_written_over_what_was_read_and_keeps_all_of_it() -> None:
    """It names the tenure, so that it means nothing later; and a compare-and-set loses nobody's words."""
    script = Script()
    [write] = script.find(0).operations  # type: ignore[union-attr]
    assert isinstance(write, SetData)
    assert (write.path, write.version) == (PATH, 4)
    request = {"token": 5, "user": "me", "host": "here"}
    assert json.loads(write.data) == json.loads(candidate()) | {"resign": request}
    [asked] = script.answer(0, Applied(stats=(stat(5),)))
    assert isinstance(asked, Asked)
    assert (asked.leader.id, asked.leader.host, asked.leader.token, asked.by) == ("them", "h", 5, OURS)


def test_a_tenure_that_was_not_renewed_yet_has_the_token_of_its_claim() -> None:
    """The record cannot tell it before the first renewal; a leader that has just begun can be asked all the same."""
    script = Script()
    [send] = script.look(0, record(released=False, token=None), version=7)
    assert isinstance(send, Send)
    script.then(0, Names(names=(CANDIDATE,)))
    [write] = script.then(0, Content(data=candidate(), stat=stat(4))).operations  # type: ignore[union-attr]
    assert json.loads(write.data)["resign"]["token"] == 1007


def test_a_record_that_was_touched_before_its_first_renewal_is_asked_for_again() -> None:
    """Its zxid is not the claim's any more: the token that the renewal then tells is the one to name."""
    script = Script()
    script.look(0, record(released=False, token=None), version=7)
    script.answer(0, Names(names=(CANDIDATE,)))
    script.answer(0, Content(data=candidate(), stat=stat(4)))
    script.answer(0, Applied(stats=(stat(5),)))
    [send] = script.see(1, LED, version=8)
    assert isinstance(send, Send)
    assert send.request == ListNames(path=ELECTION)
    script.answer(1, Names(names=(CANDIDATE,)))
    stale = candidate(resign={"token": 1007, "user": "me", "host": "here"})
    [write] = script.then(1, Content(data=stale, stat=stat(5))).operations  # type: ignore[union-attr]
    assert json.loads(write.data)["resign"]["token"] == 5
    assert script.answer(1, Applied(stats=(stat(6),))) == []  # people were told


def test_whoever_finds_it_asked_for_looks_on() -> None:
    """Two who ask at once disturb nobody: the second writes nothing, and is told who was first."""
    script = Script()
    script.look(0)
    script.answer(0, Names(names=(CANDIDATE,)))
    other = ResignRequest(token=5, user="root", host="there")
    [asked] = script.answer(0, Content(data=candidate(resign=other.as_dict()), stat=stat(4)))
    assert isinstance(asked, Asked)
    assert asked.by == other


@pytest.mark.parametrize("said", [{"token": 4}, {"token": "5"}, {"token": True}, {}, "yes", None, [5]])
def test_a_request_that_means_something_else_is_written_over(said: object) -> None:
    """An earlier tenure's, or nobody's."""
    assert isinstance(Script().find(0, candidate(resign=said)), Multi)


def test_a_candidate_that_somebody_has_spoilt_can_be_asked() -> None:
    """Its session is what makes it a candidate, not what it says."""
    [write] = Script().find(0, b"\xff").operations  # type: ignore[union-attr]
    assert json.loads(write.data) == {"format": 1, "resign": {"token": 5, "user": "me", "host": "here"}}


def test_written_by_somebody_else_meanwhile_it_is_read_again() -> None:
    """By the leader, whose claim it is, or by another who asks."""
    script = Script()
    script.find()
    assert script.then(0, Refused(refusal=Refusal.BAD_VERSION)) == Get(path=PATH, watch=False)
    again = script.then(0, Content(data=candidate(), stat=stat(5)))
    assert again.operations[0].version == 5  # type: ignore[union-attr]


def test_gone_meanwhile_the_record_tells_why() -> None:
    """It has released, perhaps, between our two reads."""
    script = Script()
    script.find()
    assert script.then(0, GONE) == Get(path=RECORD)
    assert end_of(script.answer(0, Content(data=record(holder="other"), stat=stat(2)))).end is End.RELEASED


def test_an_answer_that_is_lost_is_looked_for() -> None:
    """It may have been written: then it stands there, and is ours."""
    script = Script()
    script.find()
    assert script.do(1, Suspended()) == []
    script.look(2)
    script.answer(2, Names(names=(CANDIDATE,)))
    [asked] = script.answer(2, Content(data=candidate(resign=OURS.as_dict()), stat=stat(5)))
    assert isinstance(asked, Asked)
    assert asked.by == OURS


def test_a_silent_server_is_left() -> None:
    """An answer has the time that a candidate gives it; then the next server is asked."""
    script = Script()
    script.find()
    assert resignation.next_step_in(script.state, at(1)) == pytest.approx(3)
    assert script.do(4) == [DropConnection()]
    assert script.do(4.1, Suspended()) == []
    assert script.sends(4.2, Connected(granted=20.0, server="t")) == Sync(path=ELECTION)


def test_a_lost_session_is_followed_by_another() -> None:
    """The request does not hang on the session of who asked."""
    script = Script()
    script.ask()
    assert script.do(30, SessionLost(reason="session_expired")) == [BeginSession()]
    assert script.look(31, version=12) == []
    assert end_of(script.see(32, record(holder="other"), version=13)).end is End.RELEASED


# ---- how it ends


@pytest.mark.parametrize("said", [{"token": 5, "reason": "resigned"}, {"token": 4, "reason": "ended"}, "x", None])
def test_it_is_over_when_the_leader_has_released(said: object) -> None:
    """Why it did is told where the record says it of this tenure."""
    script = Script()
    script.ask()
    assert script.see(1, LED, version=2) == []  # a renewal: it goes on
    concluded = end_of(script.see(2, record(holder="other", previous=said), version=3))
    assert (concluded.end, concluded.text) == (End.RELEASED, "resigned" if said and "resigned" in str(said) else "")


def test_it_is_over_when_somebody_else_leads() -> None:
    """Who has released, or not, between two looks is succeeded already in the second."""
    script = Script()
    script.ask()
    led = record(holder="third", id="c", token=None, released=False, previous={"token": 5, "reason": "resigned"})
    concluded = end_of(script.see(1, led))
    assert (concluded.end, concluded.text, concluded.successor) == (End.SUCCEEDED, "resigned", "c")


def test_it_is_over_when_the_lease_is() -> None:
    """Nobody is left to release: what a successor would wait for is over, and the ensemble says that it stands."""
    script = Script()
    script.ask()
    assert script.see(5, LED, version=2) == []
    assert resignation.next_step_in(script.state, at(5)) == pytest.approx(10.35)
    assert script.do(15.3) == []
    assert script.sends(15.4) == Multi(operations=(Check(path=RECORD, version=2),))
    assert end_of(script.answer(15.5, Applied(stats=(None,)))).end is End.LAPSED


def test_a_server_that_is_out_of_date_ends_no_lease() -> None:
    """Its silence proves nothing: the leader may renew all the time elsewhere."""
    script = Script()
    script.ask()
    script.do(15.4)
    assert script.then(15.5, Refused(refusal=Refusal.BAD_VERSION)) == Sync(path=ELECTION)
    assert script.then(15.5, Applied()) == Get(path=RECORD)
    assert script.answer(15.5, Content(data=LED, stat=stat(9))) == []
    assert resignation.next_step_in(script.state, at(15.5)) == pytest.approx(10.35)


def test_news_from_a_server_that_lags_behind_is_none() -> None:
    """In a new session it may show what was before; its watch fires when it has caught up."""
    script = Script()
    script.ask()
    assert script.see(1, LED, version=6) == []
    script.do(2, SessionLost(reason="session_expired"))
    assert script.look(3, LED, version=5) == []
    assert script.state.sight is not None
    assert script.state.sight.version == 6


def test_a_touch_before_the_answer_of_the_read_is_not_missed() -> None:
    """Answers and watches are handed over by two threads: what has just been released would never be seen."""
    script = Script()
    script.ask()
    assert script.sends(1, Touched(path=RECORD)) == Get(path=RECORD)
    assert script.do(1, Touched(path=RECORD)) == []
    assert script.then(1, Content(data=LED, stat=stat(2))) == Get(path=RECORD)


@pytest.mark.parametrize("data", [None, b"spoilt", record(holder="", released=False, token=None, lease_ms=60_000)])
def test_a_record_that_is_gone_or_spoilt_is_waited_out(data: bytes | None) -> None:
    """Its leader is just being told, and may act for its lease; nobody else begins before the longest one is over."""
    script = Script()
    script.ask()
    assert script.see(1, data, version=2) == []
    assert script.do(61.8) == []
    request = script.sends(61.9)
    if data is None:
        assert request == Get(path=RECORD)
        assert end_of(script.answer(62, GONE)).end is End.LAPSED
    else:
        assert request == Multi(operations=(Check(path=RECORD, version=2),))
        assert end_of(script.answer(62, Applied(stats=(None,)))).end is End.LAPSED


def test_a_leader_without_its_candidate_cannot_be_asked_and_is_waited_out() -> None:
    """Nobody is asked, so nobody has stepped down; but while its command may act it is not said that nobody leads."""
    script = Script()
    script.look(0)
    [left] = script.answer(0, Names(names=("lease-0", "mine-n_0000000004")))
    assert isinstance(left, LeftQueue)
    assert left.seconds == pytest.approx(10.35)
    script.do(10.4)
    assert end_of(script.answer(10.5, Applied(stats=(None,)))).end is End.NOBODY_LEADS


@pytest.mark.parametrize(
    "data", [record(), record(holder="", released=False), b"[]", json.dumps({"format": 1, "holder": 7}).encode()]
)
def test_where_nobody_leads_nobody_is_asked(data: bytes) -> None:
    """Released, never led, or not to be read."""
    assert end_of(Script().look(0, data)).end is End.NOBODY_LEADS


@pytest.mark.parametrize(
    ("answer", "end"), [(GONE, End.NO_ELECTION), (Names(names=("mine-n_0000000004",)), End.NOBODY_LEADS)]
)
def test_an_election_without_a_record_is_told_from_none(answer: Answer, end: End) -> None:
    """A wrong name and an election that nobody has led yet are two things."""
    script = Script()
    script.look(0, None)
    assert end_of(script.answer(0, answer)).end is end


def test_what_is_newer_is_not_touched() -> None:
    """Nobody knows what a request would do there."""
    concluded = end_of(Script().look(0, b'{"format": 3}'))
    assert (concluded.end, concluded.text) == (End.NEWER_FORMAT, "its lease record has format 3")
    script = Script()
    script.look(0)
    script.answer(0, Names(names=(CANDIDATE,)))
    concluded = end_of(script.answer(0, Content(data=b'{"format": 3}', stat=stat(4))))
    assert (concluded.end, concluded.text) == (End.NEWER_FORMAT, f"candidate {CANDIDATE} has format 3")


def test_what_is_not_permitted_is_told() -> None:
    """The two permissions that it takes are two lines."""
    script = Script()
    script.find()
    concluded = end_of(script.answer(0, Refused(refusal=Refusal.NO_AUTH)))
    assert (concluded.end, concluded.text) == (End.NOT_PERMITTED, f"write the candidate {PATH}")
    script = Script()
    script.sends(0, Connected(granted=20.0, server="s"))
    script.answer(0, Applied())
    assert end_of(script.answer(0, Refused(refusal=Refusal.NO_AUTH))).text == f"read the election {ELECTION}"
    assert end_of(Script().do(0, SessionLost(reason="authentication_failed"))).end is End.NOT_PERMITTED


def test_what_nobody_could_foresee_is_told() -> None:
    """In ZooKeeper's words."""
    script = Script()
    script.find()
    concluded = end_of(script.answer(0, Refused(refusal=Refusal.OTHER, text="quota exceeded")))
    assert (concluded.end, concluded.text) == (End.REFUSED, f"write the candidate {PATH}: quota exceeded")


def test_waiting_is_bounded() -> None:
    """From when the leader is seen, whatever has come about by then."""
    script = Script(wait=3)
    script.ask(1)
    assert resignation.next_step_in(script.state, at(1)) == pytest.approx(3)
    assert script.do(3.9) == []
    assert end_of(script.do(4)).end is End.NOT_IN_TIME
    assert script.do(5, Connected(granted=20.0, server="s")) == []


def test_a_leader_that_was_never_seen_is_not_said_to_have_kept_leading() -> None:
    """However short the wait is: what has failed until then is reaching ZooKeeper, and a script may try elsewhere."""
    script = Script(wait=2)
    assert script.do(2) == []
    assert resignation.next_step_in(script.state, at(2)) == pytest.approx(13)
    script.sends(3, Connected(granted=20.0, server="s"))
    script.then(3, Applied())
    assert script.do(4, Suspended()) == []
    assert end_of(script.do(15)).end is End.UNREACHABLE


def test_what_was_never_reached_is_given_up() -> None:
    """After that an outage is ridden out, for as long as waiting is wanted."""
    script = Script()
    assert resignation.next_step_in(script.state, at(1)) == pytest.approx(14)
    assert end_of(script.do(15)).end is End.UNREACHABLE
    script = Script()
    script.ask()
    script.do(1, Suspended())
    assert script.do(1000) == []
    assert resignation.next_step_in(script.state, at(1000)) is None


def test_no_answer_on_a_connection_that_stands_is_asked_for_again() -> None:
    """No news of the connection may follow, and nothing else would."""
    script = Script()
    script.sends(0, Connected(granted=20.0, server="s"))
    assert script.then(0, Unanswered()) == Sync(path=ELECTION)


# ---- several leaders

SEVERAL = {"format": 2, "leaders": 3}


class Chooser(Script):
    """One who asks where three may lead."""

    def __init__(self, slot: int | None = None) -> None:
        super().__init__()
        self.state.wish = self.state.wish.but(slot=slot)
        self.state.slot = slot or 0

    def sees(self, *records: bytes | None) -> list[Action | CoreAction]:
        """Be shown the record of each slot that is read; return what the last one calls for."""
        self.sends(0, Connected(granted=20, server="s"))
        actions = self.answer(0, Applied())
        for data in records:
            assert [action.request for action in actions] == [Get(path=self.state.record_path)]  # type: ignore[union-attr]
            missing = Refused(refusal=Refusal.NO_NODE)
            actions = self.answer(0, missing if data is None else Content(data=data, stat=stat(3)))
        return actions


def test_of_several_leaders_none_is_asked_without_a_slot() -> None:
    """Who is asked must not depend on who answers first."""
    led = [record(released=False, id=who, **SEVERAL) for who in "ab"]
    concluded = end_of(Chooser().sees(led[0], None, led[1]))
    assert (concluded.end, concluded.text) == (End.SEVERAL_LEAD, "a in slot 0, b in slot 2")


def test_the_only_one_of_several_that_leads_is_asked() -> None:
    """There is nothing to choose."""
    chooser = Chooser()
    [send] = chooser.sees(record(**SEVERAL), record(released=False, **SEVERAL), record(**SEVERAL), LED)
    assert send.request == ListNames(path=ELECTION)  # type: ignore[union-attr]
    assert (chooser.state.leader.slot, chooser.state.record_path) == (1, f"{ELECTION}/lease-1")  # type: ignore[union-attr]


def test_where_several_may_lead_and_nobody_does_that_is_said() -> None:
    """After a look at all of them."""
    assert end_of(Chooser().sees(*[record(**SEVERAL)] * 3)).end is End.NOBODY_LEADS


def test_the_leader_of_a_slot_that_is_named_is_asked() -> None:
    """And no other record is read."""
    chooser = Chooser(slot=2)
    [send] = chooser.sees(record(released=False, **SEVERAL))
    assert send.request == ListNames(path=ELECTION)  # type: ignore[union-attr]
    assert chooser.state.record_path == f"{ELECTION}/lease-2"
