"""A leader that is asked to resign does, in order, and nobody else is disturbed.  Scripts as in ``test_candidacy``."""

import json
from signal import SIGTERM
from typing import Any

import pytest
from candidacy_script import ELECTION, OWN, RECORD, Script, at, record, stat

from zkleader.core.actions import (
    Create,
    End,
    Finish,
    Get,
    KillCommand,
    ListNames,
    Multi,
    Outcome,
    SetData,
    StartCommand,
    StopCommand,
    Sync,
)
from zkleader.core.candidacy_state import Memory, Phase
from zkleader.core.events import (
    Applied,
    CommandGone,
    CommandStopping,
    CommandTooLate,
    Connected,
    Content,
    Created,
    LeaveAsked,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
    Unanswered,
)
from zkleader.core.restart import Restart
from zkleader.core.wire import Cause

PATH = f"{ELECTION}/{OWN}"
TOKEN = 1002  # of the claim that Script.lead makes
ASKED = {"token": TOKEN, "user": "root", "host": "web2"}
STOP = [StopCommand(cause=Cause.ASKED)]
GONE = CommandGone(cause=Cause.ASKED, wait_status=15, in_time=True)
ENDED = CommandGone(cause=Cause.ENDED, wait_status=256, in_time=True)
RESIGNED = Outcome(end=End.RESIGNED, reason="resigned")


def leading(**wanted: Any) -> Script:
    script = Script(**wanted)
    script.lead()
    return script


def test_the_command_is_stopped_in_order_while_renewing_goes_on() -> None:
    """A resignation that lost the lease on the way would not be one."""
    script = leading()
    assert script.reread(1, resign=ASKED) == STOP
    assert script.events() == ["resign_asked"]
    assert script.told[0].facts == {"user": "root", "host": "web2"}
    script.do(1, CommandStopping(cause=Cause.ASKED))
    assert len(script.sent(2)) == 1  # a renewal
    script.claimed(2, version=3)
    script.do(3, GONE)
    assert script.state.outcome == RESIGNED
    request, written = script.write()
    assert (written["released"], written["previous"]["reason"], written["previous"]["status"]) == (
        True,
        "resigned",
        None,
    )
    assert len(request.operations) == 2  # and the candidate, with the request, goes with it
    [finish] = script.answer(3, Multi, Applied(stats=(stat(4), None)))
    assert finish == Finish(outcome=RESIGNED)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"resign": {"token": TOKEN - 1, "user": "root", "host": "web2"}},
        {"resign": {"token": str(TOKEN)}},
        {"resign": {"token": True}},
        {"resign": {}},
        {"resign": True},
        {"resign": None},
        {"resign": [TOKEN]},
        {"token": TOKEN, "note": "rack 4 is being rewired"},
    ],
)
def test_nothing_else_in_its_candidate_concerns_a_leader(fields: dict[str, object]) -> None:
    """Of another tenure, or no request at all; others may write what they like there."""
    script = leading()
    assert script.reread(1, **fields) == []
    assert script.state.phase is Phase.LEADING


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"format": 3, "resign": {"token": 1002}}', b"[" * 100_000])
def test_a_candidate_that_somebody_has_spoilt_changes_nothing(data: bytes) -> None:
    """The leader leads by its record."""
    script = leading()
    script.sent(1, Touched(path=PATH))
    assert script.answer(1, PATH, Content(data=data, stat=stat(2))) == []


def test_asking_twice_does_not_kill() -> None:
    """It is not the user's TERM; and a second one who asks writes nothing anyway."""
    script = leading()
    assert script.reread(1, resign=ASKED) == STOP
    assert script.do(1, Touched(path=PATH)) == []  # what it says is of no concern any more
    assert script.do(1.5) == []


def test_the_users_first_term_does_not_kill_either_and_the_second_does() -> None:
    """Who stops the service meanwhile has not asked before; how it ends is then the user's."""
    script = leading()
    script.reread(1, resign=ASKED)
    assert script.do(1, LeaveAsked(signal=SIGTERM)) == []
    assert script.events() == ["stop_asked"]
    assert script.do(1, LeaveAsked(signal=SIGTERM)) == [KillCommand()]
    script.do(1, GONE)
    assert script.state.outcome == Outcome(end=End.COMMAND_ENDED, number=15, reason="asked")
    assert script.state.asked_by == SIGTERM  # so no other candidacy follows


def test_a_request_after_the_users_changes_nothing() -> None:
    """It is on its way out already."""
    script = leading()
    script.sent(1, Touched(path=PATH))
    assert script.do(1, LeaveAsked(signal=SIGTERM)) == STOP
    data = json.dumps({"format": 1, "resign": ASKED}).encode()
    assert script.answer(1, PATH, Content(data=data, stat=stat(2))) == []
    script.do(1, GONE)
    assert script.state.outcome is not None
    assert script.state.outcome.end is End.COMMAND_ENDED


def test_a_command_that_ends_by_itself_just_then_has_ended() -> None:
    """Nothing was broken off: its status is ours, and with --once-per it counts."""
    script = leading()
    script.reread(1, resign=ASKED)
    script.do(1, ENDED)
    assert script.state.outcome == Outcome(end=End.COMMAND_ENDED, number=256, reason="ended")


def test_a_run_that_was_broken_off_so_does_not_count_for_its_period() -> None:
    """The next host does it again."""
    script = leading(once_per=3600)
    script.reread(1, resign=ASKED)
    script.do(1, GONE)
    _, written = script.write()
    assert written["last_run"]["status"] is None


# ---- with --restart


def test_between_two_runs_it_resigns_at_once() -> None:
    """There is nothing to be stopped, and nothing is started any more."""
    script = leading(restart=Restart.ALWAYS, restart_delay=5.0)
    assert script.do(1, ENDED) == []
    [release] = script.reread(1.5, resign=ASKED)
    assert script.state.outcome == RESIGNED
    assert isinstance(release.request, Multi)  # type: ignore[union-attr]


def test_a_command_that_ends_by_itself_while_asked_is_not_started_again() -> None:
    """It was to run on; that it ended at this moment is not how the run ends."""
    script = leading(restart=Restart.ALWAYS)
    script.reread(1, resign=ASKED)
    script.do(1, ENDED)
    assert script.state.outcome == RESIGNED


def test_a_request_that_comes_while_leftovers_are_stopped_is_heeded_when_they_are_gone() -> None:
    """Its answer is taken in a phase in which there is nothing to do about it, and no other will follow."""
    script = leading(restart=Restart.ALWAYS)
    script.sent(1, Touched(path=PATH))
    script.do(1, CommandStopping(cause=Cause.ENDED))
    data = json.dumps({"format": 1, "resign": ASKED}).encode()
    assert script.answer(1, PATH, Content(data=data, stat=stat(2))) == []
    script.do(2, ENDED)
    assert script.state.outcome == RESIGNED


# ---- at the wrong moment


def test_whoever_waits_does_not_care() -> None:
    """A request means a tenure, and there is none."""
    script = Script()
    script.join(0, "other-n_0000000003")
    assert script.reread(1, resign={"token": 5, "user": "root", "host": "web2"}) == []
    assert script.state.phase is Phase.WAITING


def test_a_claim_leaves_what_others_have_written() -> None:
    """Over the version that was read: a word that is written meanwhile makes it fail, and is read first."""
    script = Script()
    script.connect(0)
    script.answer(0, Create, Created(path=PATH))
    script.answer(0, PATH, Content(data=b'{"format": 1, "id": "else", "note": [1]}', stat=stat(3)))
    script.answer(0, ListNames, Names(names=("lease-0", OWN)))
    script.answer(0, RECORD, Content(data=record(), stat=stat(1)))
    request, _ = script.write()
    [own, _] = request.operations
    assert isinstance(own, SetData)
    assert own.version == 3
    told = json.loads(own.data)
    assert (told["note"], told["id"], told["pid"]) == ([1], "me", 1)
    script.answer(0, Multi, Refused(refusal=Refusal.BAD_VERSION, index=0))
    script.answer(0, ListNames, Names(names=("lease-0", OWN)))
    script.answer(0, PATH, Content(data=b'{"format": 1, "note": [2]}', stat=stat(4)))
    script.answer(0, RECORD, Content(data=record(), stat=stat(1)))
    request, _ = script.write()
    assert json.loads(request.operations[0].data)["note"] == [2]  # type: ignore[union-attr]
    assert script.claimed(0)  # and so it leads


@pytest.mark.parametrize("data", [b"\xff", b'{"note": 1}', b'{"format": 1, "note": "' + b"x" * 100_000 + b'"}'])
def test_a_claim_writes_over_what_has_spoilt_its_candidate(data: bytes) -> None:
    """What is no candidate, or would not fit into a packet beside the record, must not keep us from leading."""
    script = Script()
    script.connect(0)
    script.answer(0, Create, Created(path=PATH))
    script.answer(0, PATH, Content(data=data, stat=stat(3)))
    script.answer(0, ListNames, Names(names=("lease-0", OWN)))
    script.answer(0, RECORD, Content(data=record(), stat=stat(1)))
    request, _ = script.write()
    assert json.loads(request.operations[0].data).keys() == json.loads(script.state.own_data).keys()  # type: ignore[union-attr]
    assert b"note" not in request.operations[0].data  # type: ignore[union-attr]


def test_a_request_that_is_read_before_the_claim_is_known_is_heeded_with_it() -> None:
    """The claim was applied, and its answer lost; whoever asks has seen it before we do, and writes but once."""
    script = Script()
    script.join(0)
    claim = script.write()[1]
    script.do(1, Suspended())
    script.answer(1, Multi, Unanswered())
    script.do(2, Connected(granted=20.0, server="t"))
    data = json.dumps({"format": 1, "resign": ASKED}).encode()
    script.answer(2, PATH, Content(data=data, stat=stat(3)))
    assert script.state.phase is Phase.WAITING
    start, stop = script.answer(2, RECORD, Content(data=json.dumps(claim).encode(), stat=stat(2)))
    assert isinstance(start, StartCommand)
    assert [stop] == STOP


def test_after_a_reconnect_it_is_read_again() -> None:
    """The watch is gone with the connection, and may have been about to fire."""
    script = leading()
    script.do(1, Suspended())
    script.do(2, Connected(granted=20.0, server="t"))
    data = json.dumps({"format": 1, "resign": ASKED}).encode()
    assert script.answer(2, PATH, Content(data=data, stat=stat(3))) == STOP


def test_a_first_start_that_came_too_late_meanwhile_is_no_tenure_of_the_command() -> None:
    """79 says that it ran.  The lease is released, and who is at the end of the queue is in nobody's way."""
    script = Script()
    script.join(0)
    script.claimed(0)
    assert script.reread(1, resign=ASKED) == STOP
    script.do(1, CommandTooLate())
    assert script.state.outcome == Outcome(end=End.CANDIDACY_LOST, reason="resigned")
    _, written = script.write()
    assert (written["released"], written["previous"]["reason"]) == (True, "resigned")


def test_a_start_between_two_runs_that_came_too_late_meanwhile_is_the_end_of_the_tenure() -> None:
    """It was asked for, and the command has run."""
    script = leading(restart=Restart.ALWAYS, restart_delay=1.0)
    script.do(1, ENDED)
    assert isinstance(script.do(2)[0], StartCommand)
    script.reread(2, resign=ASKED)
    script.do(2, CommandTooLate())
    assert script.state.outcome == RESIGNED


def test_a_loss_on_the_way_is_told_by_the_guard() -> None:
    """What it met first is what counts, and everything was gone in time; too late is too late."""
    script = leading()
    script.reread(1, resign=ASKED)
    assert script.do(2, SessionLost(reason="session_expired")) == [StopCommand(cause=Cause.LOSS)]
    [finish] = script.do(30, GONE.but(in_time=False))
    assert isinstance(finish, Finish)
    assert finish.outcome.end is End.LOST_LATE


@pytest.mark.parametrize(
    ("restart", "gone"),
    [
        (Restart.NEVER, GONE.but(lost=True)),
        (Restart.ALWAYS, GONE.but(lost=True)),
        (Restart.ALWAYS, ENDED.but(lost=True)),
    ],
)
def test_a_lease_that_the_guard_saw_lapse_while_we_were_frozen_is_lost(restart: Restart, gone: CommandGone) -> None:
    """It was deaf to the stop signal, and a successor may lead already: that is no stepping down in order."""
    script = leading(restart=restart)
    script.reread(1, resign=ASKED)
    assert script.do(60, gone) == []
    assert [(told.event, told.facts) for told in script.told] == [("leadership_lost", {"reason": "lease_lapsed"})]
    lost = Outcome(end=End.LOST, number=gone.wait_status, reason="lease_lapsed")
    assert script.do(60) == [Finish(outcome=lost)]
    assert script.events() == []  # the guard may have released for us, and if not, nobody has to wait any more


def test_a_loss_that_we_know_of_before_it_is_gone_is_not_told_as_a_resignation() -> None:
    """The log says that leadership was lost; the outcome and the record say the same."""
    script = leading()
    script.reread(1, resign=ASKED)
    assert len(script.sent(2)) == 1  # a renewal
    assert script.answer(2, Multi, Refused(refusal=Refusal.NO_NODE, index=0)) == [StopCommand(cause=Cause.LOSS)]
    assert script.events() == ["leadership_lost"]
    script.do(3, GONE.but(lost=True))
    assert script.events() == []
    assert script.state.outcome == Outcome(end=End.LOST, number=15, reason="candidate_deleted")


def test_another_tenure_of_the_same_candidacy_is_another() -> None:
    """A claim that came too late is made again, with a new token; who asked for the old one asks again."""
    script = Script(memory=Memory(began=at(0)))
    script.join(0)
    script.do(14)  # the connection was dropped: its answer comes after the stop signal would be due
    script.do(14.1, Connected(granted=20.0, server="t"))
    own = json.dumps({"format": 1, "resign": ASKED}).encode()
    script.answer(14.1, PATH, Content(data=own, stat=stat(3)))
    script.answer(14.1, Sync, Applied())
    script.answer(14.1, ListNames, Names(names=("lease-0", OWN)))
    mine = record(holder="guid", beat=1, released=False, token=None, lease_ms=20_000)
    script.answer(14.1, RECORD, Content(data=mine, stat=stat(2)))
    assert script.events() == ["claim_too_late"]
    script.answer(14.1, RECORD, Content(data=mine, stat=stat(2)))
    [start] = script.claimed(14.1, version=3)
    assert isinstance(start, StartCommand)
    assert start.token == TOKEN + 1


def test_reading_its_candidate_is_all_that_a_touch_costs_a_leader() -> None:
    """One read for each, whatever was written."""
    script = leading()
    for second in (1.0, 1.2, 1.4):
        assert script.sent(second, Touched(path=PATH)) == [Get(path=PATH)]
        script.answer(second, PATH, Content(data=b"{}", stat=stat(2)))
