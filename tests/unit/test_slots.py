"""Several leaders: which slot is claimed, and by what rules the number of them is changed, as scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from candidacy_script import ELECTION, OWN, TIMING, Script, at, record, stat

from zkleader.core.actions import Action, Create, End, Get, ListNames, Multi, Send, SetData, StartCommand, Sync, Tell
from zkleader.core.candidacy_state import Phase, Purpose, RecordOf, Sight
from zkleader.core.chain import Chain
from zkleader.core.events import (
    Answered,
    Applied,
    Content,
    Created,
    Names,
    Refusal,
    Refused,
    Touched,
    Unanswered,
)
from zkleader.core.records import FORMAT_OF_SEVERAL, LeaseRecord, Stat, Unreadable, parse_lease_record

A, B, C = (f"{name}-n_000000000{number}" for number, name in enumerate("abc", 1))
BEHIND = "b-n_0000000009"
NO_NODE = Refused(refusal=Refusal.NO_NODE)


def path_of(slot: int) -> str:
    return f"{ELECTION}/lease-{slot}"


def several(leaders: int = 2, **fields: Any) -> bytes:
    """Return a record that states so many leaders: released by somebody who is gone, unless told otherwise."""
    return record(**{"format": FORMAT_OF_SEVERAL, "leaders": leaders} | fields)


def held(holder: str, leaders: int = 2, **fields: Any) -> bytes:
    """Return a record that a candidate holds."""
    return several(leaders, holder=holder, released=False, lease_ms=20_000, **fields)


class Slots(Script):
    """A candidacy among several, all of whose reads are answered at once."""

    def arrive(self, *data: bytes | None, ahead: tuple[str, ...] = (), seconds: float = 0) -> None:
        """Join behind others, where the first slots have these records; None: there is no such record."""
        self.records = {
            slot: Content(data=content, stat=stat(1)) for slot, content in enumerate(data) if content is not None
        }
        self.line = (OWN, *ahead)
        self.connect(seconds)
        self.answer(seconds, Create, Created(path=f"{ELECTION}/{OWN}"))
        self.settle(seconds)

    def settle(self, seconds: float) -> list[Action]:
        """Answer every read; return what that calls for beyond reads."""
        done: list[Action] = []
        self.said: list[Tell] = []
        while reads := [one for one in self.state.flights.values() if not isinstance(one.request, Multi | Create)]:
            request = reads[0].request
            done += self.do(seconds, Answered(number=reads[0].number, answer=self._read(request)))
            self.said += self.told
        return [action for action in done if not isinstance(action, Send)]

    def _read(self, request: Any) -> Any:
        if isinstance(request, ListNames):
            return Names(names=(*(f"lease-{slot}" for slot in self.records), *self.line))
        name = request.path.rpartition("/")[2]
        if isinstance(request, Sync):
            return Applied()
        if name.startswith("lease-"):
            return self.records.get(int(name[6:]), NO_NODE)
        return Content(data=b"{}", stat=stat(0)) if name in self.line else NO_NODE

    def change(
        self, seconds: float, slot: int, data: bytes, *, version: int = 2, gone: str = "", czxid: int = 100
    ) -> list[Action]:
        """Have a record written, and somebody leave the queue with that; settle."""
        self.records[slot] = Content(data=data, stat=stat(version, czxid=czxid))
        self.line = tuple(name for name in self.line if name != gone)
        self.do(seconds, Touched(path=path_of(slot)))
        return self.settle(seconds)

    @property
    def is_claiming(self) -> bool:
        """Whether a claim is under way."""
        return Purpose.WRITE in self.state.flights

    def writes(self) -> dict[str, dict[str, Any]]:
        """Return what the multi in flight writes into records, by path."""
        operations = self.write()[0].operations
        return {
            operation.path: json.loads(operation.data)
            for operation in operations
            if isinstance(operation, SetData | Create) and "/lease-" in operation.path
        }

    def confirm(self, seconds: float, *czxids: int, version: int = 2) -> list[Any]:
        """Confirm the claim in flight; the czxids are those of the records that it has hit."""
        stats = tuple(stat(version, czxid=czxid) for czxid in czxids)
        return self.answer(seconds, Multi, Applied(stats=(None, *stats)))


def test_a_new_election_is_made_with_a_released_record_for_each_slot() -> None:
    """In one multi: nobody can find it with some of them."""
    script = Script(leaders=3)
    script.connect()
    (made,) = script.answer(0, Create, NO_NODE)
    assert isinstance(made.request, Multi)  # type: ignore[union-attr]
    paths = [operation.path for operation in made.request.operations]  # type: ignore[union-attr]
    assert paths == [ELECTION, path_of(0), path_of(1), path_of(2)]
    for operation in made.request.operations[1:]:  # type: ignore[union-attr]
        new = parse_lease_record(operation.data, stat(0))  # type: ignore[union-attr]
        assert isinstance(new, LeaseRecord)
        assert (new.released, new.stated, new.content["format"]) == (True, 3, FORMAT_OF_SEVERAL)


def test_the_lowest_free_slot_is_claimed() -> None:
    """And what runs is told which one it is."""
    script = Slots(leaders=3)
    script.arrive(held("a", 3), several(3), several(3), ahead=(A,))
    assert list(script.writes()) == [path_of(1)]
    assert script.confirm(0, 100) == [StartCommand(lease_start=at(0), token=1002, slot=1)]
    assert (script.state.slot, script.told[-1].facts["slot"]) == (1, 1)


def test_behind_as_many_as_may_lead_nothing_is_claimed_until_one_of_them_releases() -> None:
    """Its record tells that its candidate is gone: one multi has done both, so nothing has to be listed."""
    script = Slots(leaders=2)
    script.arrive(held("a"), held("b"), ahead=(A, B))
    assert not script.is_claiming
    assert script.sent(5, Touched(path=path_of(0))) == [Get(path=path_of(0))]
    actions = script.answer(5, path_of(0), Content(data=several(holder="a"), stat=stat(2)))
    assert [type(action.request) for action in actions if isinstance(action, Send)] == [Multi]
    assert list(script.writes()) == [path_of(0)]


def test_as_many_standbys_as_there_are_leaders_count_the_leases_out() -> None:
    """Leaders that die together, with a rack, are replaced within one lease, and not one lease after the other."""
    script = Slots(leaders=2)
    first, second, third = (f"h{number}-n_000000000{number}" for number in (1, 2, 3))
    script.arrive(held("h1"), held("h2"), ahead=(first, second, third))
    script.change(1, 0, held("h1", beat=2))
    assert script.state.memory.sights[0].version == 2
    script = Slots(leaders=2)
    script.arrive(held("h1"), held("h2"), ahead=(first, second, third, "h4-n_0000000004"))
    script.change(1, 0, held("h1", beat=2))
    assert script.state.memory.sights[0].version == 1, "further behind nobody is woken by every renewal"


def test_only_leases_of_those_who_are_gone_are_told_to_be_waited_out() -> None:
    """The others go on renewing: that would be told at every renewal, and is not what keeps us."""
    script = Slots(leaders=2)
    script.arrive(held("a"), several(holder="gone", released=False, lease_ms=60_000), ahead=(A,))
    script.change(1, 0, held("a", beat=2))
    script.change(2, 0, held("a", beat=3), version=3)
    assert script.state.told[:2] == ("waiting_out_lease", 1)


def test_a_lapsed_slot_is_claimed_after_its_lease_whatever_the_others_do() -> None:
    """Its own version counts, on its own record's lease."""
    script = Slots(leaders=2)
    script.arrive(held("gone"), held("a"), ahead=(A,))
    script.change(10, 1, held("a"))
    script.do(20.44)
    assert not script.is_claiming
    script.do(20.46)
    assert list(script.writes()) == [path_of(0)]


def test_a_claim_that_is_lost_goes_on_to_the_next_slot_at_once() -> None:
    """Somebody was faster there, and only that record is read again; slot 0's states how many may lead."""
    script = Slots(leaders=3)
    script.arrive(held("a", 3), several(3), several(3), ahead=(A,))
    assert list(script.writes()) == [path_of(1)]
    actions = script.answer(1, Multi, Refused(refusal=Refusal.BAD_VERSION, index=1))
    requests = [action.request for action in actions if isinstance(action, Send)]
    assert requests[0] == Get(path=path_of(1))
    assert list(script.writes()) == [path_of(2)]


def in_doubt() -> Slots:
    """Return one whose claim of slot 1 was not answered, while slot 0 has become free."""
    script = Slots(leaders=2)
    script.arrive(held("a"), several(), ahead=(A,))
    script.answer(1, Multi, Unanswered())
    script.records[0], script.line = Content(data=several(holder="a"), stat=stat(2)), (OWN,)
    return script


def test_while_a_claim_is_in_doubt_no_other_slot_is_claimed() -> None:
    """Both might be applied.  One of the same version again makes it void, whichever of the two is."""
    script = in_doubt()
    script.settle(1)
    assert list(script.writes()) == [path_of(1)]


def test_a_doubt_is_over_when_somebody_else_has_written_that_record() -> None:
    """What was expected there can never be applied any more."""
    script = in_doubt()
    script.records[1] = Content(data=held("b"), stat=stat(2))
    script.settle(1)
    assert list(script.writes()) == [path_of(0)]


def test_a_record_that_bears_our_guid_is_claimed_before_any_other() -> None:
    """It was confirmed too late; with another one beside it we would hold two."""
    script = Slots(leaders=2)
    script.arrive(held("a"), several(), ahead=(A,))
    ours = json.dumps(script.writes()[path_of(1)]).encode()
    script.change(19, 0, several(holder="a"), gone=A)
    script.records[1] = Content(data=ours, stat=stat(2))
    script.confirm(19, 100)
    script.settle(19)
    assert list(script.writes()) == [path_of(1)]


def test_a_record_of_a_server_that_lags_behind_is_not_read_again_until_its_watch_fires() -> None:
    """It would answer the same, as often as it is asked."""
    script = Slots(leaders=2)
    script.state.memory = script.state.memory.but(sights={1: Sight(czxid=100, version=5, since=at(0))})
    script.arrive(held("a"), several(), ahead=(A,))
    assert RecordOf(1) not in script.state.flights
    assert not script.is_claiming
    script.change(1, 1, several(), version=5)
    assert list(script.writes()) == [path_of(1)]


# ---- the number


def test_the_number_is_changed_when_every_slot_below_the_old_one_is_free() -> None:
    """By one multi over all their records and versions: it and a claim under the old number exclude each other."""
    script = Slots(leaders=2)
    script.arrive(several(3), several(3), several(3))
    written = script.writes()
    assert {path: (told.get("leaders"), told["released"]) for path, told in written.items()} == {
        path_of(0): (2, False),
        path_of(1): (2, True),
        path_of(2): (2, True),
    }
    assert written[path_of(0)]["leaders_before"] == 3
    versions = [operation.version for operation in script.write()[0].operations if isinstance(operation, SetData)]
    assert versions[1:] == [1, 1, 1]


def test_while_a_slot_below_the_old_number_is_held_it_is_told_once() -> None:
    """An error that names both numbers.  The first in the queue waits for a leader who is behind it."""
    script = Slots(leaders=2)
    script.arrive(several(3), several(3), held("b", 3), ahead=(BEHIND,))
    assert not script.is_claiming
    told = [tell.facts for tell in script.said if tell.event == "leaders_disagree"]
    assert told == [{"leaders": 2, "stated": 3}]
    script.change(5, 2, held("b", 3))
    assert "leaders_disagree" not in [tell.event for tell in script.said]
    script.change(6, 2, several(3, holder="b"), version=3, gone=BEHIND)
    assert len(script.writes()) == 3


def test_who_can_change_the_number_at_once_does_not_complain_of_it() -> None:
    """In cron that would be a mail for nothing."""
    script = Slots(leaders=2)
    script.records = {0: Content(data=record(), stat=stat(1))}
    script.line = (OWN,)
    script.connect(0)
    script.answer(0, Create, Created(path=f"{ELECTION}/{OWN}"))
    said: list[str] = []
    # Whatever is answered first, and slot 0's record before that of slot 1.
    for wanted in (ListNames, path_of(0), Get):
        for flight in list(script.state.flights.values()):
            if wanted in (type(flight.request), getattr(flight.request, "path", None)):
                script.do(0, Answered(number=flight.number, answer=script._read(flight.request)))
                said += [tell.event for tell in script.told]
    assert script.is_claiming
    assert "leaders_disagree" not in said


def test_growing_makes_the_new_slots_records_released() -> None:
    """Above the number that is known nobody can lead."""
    script = Slots(leaders=3)
    script.arrive(record())
    operations = script.write()[0].operations
    assert [type(operation) for operation in operations] == [SetData, SetData, Create, Create]
    assert all(told["released"] for path, told in script.writes().items() if path != path_of(0))


def test_one_leader_again_writes_records_of_format_1() -> None:
    """Which every version knows."""
    script = Slots()
    script.arrive(several(2), several(2))
    assert [told["format"] for told in script.writes().values()] == [1, 1]
    assert not any("leaders" in told for told in script.writes().values())


def test_a_change_is_provisional_until_its_first_renewal_which_is_sent_at_once() -> None:
    """Until then others claim nothing beside it: what it has hit is known to its maker only."""
    script = Slots(leaders=2)
    script.arrive(record())
    start, renewal = script.answer(0, Multi, Applied(stats=(None, stat(2), None)))
    assert start == StartCommand(lease_start=at(0), token=1002, slot=0)
    assert isinstance(renewal, Send)
    assert isinstance(renewal.request, Multi)
    assert "leaders_before" not in script.write()[1]


def test_a_provisional_change_whose_renewals_are_refused_is_not_renewed_as_fast_as_the_server_can() -> None:
    """A quota, say, lets nothing be written."""
    script = Slots(leaders=2)
    script.arrive(record())
    script.answer(0.1, Multi, Applied(stats=(None, stat(2), None)))
    slot_0 = Content(data=json.dumps(script.writes()[path_of(0)] | {"leaders_before": 1}).encode(), stat=stat(2))
    script.records[0] = slot_0
    script.answer(0.2, Multi, Refused(refusal=Refusal.OTHER, text="quota exceeded"))
    script.settle(0.2)
    assert not script.is_claiming
    script.do(0.1 + TIMING.renewal_interval / 4)
    assert script.is_claiming


def test_others_are_not_believed_while_somebody_may_lead_above_what_they_say() -> None:
    """A change that has hit a record made anew was not led under, and its mark was deleted with slot 0's record."""
    script = Slots(leaders=2)
    hit = json.loads(several(2, holder="h", released=False)) | {"czxid": 999}
    remade = record(released=False, holder="", lease_ms=60_000)
    script.arrive(remade, several(2), json.dumps(hit).encode())
    assert not script.is_claiming
    script.do(61)
    assert script.is_claiming


def test_a_change_that_is_refused_has_every_record_read_again() -> None:
    """What has happened to the others while it was under way was not looked at."""
    script = Slots(leaders=2)
    script.arrive(several(3), several(3), several(3))
    script.do(1, Touched(path=path_of(2), is_deleted=False))
    script.answer(1, Multi, Refused(refusal=Refusal.BAD_VERSION, index=2))
    assert {RecordOf(0), RecordOf(1), RecordOf(2)} <= {*script.state.flights, *script.state.due}


def test_beside_a_provisional_statement_nothing_is_claimed() -> None:
    """Rank 1 of two, slot 1 is free, and the number is ours."""
    script = Slots(leaders=2)
    script.arrive(held("a", leaders_before=1), several(), ahead=(A,))
    assert not script.is_claiming
    script.change(1, 0, held("a"))
    assert list(script.writes()) == [path_of(1)]


def test_a_change_that_has_hit_a_record_made_anew_starts_nothing() -> None:
    """There may be a leader under that one who is just being told."""
    script = Slots(leaders=2)
    script.arrive(several(3), several(3), several(3))
    actions = script.confirm(1, 100, 100, 999)
    assert not any(isinstance(action, StartCommand) for action in actions)
    assert script.state.phase is Phase.WAITING
    assert script.state.chain.held is None


def test_a_change_that_is_found_applied_is_made_once_more() -> None:
    """Its answer is lost, and with it what it has hit."""
    script = Slots(leaders=2)
    script.arrive(several(1), several(1))
    written = script.writes()
    script.answer(1, Multi, Unanswered())
    script.records = {slot: Content(data=json.dumps(written[path_of(slot)]).encode(), stat=stat(2)) for slot in (0, 1)}
    assert not script.settle(1)
    assert list(script.writes()) == [path_of(0), path_of(1)]
    assert script.write()[1]["beat"] == 2


def test_a_record_that_says_another_number_has_slot_0_read_again() -> None:
    """The statement may have been changed between the two reads."""
    script = Slots(leaders=3)
    script.arrive(held("a", 3), held("b", 3), held("c", 3), ahead=(A, B, C))
    # Changed: of slot 0 we have no news yet.
    script.records[0] = Content(data=held("d", 2), stat=stat(9))
    assert script.sent(5, Touched(path=path_of(1))) == [Get(path=path_of(1))]
    actions = script.answer(5, path_of(1), Content(data=several(2, holder="b"), stat=stat(9)))
    assert Get(path=path_of(0)) in [action.request for action in actions if isinstance(action, Send)]
    script.settle(5)
    assert not script.is_claiming


def test_where_slot_0_says_nothing_the_other_leaders_records_do() -> None:
    """Else one deleted record would stop all hand-overs until every leader has gone."""
    script = Slots(leaders=2)
    script.arrive(several(released=False, holder="", lease_ms=60_000), held("a"), ahead=(A,))
    script.change(50, 1, held("a"))
    script.do(60.84)
    assert not script.is_claiming
    script.do(60.86)
    assert list(script.writes()) == [path_of(0)]
    assert "leaders_before" not in script.writes()[path_of(0)]


def test_where_nobody_says_anything_all_that_are_listed_are_waited_out() -> None:
    """And for the longest lease those that are not, whose records may be deleted too."""
    script = Slots(leaders=1)
    script.arrive(record(released=False, holder="", lease_ms=60_000), b"spoilt")
    script.do(60.84)
    assert not script.is_claiming
    script.do(60.86)
    assert list(script.writes()) == [path_of(0), path_of(1)]
    assert script.writes()[path_of(0)]["leaders_before"] == 0


def test_a_record_that_vanishes_while_nobody_says_anything_is_waited_out_from_then_on() -> None:
    """It may have been a leader's, with any number."""
    script = Slots(leaders=1)
    script.arrive(record(released=False, holder="", lease_ms=60_000), b"spoilt")
    del script.records[1]
    script.do(30, Touched(path=path_of(1), is_deleted=True))
    script.settle(30)
    script.do(90.84)
    assert not script.is_claiming
    script.do(90.86)
    assert list(script.writes()) == [path_of(0)]


def test_nonblock_ends_where_others_have_another_number() -> None:
    """As if they were ahead; the reason says more."""
    script = Slots(leaders=2, wait=0)
    script.arrive(record(released=False, holder="c"), ahead=("c-n_0000000009",))
    outcome = script.state.outcome
    assert outcome is None
    script.do(0.1)
    outcome = script.state.outcome
    assert outcome is not None
    assert (outcome.end, outcome.reason) == (End.NOT_ELECTED, "leaders_disagree")


def test_nonblock_waits_out_the_lease_of_the_last_one_who_had_another_number() -> None:
    """Or a crash would lock everyone out for ever."""
    script = Slots(leaders=2, wait=0)
    script.arrive(record(released=False, holder="gone"))
    script.do(5)
    assert script.state.outcome is None
    script.do(10.4)
    assert list(script.writes()) == [path_of(0), path_of(1)]


def test_the_standby_lists_again_while_a_slot_is_free_that_nobody_ahead_claims() -> None:
    """One of those ahead, whom nobody watches, has crashed: its candidate goes with its session."""
    script = Slots(leaders=2)
    script.arrive(held("a"), held("b"), ahead=(A, B))
    script.change(10, 1, held("b"))
    assert script.do(20.4) == []
    assert script.sent(20.5) == [ListNames(path=ELECTION)]
    script.line = (B, OWN)
    script.settle(20.5)
    assert list(script.writes()) == [path_of(0)]


@pytest.mark.parametrize("told", [{}, {"leaders": "2"}, {"leaders": 0}, {"leaders": 101}, {"leaders": True}])
def test_a_number_that_is_none_makes_a_record_unreadable(told: dict[str, Any]) -> None:
    """It is waited out like any other garbage."""
    data = record(format=FORMAT_OF_SEVERAL, **told)
    assert isinstance(parse_lease_record(data, Stat(100, 1, 1, 1, 1)), Unreadable)


def test_an_attempt_over_an_older_version_is_void() -> None:
    """And one over this very version is not."""
    chain, _ = Chain(guid="g", lease=20).attempt(stat(1), at(0))
    assert chain.settled(stat(1)).doubts
    assert not chain.settled(stat(2)).doubts
    assert not chain.settled(stat(1, czxid=101)).doubts
    assert RecordOf(0) < RecordOf(1)
