"""A candidacy from joining to the end, as scripts of event -> actions."""

import json

import pytest
from candidacy_script import ELECTION, GUID, OWN, RECORD, Script, at, record, stat

from zkleader.core import candidacy
from zkleader.core.actions import (
    Create,
    Delete,
    DropConnection,
    End,
    ExtendLease,
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
from zkleader.core.acts import Hooks
from zkleader.core.candidacy_state import Memory, Phase, Sight
from zkleader.core.events import (
    Answer,
    Answered,
    Applied,
    CommandFailed,
    CommandGone,
    CommandStopping,
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
AHEAD = "other-n_0000000003"
BEHIND = "other-n_0000000009"
UNRELEASED = record(released=False)


def finish(end: End, number: int = 0, reason: str = "") -> Finish:
    """Return the action that ends a candidacy."""
    return Finish(outcome=Outcome(end=end, number=number, reason=reason))


# ---- joining


def test_a_new_election_is_made_with_its_record_released_in_one_multi() -> None:
    """Nobody can find an election without its record but one that has lost it."""
    script = Script()
    assert [type(request) for request in script.connect()] == [Create]
    (multi,) = script.answer(0, Create, NO_NODE)
    election, lease = multi.request.operations  # type: ignore[union-attr]
    assert (election.path, lease.path) == (ELECTION, RECORD)
    assert json.loads(lease.data)["released"] is True
    (again,) = script.answer(0, Multi, Applied(stats=(None, None)))
    assert isinstance(again.request, Create)  # type: ignore[union-attr]


def test_an_election_that_vanished_is_made_unreleased() -> None:
    """Whoever led it may just be learning of that."""
    script = Script(memory=Memory(began=at(0), election_seen=True))
    script.connect()
    (multi,) = script.answer(0, Create, NO_NODE)
    lease = json.loads(multi.request.operations[1].data)  # type: ignore[union-attr]
    assert (lease["released"], lease["lease_ms"]) == (False, 60_000)


def test_missing_ancestors_are_made_from_below_upwards() -> None:
    """To create one that exists takes a permission that we need not have."""
    script = Script()
    script.connect()
    script.answer(0, Create, NO_NODE)
    (first,) = script.answer(0, Multi, NO_NODE)
    assert first.request.path == "/zkleader"  # type: ignore[union-attr]
    (second,) = script.answer(0, "/zkleader", Created(path="/zkleader"))
    assert isinstance(second.request, Multi)  # type: ignore[union-attr]


@pytest.mark.parametrize("answered", [True, False])
def test_a_lost_create_is_looked_for_and_never_repeated_blindly(*, answered: bool) -> None:
    """Its guid tells it among the candidates; of several the lowest stays."""
    script = Script()
    script.connect()
    if answered:
        script.do(1, Suspended())
        script.answer(1, Create, Unanswered())
    else:
        assert script.do(4) == [DropConnection()]
        script.do(4, Suspended())
    assert [type(request) for request in script.connect(5)] == [Sync, ListNames]
    others = f"{GUID}-n_0000000008"
    actions = script.answer(5, ListNames, Names(names=(others, OWN, "lease-0")))
    assert script.state.own == OWN
    assert Delete(path=f"{ELECTION}/{others}") in [action.request for action in actions]  # type: ignore[union-attr]


def test_a_create_that_was_not_applied_is_made_again() -> None:
    """The listing after a sync does not show it."""
    script = Script()
    script.connect()
    script.do(1, Suspended())
    script.answer(1, Create, Unanswered())
    script.connect(2)
    (again,) = script.answer(2, ListNames, Names(names=("lease-0",)))
    assert isinstance(again.request, Create)  # type: ignore[union-attr]


# ---- waiting


def test_only_the_predecessor_is_watched_and_the_queue_listed_again_when_it_goes() -> None:
    """No herd: candidates further ahead wake nobody."""
    script = Script()
    script.join(0, AHEAD, "x-n_0000000001")
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b'{"format": 1, "id": "them", "host": "h"}', stat=stat(0)))
    (told,) = script.told
    assert told.facts["rank"] == 2
    assert told.facts["predecessor_id"] == "them"
    assert script.do(1, Touched(path=f"{ELECTION}/x-n_0000000001")) == []
    assert script.sent(1, Touched(path=f"{ELECTION}/{AHEAD}")) == [ListNames(path=ELECTION)]


def test_after_a_reconnect_everything_is_looked_at_again() -> None:
    """Watches are dropped on every disconnect, by kazoo."""
    script = Script()
    script.join(0, AHEAD)
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    script.do(1, Suspended())
    assert script.do(2) == []
    requests = script.connect(3)
    assert [type(request) for request in requests] == [Sync, ListNames, Get, Get]


def test_nothing_is_sent_while_suspended() -> None:
    """It might be sent much later, in another session."""
    script = Script()
    script.lead()
    script.do(1, Suspended())
    assert script.do(2.5) == []
    assert script.do(6) == []


def test_own_candidate_gone_while_waiting_begins_a_new_candidacy() -> None:
    """Whatever --on-loss says; the memory goes on."""
    script = Script()
    script.join(0, AHEAD)
    (probe,) = script.sent(1, Touched(path=f"{ELECTION}/{OWN}"))
    assert probe == Get(path=f"{ELECTION}/{OWN}")
    assert script.answer(1, f"{ELECTION}/{OWN}", NO_NODE) == [finish(End.CANDIDACY_LOST, reason="candidate_deleted")]


def test_an_unreleased_record_is_claimed_after_its_lease_and_margin() -> None:
    """From the first sight of its present version: lease 10 s, margin 1 % and 0.25 s."""
    script = Script()
    assert script.join(0, data=UNRELEASED) == []
    assert script.events() == ["waiting_out_lease"]
    assert candidacy.next_step_in(script.state, at(4)) == pytest.approx(6.35)
    assert script.sent(5, Touched(path=RECORD)) == [Get(path=RECORD)]
    script.answer(5, RECORD, Content(data=UNRELEASED, stat=stat(2)))  # renewed: a new version, a new wait
    assert script.do(15.34) == []
    (claim,) = script.sent(15.35)
    own = claim.operations[0]  # type: ignore[union-attr]
    assert (own.path, own.version) == (f"{ELECTION}/{OWN}", 0)  # fails without it, and wakes who is behind
    assert claim.operations[1].version == 2  # type: ignore[union-attr]


def test_sight_outlives_candidacies() -> None:
    """A standby that lost its session has seen what it has seen."""
    seen = Sight(czxid=100, version=1, since=at(-10.35))
    script = Script(memory=Memory(began=at(0), sights={0: seen}))
    (claim,) = script.join(0, data=UNRELEASED)
    assert isinstance(claim.request, Multi)  # type: ignore[union-attr]


def test_a_server_that_lags_behind_is_not_believed() -> None:
    """An older version of the same record proves nothing about now."""
    script = Script(memory=Memory(began=at(0), sights={0: Sight(czxid=100, version=5, since=at(0))}))
    assert script.join(0, data=record(), version=4) == []


@pytest.mark.parametrize("data", [b"garbage", b"", b'{"format": 1}'])
def test_an_unreadable_record_is_waited_out_as_if_it_said_a_minute(data: bytes) -> None:
    """And then written over, on its (czxid, version)."""
    script = Script()
    script.connect()
    script.answer(0, Create, Created(path=f"{ELECTION}/{OWN}"))
    script.answer(0, f"{ELECTION}/{OWN}", Content(data=b"{}", stat=stat(0)))
    script.answer(0, ListNames, Names(names=("lease-0", OWN)))
    script.answer(0, RECORD, Content(data=data, stat=stat(1)))
    script.answer(0, ListNames, Names(names=("lease-0", OWN)))
    assert script.do(60.84) == []
    (claim,) = script.sent(60.86)
    assert isinstance(claim, Multi)


def test_a_missing_record_is_created_unreleased() -> None:
    """The election stands: there may be a leader."""
    script = Script()
    script.connect()
    script.answer(0, Create, Created(path=f"{ELECTION}/{OWN}"))
    script.answer(0, ListNames, Names(names=(OWN,)))
    (made,) = script.answer(0, RECORD, NO_NODE)
    assert json.loads(made.request.data)["released"] is False  # type: ignore[union-attr]


@pytest.mark.parametrize("where", ["record", "candidate"])
def test_a_newer_format_is_never_claimed(where: str) -> None:
    """78: this version does not know its rules."""
    script = Script()
    newer = b'{"format": 3}'
    if where == "record":
        (action,) = script.join(0, data=newer)
    else:
        script.join(0, AHEAD)
        (action,) = script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=newer, stat=stat(0)))
    assert isinstance(action, Finish)
    assert action.outcome.end is End.NEWER_FORMAT


# ---- limits of patience


def test_nonblock_ends_when_a_candidate_is_ahead() -> None:
    """75, at the first listing."""
    script = Script(wait=0.0)
    assert not any(isinstance(action, Finish) for action in script.join(0, AHEAD))
    ahead = Content(data=b'{"format": 1, "id": "them"}', stat=stat(0))
    assert script.answer(0, f"{ELECTION}/{AHEAD}", ahead) == []
    assert script.events() == ["waiting"]  # who it is that is ahead
    assert script.do(0) == [finish(End.NOT_ELECTED, reason="not_elected")]


def test_nonblock_waits_out_the_lease_of_whoever_is_gone() -> None:
    """Or a crash would lock everybody out."""
    script = Script(wait=0.0)
    assert script.join(0, BEHIND, data=UNRELEASED) == []
    assert isinstance(script.sent(10.35)[0], Multi)


def test_wait_bounds_the_time_behind_others_also_when_suspended() -> None:
    """Nothing hangs beyond its deadline."""
    script = Script(wait=5.0)
    script.join(0, AHEAD)
    script.do(1, Suspended())
    for flight in list(script.state.flights.values()):
        script.do(1, Answered(number=flight.number, answer=Unanswered()))
    assert script.do(4.9) == []
    script.do(5)
    assert script.state.outcome == Outcome(end=End.NOT_ELECTED, reason="not_elected")
    # The candidate would block the queue until its session expires: a moment is given to reconnect and close it.
    assert script.do(6, Connected(granted=20.0, server="s")) == [finish(End.NOT_ELECTED, reason="not_elected")]


def test_wait_ends_also_when_the_queue_was_listed_again_without_news() -> None:
    """The watch on the predecessor stands already, so there is nothing to wait for but the deadline."""
    script = Script(wait=5.0)
    surplus = f"{GUID}-n_0000000009"
    script.join(0, AHEAD, surplus)
    script.answer(0, f"{ELECTION}/{AHEAD}", Content(data=b"{}", stat=stat(0)))
    script.answer(0, Delete, Applied())
    script.answer(0, ListNames, Names(names=(AHEAD, OWN, "lease-0")))
    assert script.do(5) == [finish(End.NOT_ELECTED, reason="not_elected")]


def test_connect_timeout_is_unreachable_whatever_else() -> None:
    """Not reached is not "not elected"."""
    script = Script(wait=0.0)
    assert script.do(14.9) == []
    assert script.do(15) == [finish(End.UNREACHABLE, reason="unreachable")]


# ---- claiming


def test_a_confirmed_claim_starts_the_command_from_the_instant_before_sending() -> None:
    """The token is the mzxid of the claim."""
    script = Script()
    script.join(1)
    assert script.claimed(2.9) == [StartCommand(lease_start=at(1), token=1002)]
    assert script.state.phase is Phase.LEADING


def test_a_refused_claim_lists_and_reads_again() -> None:
    """Somebody was faster, or the candidate is gone."""
    script = Script()
    script.join()
    actions = script.answer(1, Multi, Refused(refusal=Refusal.BAD_VERSION, index=1))
    assert {type(action.request) for action in actions} == {ListNames, Get}  # type: ignore[union-attr]


def test_a_claim_whose_answer_was_lost_is_found_by_guid_and_beat() -> None:
    """Its own instant of sending counts, and the version's mzxid is the token."""
    script = Script()
    script.join(1)
    _, wanted = script.write()
    script.do(2, Suspended())
    script.answer(2, Multi, Unanswered())
    assert Sync(path=ELECTION) in script.connect(3)
    actions = script.answer(3, RECORD, Content(data=json.dumps(wanted).encode(), stat=stat(2)))
    assert actions == [StartCommand(lease_start=at(1), token=1002)]


def test_a_claim_confirmed_too_late_starts_nothing_and_is_made_anew() -> None:
    """After stop_at the command would be stopped at once; a new claim has a new token."""
    script = Script()
    script.join(1)
    actions = script.claimed(1 + 13.56)
    assert not any(isinstance(action, StartCommand) for action in actions)
    assert script.state.phase is Phase.WAITING


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_claim_that_hit_a_record_made_anew_is_waited_out_as_that_one_was(*, is_answered: bool) -> None:
    """Another czxid: there may be a leader, who is not known and may have the longest lease.  It has begun anew."""
    script = Script()
    script.join(1)
    claim = Content(data=json.dumps(script.write()[1]).encode(), stat=stat(2, czxid=999))
    if is_answered:
        script.answer(2, Multi, Applied(stats=(None, claim.stat)))
    else:
        script.answer(2, Multi, Unanswered())
        script.answer(2, Sync, Applied())
        script.answer(2, ListNames, Names(names=("lease-0", OWN)))
    assert [action.request for action in script.answer(2, RECORD, claim)] == [ListNames(path=ELECTION)]  # type: ignore[union-attr]
    assert script.events() == ["waiting_out_lease"]
    assert script.answer(2, ListNames, Names(names=("lease-0", OWN))) == []
    assert script.do(2 + 60.84) == []
    assert isinstance(script.sent(2 + 60.86)[0], Multi)
    assert script.write()[1]["czxid"] == 999


def test_somebody_elses_claim_that_hit_a_record_made_anew_is_not_taken_at_its_word() -> None:
    """Its writer may know by now, or be frozen or dead, which nobody else can tell; and its lease may be short."""
    script = Script()
    claim = record(released=False, lease_ms=2000, czxid=99)
    script.join(0, data=claim)
    script.answer(0, ListNames, Names(names=("lease-0", OWN)))
    assert script.do(2.28) == []
    assert script.do(60.84) == []
    assert isinstance(script.sent(60.86)[0], Multi)


def test_a_watch_that_fires_before_its_answer_is_taken_is_not_lost() -> None:
    """Two threads of kazoo's hand over watches and answers; the late answer would count a watch that is gone."""
    script = Script()
    script.join(0, AHEAD)
    late = next(flight for flight in script.state.flights.values() if flight.request.path == f"{ELECTION}/{AHEAD}")  # type: ignore[union-attr]
    assert ListNames(path=ELECTION) in script.sent(1, Touched(path=f"{ELECTION}/{AHEAD}"))
    script.do(1, Answered(number=late.number, answer=Content(data=b"{}", stat=stat(0))))
    assert script.state.watched is None
    actions = script.answer(1, ListNames, Names(names=("lease-0", OWN)))
    assert isinstance(actions[0].request, Multi)  # type: ignore[union-attr]


def test_asked_to_end_on_the_way_out_of_a_candidacy_nothing_follows() -> None:
    """TERM must not be answered by another candidacy."""
    script = Script()
    script.join(0, AHEAD)
    script.do(1, Suspended())
    for flight in list(script.state.flights.values()):
        script.do(1, Answered(number=flight.number, answer=Unanswered()))
    script.state.asked_by = 15
    assert script.do(1, SessionLost(reason="session_expired")) == [finish(End.LEFT, number=15, reason="asked")]


# ---- leading


def test_renewals_go_out_every_interval_one_at_a_time_and_extend_from_their_sending() -> None:
    """L/10; the first writes token and elected_at, which a claim cannot know."""
    script = Script()
    script.lead(0)
    assert script.do(1.99) == []
    (renewal,) = script.sent(2)
    assert isinstance(renewal, Multi)
    _, content = script.write()
    assert (content["token"], content["elected_at"]) == (1002, 50_002)
    assert script.do(4.5) == []
    assert script.claimed(5, version=3)[0] == ExtendLease(lease_start=at(2))


def test_a_silent_server_is_dropped_after_a_fifth_of_the_lease() -> None:
    """While there is time to try the next one."""
    script = Script()
    script.lead(0)
    script.do(2)
    assert script.do(5.99) == []
    assert script.do(6) == [DropConnection()]


def test_a_renewal_in_doubt_is_settled_by_a_read() -> None:
    """Applied: its own instant counts.  Not applied: it is tried again at once."""
    for applied in (True, False):
        script = Script()
        script.lead(0)
        script.do(2)
        _, wanted = script.write()
        script.do(3, Suspended())
        script.answer(3, Multi, Unanswered())
        script.connect(4)
        script.answer(4, Sync, Applied())
        shown = json.dumps(wanted if applied else wanted | {"beat": 1}).encode()
        actions = script.answer(4, RECORD, Content(data=shown, stat=stat(3 if applied else 2)))
        if applied:
            assert actions[0] == ExtendLease(lease_start=at(2))
        else:
            assert isinstance(actions[0].request, Multi)  # type: ignore[union-attr]


def test_bad_version_is_read_before_it_is_believed() -> None:
    """An operator who writes the same content makes a version, not a loss."""
    script = Script()
    script.lead(0)
    script.do(2)
    _, wanted = script.write()
    script.answer(2, Multi, Refused(refusal=Refusal.BAD_VERSION, index=1))
    assert script.state.phase is Phase.LEADING
    script.answer(2, Sync, Applied())
    script.answer(2, RECORD, Content(data=json.dumps(wanted | {"beat": 1}).encode(), stat=stat(7)))
    assert script.state.phase is Phase.LEADING
    (renewal,) = script.sent(4)
    assert isinstance(renewal, Multi)
    assert SetData in map(type, renewal.operations)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Refused(refusal=Refusal.NO_NODE, index=0), "candidate_deleted"),
        (Refused(refusal=Refusal.NO_NODE, index=1), "record_deleted"),
        (Refused(refusal=Refusal.NO_AUTH, index=1), "not_permitted"),
        (Refused(refusal=Refusal.NOT_AUTHENTICATED), "not_permitted"),
        (Applied(stats=(None, stat(3, czxid=999))), "record_replaced"),
    ],
)
def test_what_a_renewal_may_learn_ends_leadership_at_once(answer: Answer, reason: str) -> None:
    """A confirmed loss: the stop signal goes out without waiting for the deadline."""
    script = Script()
    script.lead(0)
    script.do(2)
    assert script.answer(2.1, Multi, answer)[0] == StopCommand(cause=Cause.LOSS)
    assert script.state.loss == reason


@pytest.mark.parametrize("data", [record(holder="thief"), b"garbage", b'{"format": 3}'])
def test_a_record_that_is_not_ours_any_more_ends_leadership(data: bytes) -> None:
    """Another guid, garbage or a newer format: none shows our claim."""
    script = Script()
    script.lead(0)
    script.do(2)
    script.answer(2, Multi, Refused(refusal=Refusal.BAD_VERSION, index=1))
    assert script.answer(2.1, RECORD, Content(data=data, stat=stat(9)))[0] == StopCommand(cause=Cause.LOSS)


def test_own_candidate_deleted_under_a_leader_is_a_loss() -> None:
    """The own znode is watched; nothing is asked first, because its name is never given again."""
    script = Script()
    script.lead(0)
    assert script.do(1, Touched(path=f"{ELECTION}/{OWN}", is_deleted=True)) == [StopCommand(cause=Cause.LOSS)]
    assert script.state.loss == "candidate_deleted"


def test_own_candidate_found_gone_under_a_leader_is_a_loss() -> None:
    """It was written, and is gone by the time that it is read."""
    script = Script()
    script.lead(0)
    script.do(1, Touched(path=f"{ELECTION}/{OWN}"))
    assert script.answer(1, f"{ELECTION}/{OWN}", NO_NODE) == [StopCommand(cause=Cause.LOSS)]


def test_without_renewals_leadership_lapses_at_the_deadline() -> None:
    """Seconds after sending: 20 - 0.45 - 1 - 5; a confirmation after it revives nothing."""
    script = Script()
    script.lead(0)
    script.do(1, Suspended())
    assert script.do(13.54) == []
    assert script.do(13.55) == [StopCommand(cause=Cause.LOSS)]
    assert script.state.loss == "lease_lapsed"


def test_a_session_that_is_lost_is_a_loss() -> None:
    """Told by the server, on reconnecting."""
    script = Script()
    script.lead(0)
    assert script.do(1, SessionLost(reason="session_expired")) == [StopCommand(cause=Cause.LOSS)]


# ---- stepping down and releasing


def gone(cause: Cause, status: int = 0, *, in_time: bool = True) -> CommandGone:
    """Return the guard's report."""
    return CommandGone(cause=cause, wait_status=status, in_time=in_time)


def test_nothing_is_released_before_everything_is_gone() -> None:
    """The successor starts the moment it sees the release."""
    script = Script()
    script.lead(0)
    assert script.do(1, LeaveAsked(signal=15)) == [StopCommand(cause=Cause.ASKED)]
    assert isinstance(script.sent(2)[0], Multi)  # an orderly stop goes on renewing
    assert script.write()[1]["released"] is False
    script.claimed(2, version=3)
    script.do(3, gone(Cause.ASKED, 15))
    multi, content = script.write()
    assert content["released"] is True
    assert content["previous"]["status"] == 143
    assert multi.operations[1] == Delete(path=f"{ELECTION}/{OWN}")
    assert script.answer(3, Multi, Applied(stats=(stat(4), None))) == [
        finish(End.COMMAND_ENDED, number=15, reason="asked")
    ]


def test_asked_twice_the_command_is_killed() -> None:
    """Who asks again does not want to wait."""
    script = Script()
    script.lead(0)
    script.do(1, LeaveAsked(signal=15))
    assert script.do(1.1, LeaveAsked(signal=15)) == [KillCommand()]


@pytest.mark.parametrize(
    ("event", "end"),
    [
        (gone(Cause.ENDED, 3 << 8), End.COMMAND_ENDED),
        (gone(Cause.ASKED), End.COMMAND_ENDED),
        (gone(Cause.LOSS), End.LOST),
        (gone(Cause.DEADLINE), End.LOST),
        (gone(Cause.DEADLINE, in_time=False), End.LOST_LATE),
        (gone(Cause.ENDED, in_time=False), End.LOST_LATE),
        (CommandFailed(errno=2), End.NOT_EXECUTED),
        (CommandTooLate(), End.CANDIDACY_LOST),
        (GuardFailed(reason="guard_died", proven=True), End.GUARD_FAILED),
        (GuardFailed(reason="guard_died", proven=False), End.LOST_LATE),
    ],
)
def test_how_the_command_ended_decides_the_outcome(event: object, end: End) -> None:
    """Exit statuses follow from these."""
    script = Script()
    script.lead(0)
    script.do(1, event)  # type: ignore[arg-type]
    assert script.state.outcome is not None
    assert script.state.outcome.end is end


def test_what_is_not_proven_gone_is_not_released() -> None:
    """The successor waits out the lease."""
    script = Script()
    script.lead(0)
    assert script.do(1, GuardFailed(reason="guard_died", proven=False)) == [finish(End.LOST_LATE, reason="guard_died")]


def test_on_lost_that_no_guard_can_run_is_told() -> None:
    """What it would have undone is still there when the next one leads."""
    script = Script(hooks=Hooks(on_lost=True))
    script.lead(0)
    script.do(1, GuardFailed(reason="guard_died", proven=True))
    assert [tell.facts for tell in script.told if tell.event == "hook_skipped"] == [
        {"hook": "on_lost", "reason": "guard_died"}
    ]


def test_a_record_that_somebody_else_holds_is_not_released() -> None:
    """The version is another one, and the read that follows shows whose it is."""
    script = Script()
    script.lead(0)
    script.do(1, gone(Cause.ENDED))
    (read,) = script.answer(1, Multi, Refused(refusal=Refusal.BAD_VERSION))
    assert read.request == Get(path=RECORD, watch=False)  # type: ignore[union-attr]
    thief = Content(data=record(holder="thief", released=False), stat=stat(9))
    assert script.answer(1, RECORD, thief) == [finish(End.COMMAND_ENDED, reason="ended")]


def test_with_the_candidate_gone_the_record_alone_is_released() -> None:
    """An operator deleted it: the multi with its deletion would fail."""
    script = Script()
    script.lead(0)
    script.do(1, Touched(path=f"{ELECTION}/{OWN}"))
    script.answer(1, f"{ELECTION}/{OWN}", NO_NODE)
    script.do(2, gone(Cause.LOSS))
    multi, _ = script.write()
    assert [type(operation) for operation in multi.operations] == [SetData]


@pytest.mark.parametrize(("gone_at", "given_up_at"), [(2, 12), (11, 20)])
def test_a_release_that_cannot_be_confirmed_is_given_up(gone_at: float, given_up_at: float) -> None:
    """When the lease ends or after half a one, with a warning: systemd waits for us; the status stays the command's."""
    script = Script()
    script.lead(0)
    script.do(1, Suspended())
    script.do(gone_at, gone(Cause.ENDED, 3 << 8))
    assert candidacy.next_step_in(script.state, at(gone_at)) == given_up_at - gone_at
    assert script.do(given_up_at - 0.1) == []
    assert script.do(given_up_at) == [finish(End.COMMAND_ENDED, number=3 << 8, reason="ended")]
    assert script.events() == ["release_unconfirmed"]


def test_asked_once_while_releasing_still_releases_and_asked_twice_does_not() -> None:
    """Whoever signals command and supervisor together must not make the successor wait out a lease."""
    script = Script()
    script.lead(0)
    script.do(1, gone(Cause.ENDED, 15))
    assert script.do(1, LeaveAsked(signal=15)) == []
    assert script.state.phase is Phase.RELEASING
    assert script.do(1, LeaveAsked(signal=15)) == [finish(End.COMMAND_ENDED, number=15, reason="ended")]


def test_the_guards_deadline_is_final_for_us_too() -> None:
    """Whatever is confirmed after it: the guard will not start anything again."""
    script = Script()
    script.lead(0)
    script.do(2)
    script.do(3, CommandStopping(cause=Cause.DEADLINE))
    assert script.state.phase is Phase.STOPPING
    assert not any(isinstance(action, ExtendLease) for action in script.claimed(4, version=3))


def test_leaving_while_a_claim_is_under_way_releases_what_it_may_win() -> None:
    """Or the next in line would wait out a lease under which nothing ever ran."""
    script = Script()
    script.join(0)
    assert script.do(1, LeaveAsked(signal=15)) == []
    script.claimed(2)
    assert script.write()[1]["released"] is True
    assert script.answer(2, Multi, Applied(stats=(stat(3), None))) == [finish(End.LEFT, number=15, reason="asked")]
