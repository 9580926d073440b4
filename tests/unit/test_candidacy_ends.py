"""How a candidacy ends where something never comes: proof, a guard, a connection.  Scripts as in ``test_candidacy``."""

from signal import SIGHUP, SIGINT, SIGQUIT
from typing import Any

import pytest
from candidacy_script import ELECTION, GUID, OWN, RECORD, Script, at, outcome_of, record, stat

from zkleader.core import candidacy, records
from zkleader.core.actions import Create, End, Finish, Get, ListNames, Multi, Outcome, Send, StopCommand
from zkleader.core.candidacy_state import Memory, Phase
from zkleader.core.events import (
    Answered,
    CommandGone,
    CommandTooLate,
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
from zkleader.core.records import Identity
from zkleader.core.wire import Cause

ENDED = CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True)
LOST = CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True)
AHEAD = "other-n_0000000003"


# ---- a command that does not go


def test_a_command_that_never_goes_does_not_hold_up_the_election() -> None:
    """80 at the lease's end, unreleased: the next in line is not kept waiting for a process in the kernel's hands."""
    script = Script()
    script.lead()
    assert script.do(1, SessionLost(reason="session_expired")) == [StopCommand(cause=Cause.LOSS)]
    left = candidacy.next_step_in(script.state, at(1))
    assert left is not None
    assert left == pytest.approx(19)
    assert script.do(19.9) == []
    assert outcome_of(script.do(20)).end is End.LOST_LATE
    assert script.events() == ["command_not_gone"]


def test_a_loss_of_a_command_that_never_goes_leaves_the_record_alone() -> None:
    """With a connection too: what is not proven gone is not released, and only the candidate goes, with its session."""
    script = Script()
    script.lead()
    script.sent(1, Touched(path=f"{ELECTION}/{OWN}"))
    script.answer(1, f"{ELECTION}/{OWN}", Refused(refusal=Refusal.NO_NODE))
    assert outcome_of(script.do(20)).end is End.LOST_LATE


def test_thawed_after_the_lease_the_guards_word_is_heard_before_its_silence_is_judged() -> None:
    """It ended everything in time while we were frozen; that lies in its socket, behind the news of the session."""
    script = Script()
    script.lead()
    script.do(60, SessionLost(reason="session_expired"))
    assert script.state.phase is Phase.STOPPING
    assert outcome_of(script.do(60, LOST)).end is End.LOST


def test_a_command_that_never_goes_though_nothing_is_lost_keeps_the_lease() -> None:
    """Asked to stop, with a healthy lease: renewing goes on as long as anything of it may act."""
    script = Script()
    script.lead()
    script.do(1, LeaveAsked(signal=15))
    script.do(1, LeaveAsked(signal=15))
    for second in range(2, 100, 2):
        script.do(second)
        script.claimed(second, version=1 + second // 2)
    assert script.state.phase is Phase.STOPPING


def test_a_command_that_never_goes_is_given_up_also_when_only_its_end_was_asked_for() -> None:
    """The connection went down while it was being stopped: nobody tells of a loss, and the lease is over."""
    script = Script()
    script.lead()
    script.do(1, LeaveAsked(signal=15))
    script.do(1, Suspended())
    assert candidacy.next_step_in(script.state, at(1)) == pytest.approx(13.55 - 1)
    assert script.do(13.56) == [StopCommand(cause=Cause.LOSS)]
    script.do(20)
    assert script.state.outcome == Outcome(end=End.LOST_LATE, reason="lease_lapsed")


@pytest.mark.parametrize("is_gone", [True, False])
def test_nothing_is_written_once_the_lease_is_over(*, is_gone: bool) -> None:
    """Thawed long after it, the first news comes before the tick that says so."""
    script = Script()
    script.lead()
    event = CommandGone(cause=Cause.DEADLINE, wait_status=15, in_time=True) if is_gone else Touched(path="/elsewhere")
    assert script.sent(60, event) == []


# ---- a guard that fails


@pytest.mark.parametrize("proven", [True, False])
def test_a_guard_that_fails_after_its_work_changes_nothing(*, proven: bool) -> None:
    """Everything is gone and only the release is left, which is ours: the command's status is what is told."""
    script = Script()
    script.lead()
    script.do(1, ENDED)
    assert script.state.phase is Phase.RELEASING
    assert script.do(1, GuardFailed(reason="guard_died", proven=proven)) == []
    assert script.state.phase is Phase.RELEASING
    assert script.state.outcome is not None
    assert script.state.outcome.end is End.COMMAND_ENDED


def test_a_guard_that_fails_on_the_way_out_changes_nothing() -> None:
    """We were asked to end while suspended; that is what is told."""
    script = Script()
    script.join(0, AHEAD)
    script.do(1, Suspended())
    script.do(1, LeaveAsked(signal=15))
    assert script.state.phase is Phase.LEAVING
    assert script.do(1, GuardFailed(reason="guard_died", proven=True)) == []
    assert script.state.outcome == Outcome(end=End.LEFT, number=15, reason="asked")


def test_what_a_failed_guard_left_and_is_not_proven_gone_is_told_so() -> None:
    """80: no script may go on as if nothing of the command were left."""
    script = Script()
    script.lead()
    outcome = outcome_of(script.do(1, GuardFailed(reason="guard_died", proven=False)))
    assert outcome == Outcome(end=End.LOST_LATE, reason="guard_died")


# ---- waiting limits without a connection


def test_a_second_candidacy_that_is_not_connected_yet_does_not_end_for_want_of_a_place() -> None:
    """-n: nobody can be said to be ahead before the queue was seen; away for a lease, nobody waits any longer."""
    script = Script(wait=0, memory=Memory(began=at(-50), reached=True, election_seen=True))
    assert script.do(0) == []
    assert candidacy.next_step_in(script.state, at(0)) == pytest.approx(20)
    assert script.do(19.9) == []
    assert outcome_of(script.do(20)).end is End.NOT_ELECTED


def test_a_connection_that_breaks_before_the_place_is_known_is_waited_for() -> None:
    """-w: the same for the first candidacy, once ZooKeeper has answered."""
    script = Script(wait=5)
    script.connect()
    script.answer(0, Create, Created(path=f"{ELECTION}/{OWN}"))
    script.do(1, Suspended())
    for flight in list(script.state.flights.values()):
        script.do(1, Answered(number=flight.number, answer=Unanswered()))
    assert script.do(6) == []
    assert script.state.phase is Phase.WAITING
    script.do(21)
    assert script.state.outcome == Outcome(end=End.NOT_ELECTED, reason="not_elected")


# ---- what is told


def test_the_wait_is_told_from_the_beginning_of_the_candidacy() -> None:
    """Under rejoin the tenure before is not time that was waited."""
    script = Script(memory=Memory(began=at(-500), reached=True, election_seen=True, led=True))
    script.join(3)
    script.claimed(3)
    (elected,) = [tell for tell in script.told if tell.event == "elected"]
    assert elected.facts["waited"] == 3


def test_a_release_that_is_of_no_use_any_more_is_not_missed() -> None:
    """Thawed after the lease: the guard may have released meanwhile, and if not, nobody has to wait for it."""
    script = Script()
    script.lead()
    assert script.do(60, SessionLost(reason="session_expired")) == [StopCommand(cause=Cause.LOSS)]
    assert outcome_of(script.do(60, LOST)).end is End.LOST
    assert script.events() == []


def test_a_release_that_a_lost_session_prevents_is_told() -> None:
    """The next in line waits out what is left of the lease, and the log says why."""
    script = Script()
    script.lead()
    script.do(1, SessionLost(reason="session_expired"))
    script.do(1, LOST)
    assert script.events() == ["release_unconfirmed"]


def test_a_claim_over_our_own_does_not_call_it_lapsed() -> None:
    """A claim that was confirmed too late ran nothing: whoever led before it is still the previous one."""
    shown = record(holder=GUID, released=False, previous={"id": "them", "reason": "ended"})
    old = records.parse_lease_record(shown, stat(3))
    assert isinstance(old, records.LeaseRecord)
    identity = Identity(id="me", host="h", pid=1, command="c", version="0")
    new = records.claimed(old, stat(3), guid=GUID, beat=9, lease=20, identity=identity)
    assert new.content["previous"]["id"] == "them"
    assert new.content["previous"]["reason"] == "ended"


def test_a_start_that_was_too_late_and_asked_to_end_is_left() -> None:
    """The user's signal while the guard refuses: nothing ran, and nothing follows."""
    script = Script()
    script.join(0)
    script.claimed(0)
    script.do(0, LeaveAsked(signal=15))
    script.do(0, CommandTooLate())
    assert script.state.outcome == Outcome(end=End.LEFT, number=15, reason="asked")


# ---- the predecessor


def test_the_first_standby_claims_a_released_record_without_listing_again() -> None:
    """Nobody joins ahead of us: with the only candidate ahead gone, a listing could tell nothing new."""
    script = Script()
    script.join(0, AHEAD, data=record(released=False))
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    assert script.sent(1, Touched(path=RECORD)) == [Get(path=RECORD)]
    assert script.sent(1, Touched(path=f"{ELECTION}/{AHEAD}", is_deleted=True)) == []
    (claim,) = script.answer(1, RECORD, Content(data=record(), stat=stat(2)))
    assert isinstance(claim, Send)
    assert isinstance(claim.request, Multi)


def test_a_claim_under_way_does_not_read_what_it_writes() -> None:
    """Its own write fires the watch; the answer tells all that there is to know."""
    script = Script()
    script.join(0)
    assert script.sent(0, Touched(path=RECORD)) == []
    script.answer(0, Multi, Refused(refusal=Refusal.BAD_VERSION, index=1))
    assert any(getattr(flight.request, "path", None) == RECORD for flight in script.state.flights.values())


def test_who_becomes_first_in_line_when_the_predecessor_claims_watches_the_record_from_then_on() -> None:
    """It joined behind two: else its clock would begin when the second one crashes, and the crash cost two leases."""
    script = Script()
    script.join(0, AHEAD, "x-n_0000000001", data=record(released=False))
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    script.do(1, Touched(path=RECORD))
    assert script.sent(5, Touched(path=f"{ELECTION}/{AHEAD}")) == [ListNames(path=ELECTION)]
    wanted = [getattr(action, "request", None) for action in script.answer(5, ListNames, Names(names=(OWN, AHEAD)))]
    assert Get(path=RECORD) in wanted
    assert Get(path=f"{ELECTION}/{AHEAD}") in wanted


def test_a_record_that_is_being_read_is_not_told_as_it_was() -> None:
    """The release touches the record first and the candidate then: what was seen of it is old by then."""
    script = Script()
    script.join(0, AHEAD, data=record(released=False))
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    script.do(1, Touched(path=RECORD))
    script.do(1, Touched(path=f"{ELECTION}/{AHEAD}", is_deleted=True))
    assert script.events() == []


def test_further_down_the_queue_the_next_predecessor_is_looked_for() -> None:
    """Only a listing tells who is ahead now, and a predecessor that was merely changed is still there."""
    script = Script()
    script.join(0, AHEAD, "x-n_0000000001")
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    assert script.sent(1, Touched(path=f"{ELECTION}/{AHEAD}", is_deleted=True)) == [ListNames(path=ELECTION)]
    script = Script()
    script.join(0, AHEAD)
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    assert script.sent(1, Touched(path=f"{ELECTION}/{AHEAD}")) == [ListNames(path=ELECTION)]


# ---- once per period

ONCE = {"once_per": 60.0}
ARRIVED = 50_000
"""When the script's candidate was created, as its stat says (ms)."""


def done_at(start: int, status: int = 0) -> bytes:
    """Return a released record whose last run began then and has ended."""
    return record(last_run={"start": start, "token": 5, "id": "them", "status": status, "end": None})


def test_a_period_that_is_done_is_left_without_a_claim() -> None:
    """0, and nothing is written."""
    script = Script(**ONCE)
    assert outcome_of(script.join(0, data=done_at(ARRIVED - 29_000))) == Outcome(end=End.DONE, reason="already_done")


def test_a_period_that_is_done_is_seen_behind_others_too() -> None:
    """-n does not call it "not elected"."""
    script = Script(wait=0, **ONCE)
    assert script.join(0, AHEAD, data=done_at(ARRIVED - 29_000))[-1] == Finish(
        outcome=Outcome(end=End.DONE, reason="already_done")
    )


@pytest.mark.parametrize(
    ("options", "data"),
    [
        (ONCE, done_at(ARRIVED - 30_000)),
        (ONCE | {"retry_failed": True}, done_at(ARRIVED - 1000, status=3)),
        (ONCE, record(last_run={"start": ARRIVED - 1000, "token": None, "id": "them", "status": None, "end": None})),
        (ONCE, record()),
        ({}, done_at(ARRIVED)),
    ],
    ids=["the next period", "failed", "broken off", "never", "not once per"],
)
def test_a_run_that_is_due_is_claimed(options: dict[str, Any], data: bytes) -> None:
    """And leaves alone what it does not use."""
    script = Script(**options)
    script.join(0, data=data)
    told = script.write()[1].get("last_run")
    if options:
        assert told["status"] is None
    else:
        assert told["status"] == 0


def test_who_took_long_to_join_belongs_to_the_period_in_which_it_began() -> None:
    """Cut off while others ran what the clock had struck for, it would come too late, and do it again."""
    script = Script(**ONCE)
    assert outcome_of(script.join(14, data=done_at(ARRIVED - 40_000))).end is End.DONE
    script = Script(**ONCE)
    assert script.join(5, data=done_at(ARRIVED - 40_000))
    assert script.state.memory.arrived == ARRIVED - 5_000
    assert script.write()


def test_a_run_that_has_ended_is_recorded_with_the_release() -> None:
    """One compare-and-set: no successor can see the one without the other."""
    script = Script(**ONCE)
    script.lead()
    script.do(1, CommandGone(cause=Cause.ENDED, wait_status=3 << 8, in_time=True))
    assert script.write()[1]["last_run"] == {
        "start": stat(2).mtime, "token": stat(2).mzxid, "id": "me", "status": 3, "end": None,
    }  # fmt: skip
    assert outcome_of(script.claimed(1, version=3)).end is End.COMMAND_ENDED


@pytest.mark.parametrize("cause", [Cause.ASKED, Cause.LOSS])
def test_a_run_that_was_broken_off_is_not_recorded_as_done(cause: Cause) -> None:
    """Another host does it again."""
    script = Script(**ONCE)
    script.lead()
    script.do(1, CommandGone(cause=cause, wait_status=0, in_time=True))
    assert script.write()[1]["last_run"]["status"] is None


@pytest.mark.parametrize("number", [SIGHUP, SIGINT, SIGQUIT])
def test_a_run_that_was_broken_off_at_its_terminal_is_not_recorded_as_done(number: int) -> None:
    """Ctrl-C goes to the command alone, so nobody has asked us to stop it; its status is ours all the same."""
    script = Script(**ONCE)
    script.lead()
    script.do(1, CommandGone(cause=Cause.ENDED, wait_status=number, in_time=True))
    assert script.write()[1]["last_run"]["status"] is None
    assert outcome_of(script.claimed(1, version=3)) == Outcome(end=End.COMMAND_ENDED, number=number, reason="ended")


def test_a_run_that_could_not_be_recorded_is_told_so() -> None:
    """It will be run again, so no script may take it for done; with or without a second signal."""
    script = Script(**ONCE)
    script.lead()
    script.do(1, Suspended())
    script.do(2, ENDED)
    script.do(12)
    assert script.state.outcome == Outcome(end=End.NOT_RECORDED, reason="ended")
