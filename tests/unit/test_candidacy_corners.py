"""A candidacy where two things happen at once, or the same thing in another phase; scripts as in ``test_candidacy``."""

import json
from collections.abc import Sequence

import pytest
from candidacy_script import ELECTION, GUID, OWN, RECORD, Script, at, outcome_of, record, stat

from zkleader.core import candidacy
from zkleader.core.actions import (
    Check,
    Create,
    Delete,
    DropConnection,
    End,
    Exists,
    Get,
    ListNames,
    Multi,
    Outcome,
    Send,
    SetData,
    StartCommand,
    StopCommand,
    Sync,
)
from zkleader.core.candidacy_state import Memory, Phase, Purpose, RecordOf, Sight
from zkleader.core.events import (
    Answered,
    Applied,
    CommandGone,
    CommandTooLate,
    Connected,
    Content,
    Created,
    GuardFailed,
    LeaveAsked,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
    Unanswered,
)
from zkleader.core.wire import Cause

NO_NODE = Refused(refusal=Refusal.NO_NODE)
NO_AUTH = Refused(refusal=Refusal.NO_AUTH)
BAD_VERSION = Refused(refusal=Refusal.BAD_VERSION, index=1)
AHEAD = "other-n_0000000003"
ENDED = CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True)


def end_of(actions: Sequence[object]) -> End:
    """Return how the candidacy ended by these actions."""
    return outcome_of(actions).end


def written(script: Script, version: int = 2) -> Content:
    """Return the record as this candidacy last wrote it."""
    assert script.state.seen is not None
    return Content(data=json.dumps(script.state.seen.record.content).encode(), stat=stat(version))  # type: ignore[union-attr]


# ---- joining


def test_a_create_that_finds_the_sequence_used_up_is_refused_with_the_reason() -> None:
    """At 2147483647 the parent's counter sticks; only another election helps."""
    script = Script()
    script.connect()
    assert end_of(script.answer(0, Create, Refused(refusal=Refusal.NODE_EXISTS))) is End.REFUSED


def test_an_election_that_another_made_meanwhile_is_joined() -> None:
    """Two first candidates at once: the second finds what it wanted to make."""
    script = Script()
    script.connect()
    script.answer(0, Create, NO_NODE)
    (again,) = script.answer(0, Multi, Refused(refusal=Refusal.NODE_EXISTS))
    assert isinstance(again, Send)
    assert isinstance(again.request, Create)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal.NO_AUTH, f"create a candidate in {ELECTION}"),
        (Refusal.NOT_AUTHENTICATED, f"create a candidate in {ELECTION} without authentication"),
        (Refusal.INVALID_ACL, f"create a candidate in {ELECTION} with the ACL asked for"),
    ],
)
def test_joining_without_permission_is_told_at_once(refusal: Refusal, reason: str) -> None:
    """77: waiting would not change it, and each has another remedy."""
    script = Script()
    script.connect()
    outcome = outcome_of(script.answer(0, Create, Refused(refusal=refusal)))
    assert outcome == Outcome(end=End.NOT_PERMITTED, reason=reason)


def test_what_may_not_be_made_is_named() -> None:
    """The election's path would mislead whoever may not create what is above it."""
    script = Script()
    script.connect()
    script.answer(0, Create, NO_NODE)
    (above,) = script.answer(0, Multi, NO_NODE)
    parent = ELECTION.rpartition("/")[0]
    assert isinstance(above, Send)
    assert above.request == Create(path=parent, data=b"")
    outcome = outcome_of(script.answer(0, Create, NO_AUTH))
    assert outcome.reason == f"create {parent} for the election {ELECTION}"


def test_a_record_that_another_made_meanwhile_is_read() -> None:
    """Both saw that it was missing."""
    script = Script()
    script.connect()
    script.answer(0, Create, Created(path=f"{ELECTION}/{OWN}"))
    script.answer(0, RECORD, NO_NODE)
    (again,) = script.answer(0, RECORD, Refused(refusal=Refusal.NODE_EXISTS))
    assert isinstance(again, Send)
    assert again.request == Get(path=RECORD)


# ---- waiting


def test_a_predecessor_that_may_not_be_read_is_watched_all_the_same() -> None:
    """A candidate of another recipe, with an ACL of its own; `exists` needs no permission."""
    script = Script()
    script.join(0, AHEAD)
    (watch,) = script.answer(0, f"{ELECTION}/{AHEAD}", NO_AUTH)
    assert isinstance(watch, Send)
    assert watch.request == Exists(path=f"{ELECTION}/{AHEAD}")
    script.answer(0, Exists, Applied())
    assert script.sent(1, Touched(path=f"{ELECTION}/{AHEAD}")) == [ListNames(path=ELECTION)]


def test_far_down_the_queue_the_record_is_left_alone() -> None:
    """A leader's renewals wake itself and its standby, not everybody."""
    script = Script()
    script.join(0, AHEAD, "x-n_0000000001")
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    assert script.sent(1, Touched(path=RECORD)) == []


def test_the_standby_watches_the_record() -> None:
    """Its clock runs from the last renewal that it saw, so it need not wait a whole lease after the crash."""
    script = Script()
    script.join(0, AHEAD, data=record(released=False))
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    script.do(1, Touched(path=RECORD))
    script.answer(1, RECORD, Content(data=record(released=False, beat=4), stat=stat(2)))
    assert script.state.memory.sights[0] == Sight(czxid=100, version=2, since=at(1))
    script.do(5, Touched(path=f"{ELECTION}/{AHEAD}"))
    script.answer(5, ListNames, Names(names=("lease-0", OWN)))
    assert script.do(11.34) == []
    assert isinstance(script.sent(11.36)[0], Multi)


def test_the_command_does_not_wait_for_what_its_own_claim_has_touched() -> None:
    """A claim writes our candidate: its watch fires before the claim is confirmed, and is set again after the start."""
    own = f"{ELECTION}/{OWN}"
    script = Script()
    script.join(0)
    assert script.sent(0.1, Touched(path=own)) == []
    start, watch = script.claimed(0.2)
    assert isinstance(start, StartCommand)
    assert isinstance(watch, Send)
    assert watch.request == Get(path=own)


def test_a_candidate_that_was_touched_while_a_claim_failed_is_read() -> None:
    """It may be gone, and that may be why."""
    own = f"{ELECTION}/{OWN}"
    script = Script()
    script.join(0)
    assert script.sent(0.1, Touched(path=own, is_deleted=True)) == []
    sent = script.answer(0.2, Multi, Refused(refusal=Refusal.NO_NODE, index=0))
    assert Get(path=own) in [action.request for action in sent if isinstance(action, Send)]


def test_a_record_made_anew_is_a_new_sight_at_the_same_version() -> None:
    """Versions begin at 0 again; czxids do not."""
    script = Script(memory=Memory(began=at(0), sights={0: Sight(czxid=99, version=1, since=at(-100))}))
    assert script.join(0, data=record(released=False)) == []
    assert script.state.memory.sights[0] == Sight(czxid=100, version=1, since=at(0))


@pytest.mark.parametrize(
    ("reason", "end"), [("session_expired", End.CANDIDACY_LOST), ("authentication_failed", End.NOT_PERMITTED)]
)
def test_a_session_lost_while_waiting_ends_the_candidacy_and_hands_the_memory_on(reason: str, end: End) -> None:
    """A new one may begin where this one stood; with the wrong password it would end alike."""
    script = Script()
    script.join(0, AHEAD, data=record(released=False))
    assert end_of(script.do(3, SessionLost(reason=reason))) is end
    memory = script.state.memory
    assert (memory.reached, memory.election_seen, memory.led) == (True, True, False)
    assert memory.sights[0] == Sight(czxid=100, version=1, since=at(0))


def test_a_guard_that_fails_while_waiting_ends_everything() -> None:
    """70: without a guard nothing may be started."""
    script = Script()
    script.join(0, AHEAD)
    assert end_of(script.do(1, GuardFailed(reason="guard_died", proven=True))) is End.GUARD_FAILED


def test_an_answer_that_comes_after_its_deadline_changes_nothing() -> None:
    """It was dealt with as lost; its number is in flight no more."""
    script = Script()
    script.join(0)
    (number,) = [flight.number for flight in script.state.flights.values()]
    assert script.do(4) == [DropConnection()]
    assert script.do(5, Answered(number=number, answer=Applied(stats=(None, stat(2))))) == []
    assert script.state.phase is Phase.WAITING


# ---- claiming


def test_a_claim_that_may_not_be_written_leaves_the_queue() -> None:
    """77, and no release of what was never won."""
    script = Script()
    script.join(0)
    assert end_of(script.answer(0, Multi, NO_AUTH)) is End.NOT_PERMITTED


@pytest.mark.parametrize(
    ("index", "what"),
    [(0, f"write our candidate in {ELECTION} with the ACL given to it"), (1, f"write the lease record {RECORD}")],
)
def test_what_of_a_claim_was_not_permitted_is_told(index: int, what: str) -> None:
    """Our candidate has the ACL that we wanted, which may shut ourselves out; the record has that of who made it."""
    script = Script()
    script.join(0)
    refused = Refused(refusal=Refusal.NO_AUTH, index=index)
    assert outcome_of(script.answer(0, Multi, refused)) == Outcome(end=End.NOT_PERMITTED, reason=what)


def test_a_claim_made_without_its_candidate_is_refused_and_the_candidate_looked_for() -> None:
    """An operator deleted it at that moment: a new candidacy, not a leader without a place in the queue."""
    script = Script()
    script.join(0)
    script.answer(0, Multi, Refused(refusal=Refusal.NO_NODE, index=0))
    assert end_of(script.answer(0, f"{ELECTION}/{OWN}", NO_NODE)) is End.CANDIDACY_LOST


def test_a_claim_in_doubt_is_found_under_a_version_that_an_operator_made() -> None:
    """The same content written again: that version's zxid is the token, and still a rising one."""
    script = Script()
    script.join(1)
    _, content = script.write()
    script.do(2, Suspended())
    script.answer(2, Multi, Unanswered())
    script.connect(3)
    actions = script.answer(3, RECORD, Content(data=json.dumps(content).encode(), stat=stat(3)))
    assert actions == [StartCommand(lease_start=at(1), token=1003)]


def test_a_claim_that_was_not_applied_is_made_again_with_another_beat() -> None:
    """Were the beats the same, a read could not tell which of them was applied."""
    script = Script()
    script.join(1)
    beats = [script.write()[1]["beat"]]
    script.do(2, Suspended())
    script.answer(2, Multi, Unanswered())
    script.connect(3)
    for purpose in (Purpose.SYNC, Purpose.LIST, Purpose.OWN, RecordOf(0)):
        answer = {
            Purpose.SYNC: Applied(),
            Purpose.LIST: Names(names=("lease-0", OWN)),
            Purpose.OWN: Content(data=b"{}", stat=stat(0)),
            RecordOf(0): Content(data=record(), stat=stat(1)),
        }[purpose]
        script.do(3, Answered(number=script.state.flights[purpose].number, answer=answer))
    beats.append(script.write()[1]["beat"])
    assert beats == [1, 2]


def test_a_guard_that_was_asked_too_late_is_not_asked_again() -> None:
    """It is used up and would say the same for ever: the lease is released, and a new candidacy has a new guard."""
    script = Script()
    script.lead(0)
    script.do(1, CommandTooLate())
    assert script.write()[1]["released"] is True
    assert end_of(script.answer(1, Multi, Applied(stats=(stat(3), None)))) is End.CANDIDACY_LOST


# ---- leading


def test_renewals_check_the_candidate_and_the_version() -> None:
    """One multi: neither the one nor the other may have gone when it is applied."""
    script = Script()
    script.lead(0)
    (renewal,) = script.sent(2)
    assert isinstance(renewal, Multi)
    check, write = renewal.operations
    assert check == Check(path=f"{ELECTION}/{OWN}")
    assert isinstance(write, SetData)
    assert (write.path, write.version) == (RECORD, 2)


def test_a_loss_is_told_once() -> None:
    """The guard has it; a second cause adds nothing."""
    script = Script()
    script.lead(0)
    assert script.do(1, SessionLost(reason="session_expired")) == [StopCommand(cause=Cause.LOSS)]
    assert script.do(14) == []
    assert script.state.loss == "session_expired"


def test_the_leader_does_not_wake_for_its_own_writes() -> None:
    """Each of its renewals fires the watch that it set while it waited."""
    script = Script()
    script.lead(0)
    assert script.do(1, Touched(path=RECORD)) == []


# ---- releasing


def test_the_candidate_found_gone_while_releasing_is_no_loss() -> None:
    """The probe was under way when the command ended: there is only the record to release, and nothing to stop."""
    script = Script()
    script.lead(0)
    script.do(1, Touched(path=f"{ELECTION}/{OWN}"))
    script.do(1, ENDED)
    shown = written(script)
    assert script.answer(1, f"{ELECTION}/{OWN}", NO_NODE) == []
    assert script.state.phase is Phase.RELEASING
    script.answer(1, Multi, Refused(refusal=Refusal.NO_NODE, index=1))
    script.answer(1, RECORD, shown)
    multi, content = script.write()
    assert [type(operation) for operation in multi.operations] == [SetData]
    assert content["released"] is True
    assert end_of(script.answer(1, Multi, Applied(stats=(stat(3),)))) is End.COMMAND_ENDED


def test_a_release_that_finds_the_candidate_gone_is_made_without_it() -> None:
    """The multi fails as a whole; what is left of it is tried again."""
    script = Script()
    script.lead(0)
    script.do(1, ENDED)
    shown = written(script)
    assert Delete in map(type, script.write()[0].operations)
    script.answer(1, Multi, Refused(refusal=Refusal.NO_NODE, index=1))
    script.answer(1, RECORD, shown)
    assert [type(operation) for operation in script.write()[0].operations] == [SetData]


def test_a_release_over_an_old_version_reads_again() -> None:
    """Somebody wrote what stood there; whether it is ours still, only a read can tell, and only once."""
    script = Script()
    script.lead(0)
    script.do(1, ENDED)
    shown = written(script, 5)
    (again,) = script.answer(1, Multi, Refused(refusal=Refusal.BAD_VERSION, index=0))
    assert isinstance(again, Send)
    assert again.request == Get(path=RECORD, watch=False)
    script.answer(1, RECORD, shown)
    assert script.write()[0].operations[0].version == 5  # type: ignore[union-attr]


@pytest.mark.parametrize("doubt", ["answer lost", "suspended"])
def test_what_the_last_write_did_not_show_is_read_before_it_is_released(doubt: str) -> None:
    """A renewal in doubt may be there or not."""
    script = Script()
    script.lead(0)
    if doubt == "answer lost":
        script.do(2)
        script.answer(2, Multi, Unanswered())
        script.answer(2, Sync, Applied())
    else:
        script.do(2)
        script.do(2, Suspended())
        script.answer(2, Multi, Unanswered())
    script.do(3, ENDED)
    if doubt == "suspended":
        script.connect(3)
    assert all(flight.record is None or not flight.record.released for flight in script.state.flights.values())
    assert RecordOf(0) in script.state.flights


def test_a_record_that_is_another_one_is_read_before_it_is_released() -> None:
    """A renewal that was applied to a record made anew: it bears our guid, and is not ours."""
    script = Script()
    script.lead(0)
    script.do(2)
    script.answer(2, Multi, Applied(stats=(None, stat(3, czxid=777))))
    script.do(3, CommandGone(cause=Cause.LOSS, wait_status=0, in_time=True))
    assert Purpose.WRITE not in script.state.flights
    assert end_of(script.answer(3, RECORD, Content(data=record(holder=GUID), stat=stat(3, czxid=777)))) is End.LOST


def test_a_release_in_doubt_is_settled_by_a_read() -> None:
    """It was applied: the record says so."""
    script = Script()
    script.lead(0)
    script.do(1, ENDED)
    _, content = script.write()
    script.do(2, Suspended())
    script.answer(2, Multi, Unanswered())
    script.connect(3)
    shown = Content(data=json.dumps(content).encode(), stat=stat(3))
    assert end_of(script.answer(3, RECORD, shown)) is End.COMMAND_ENDED


def test_a_release_in_doubt_is_not_waited_for_beyond_the_lease() -> None:
    """It asks for no lease, so the one that it ends is all that counts: by then others may claim anyway."""
    script = Script()
    script.lead(0)
    script.do(10, ENDED)
    script.do(11, Suspended())
    script.answer(11, Multi, Unanswered())
    assert candidacy.next_step_in(script.state, at(12)) == pytest.approx(8.0)
    assert end_of(script.do(20)) is End.COMMAND_ENDED


def test_a_renewal_under_way_when_the_command_ends_is_waited_for() -> None:
    """At most one write at a time; the release is based on what that one made."""
    script = Script()
    script.lead(0)
    script.do(2)
    assert script.do(2, ENDED) == []
    script.claimed(2, version=3)
    assert script.write()[0].operations[0].version == 3  # type: ignore[union-attr]


def test_a_session_lost_while_releasing_ends_it_with_a_warning() -> None:
    """The status stays the command's."""
    script = Script()
    script.lead(0)
    script.do(1, ENDED)
    assert end_of(script.do(2, SessionLost(reason="session_expired"))) is End.COMMAND_ENDED
    assert script.events() == ["release_unconfirmed"]


def test_a_record_deleted_while_releasing_leaves_nothing_to_release() -> None:
    """Whoever makes it anew has the longest lease waited out."""
    script = Script()
    script.lead(0)
    script.do(1, ENDED)
    script.answer(1, Multi, Refused(refusal=Refusal.NO_NODE, index=0))
    assert end_of(script.answer(1, RECORD, NO_NODE)) is End.COMMAND_ENDED


# ---- leaving


def test_leaving_while_suspended_takes_a_moment_to_close_the_session() -> None:
    """Else the candidate would stand in the queue until it expires; asked again, it waits for nothing."""
    for again in (False, True):
        script = Script()
        script.join(0, AHEAD)
        script.do(1, Suspended())
        for flight in list(script.state.flights.values()):
            script.do(1, Answered(number=flight.number, answer=Unanswered()))
        assert script.do(2, LeaveAsked(signal=2)) == []
        if again:
            assert end_of(script.do(3, LeaveAsked(signal=2))) is End.LEFT
        else:
            assert candidacy.next_step_in(script.state, at(2)) == pytest.approx(2)
            assert script.do(3.9) == []
            assert end_of(script.do(4)) is End.LEFT


def test_a_candidacy_that_has_ended_does_nothing_more() -> None:
    """News of it may still be in the inbox."""
    script = Script()
    script.join(0, AHEAD)
    assert end_of(script.do(1, LeaveAsked(signal=15))) is End.LEFT
    events = (Connected(granted=20.0, server="s"), LeaveAsked(signal=15), Touched(path=RECORD), ENDED)
    assert [script.do(2, event) for event in events] == [[]] * 4
    assert candidacy.next_step_in(script.state, at(2)) is None


# ---- time


def test_the_next_step_is_the_nearest_deadline() -> None:
    """A supervisor that sleeps so long misses nothing."""
    script = Script()
    assert candidacy.next_step_in(script.state, at(5)) == pytest.approx(10.0)  # the connect timeout
    script.join(5)
    assert candidacy.next_step_in(script.state, at(6)) == pytest.approx(3.0)  # the claim's answer
    script.claimed(6)
    assert candidacy.next_step_in(script.state, at(6)) == pytest.approx(1.0)  # the renewal
    script.do(6, Suspended())
    assert candidacy.next_step_in(script.state, at(8)) == pytest.approx(10.55)  # the stop signal


def test_waiting_behind_others_needs_no_clock() -> None:
    """A standby sleeps until something happens."""
    script = Script()
    script.join(0, AHEAD)
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    assert candidacy.next_step_in(script.state, at(1)) is None


def test_guids_of_others_are_not_ours_by_their_beginning() -> None:
    """Only the whole guid and what follows it make a candidate of this candidacy."""
    script = Script()
    script.connect()
    script.do(1, Suspended())
    script.answer(1, Create, Unanswered())
    script.connect(2)
    (again,) = script.answer(2, ListNames, Names(names=("lease-0", f"{GUID}x-n_0000000001", f"x{GUID}-n_0000000002")))
    assert isinstance(again, Send)
    assert isinstance(again.request, Create)
