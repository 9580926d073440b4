"""A candidate as a program sees it, without a server: what the clock says, who is told what, and who may ask."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from candidacy_script import ELECTION, GUID, IDENTITY, OWN, RECORD, Script, at, record, stat
from waiting import wait_until

from zkleader import Candidate, ForkedError, LeadershipLostError, NotElectedError, UnreachableError, ZkLeaderError
from zkleader.core.actions import Multi
from zkleader.core.events import Connected, Content, LeaveAsked, Refusal, Refused, Suspended, Unanswered
from zkleader.core.lease import Timing
from zkleader.core.rules import Rules
from zkleader.guard import system
from zkleader.library.board import Posting
from zkleader.library.loop import Loop
from zkleader.library.states import Failed, Leading, Lost, ResignAsked, Resigned, State, Suspected, Waiting
from zkleader.zk.access import Access, NotPermittedError
from zkleader.zk.hosts import parse_hosts

TIMING = Timing(lease=20, grace=5, stop_timeout=0)
"""The stop signal would be due after 13.55 s, and all is to be gone after 19.55 s."""

LEADING = Leading(token=7)
DOWN = Suspected(token=7, reason="disconnected")
LOST = Lost(token=7, reason="session_expired")


class Hand:
    """A candidate whose loop is never started: what it learns is posted by hand, and the clock is turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rules = Rules(election=ELECTION, identity=IDENTITY, timing=TIMING, connect_timeout=15)
        self.loop = Loop(rules, Access(hosts=parse_hosts("127.0.0.1:1")))
        self.candidate = Candidate(self.loop, TIMING)
        self.now = at(100)
        monkeypatch.setattr(system, "now", lambda: self.now)

    def post(self, state: State, lease_start: float | None = 100) -> None:
        self.loop.board.post(Posting(state=state, lease_start=None if lease_start is None else at(lease_start)))

    def turn(self, seconds: float, **clocks: float) -> None:
        """Turn the clocks: so many seconds after the lease began."""
        self.now = at(100 + seconds)._replace(**clocks)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(monkeypatch)


# ---- by the clock


@pytest.mark.parametrize("state", [LEADING, DOWN])
def test_work_may_be_begun_while_grace_is_left(hand: Hand, state: State) -> None:
    """By the clock alone: the loop may be starved, or frozen with us, and have posted nothing."""
    hand.post(state)
    assert hand.candidate.is_leading()
    hand.turn(13.5)
    assert hand.candidate.is_leading()
    assert hand.candidate.remaining() == pytest.approx(6.05)
    hand.turn(13.56)
    assert not hand.candidate.is_leading()
    assert hand.candidate.remaining() == pytest.approx(5.99)
    hand.turn(30)
    assert hand.candidate.remaining() == 0


@pytest.mark.parametrize("state", [Waiting(rank=0), Failed(error=UnreachableError()), Resigned(token=7)])
def test_who_does_not_lead_has_no_time(hand: Hand, state: State) -> None:
    """Nothing remains, and the deadline is now."""
    hand.post(state, None)
    assert not hand.candidate.is_leading()
    assert hand.candidate.remaining() == 0
    assert hand.candidate.deadline == 100


@pytest.mark.parametrize("state", [LOST, ResignAsked(token=7)])
def test_what_was_begun_may_be_finished_after_a_loss_and_when_asked_to_resign(hand: Hand, state: State) -> None:
    """Nothing new may be begun, and what is under way has until the deadline."""
    hand.post(state)
    hand.turn(10)
    assert not hand.candidate.is_leading()
    assert hand.candidate.remaining() == pytest.approx(9.55)


def test_a_renewal_moves_the_deadline(hand: Hand) -> None:
    """It rises with each one that is confirmed, though the state stays the same."""
    hand.post(LEADING)
    before = hand.candidate.deadline
    hand.turn(2)
    hand.post(LEADING, 102)
    assert hand.candidate.deadline == pytest.approx(before + 2)


def test_a_host_that_was_suspended_is_noticed_on_resuming(hand: Hand) -> None:
    """The clock of deadlines stood still, boot time went on."""
    hand.post(LEADING)
    hand.turn(1, boottime=200)
    assert not hand.candidate.is_leading()
    assert hand.candidate.remaining() == 0


@pytest.mark.parametrize("slew", [-0.1, 0.0, 0.1])
def test_the_deadline_is_never_late_however_the_clock_is_slewed(hand: Hand, slew: float) -> None:
    """A clock that is slowed down reaches it after as many true seconds as the lease has, at the most."""
    hand.post(LEADING)
    deadline = hand.candidate.deadline
    for seconds in range(20):
        slewed = 100 + seconds * (1 + slew)
        hand.turn(seconds, monotonic=slewed, boottime=slewed)
        assert deadline - slewed <= hand.candidate.remaining() + 1e-9
        assert hand.candidate.deadline >= deadline - 1e-9, "it only approaches the true one"


# ---- who is asked


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (Waiting(rank=1), NotElectedError),
        (LOST, LeadershipLostError),
        (ResignAsked(token=7), LeadershipLostError),
        (Resigned(token=7), NotElectedError),
        (Failed(error=UnreachableError("x")), UnreachableError),
    ],
)
def test_whoever_does_not_lead_is_told_why(hand: Hand, state: State, kind: type[ZkLeaderError]) -> None:
    """As a class, from the check before an act and from waiting."""
    hand.post(state, None)
    with pytest.raises(kind):
        hand.candidate.ensure_leading()
    with pytest.raises(kind):
        hand.candidate.wait_for_leadership(0)
    assert issubclass(kind, ZkLeaderError)


def test_the_reason_of_a_loss_is_a_word(hand: Hand) -> None:
    """Programs branch on it."""
    hand.post(LOST)
    with pytest.raises(LeadershipLostError) as told:
        hand.candidate.ensure_leading()
    assert told.value.reason == "session_expired"


def test_a_lease_that_ran_out_while_nobody_looked_is_lost(hand: Hand) -> None:
    """The loop has not noticed yet."""
    hand.post(LEADING)
    hand.candidate.ensure_leading()
    hand.turn(14)
    with pytest.raises(LeadershipLostError, match="lease_lapsed"):
        hand.candidate.ensure_leading()


@pytest.mark.parametrize("last", [LOST, Resigned(token=7)])
def test_the_token_stays_readable(hand: Hand, last: State) -> None:
    """What is being finished is written with it."""
    with pytest.raises(NotElectedError):
        _ = hand.candidate.token
    for state in (LEADING, DOWN, last):
        hand.post(state)
        assert hand.candidate.token == 7


def test_nothing_may_be_begun_once_resigning_has_begun(hand: Hand) -> None:
    """Before the loop has heard of it: what this says to everybody is that all work has stopped."""
    hand.post(LEADING)
    hand.loop.is_over.set()
    hand.candidate.resign()
    assert not hand.candidate.is_leading()
    with pytest.raises(LeadershipLostError, match="resigned"):
        hand.candidate.ensure_leading()


# ---- who is told


def test_waiting_ends_with_leadership(hand: Hand) -> None:
    """The token is what work begins with."""
    tokens: queue.Queue[int] = queue.Queue()
    threading.Thread(target=lambda: tokens.put(hand.candidate.wait_for_leadership(10)), daemon=True).start()
    hand.post(Waiting(rank=1), None)
    hand.post(LEADING)
    assert tokens.get(timeout=5) == 7


def test_waiting_is_bounded(hand: Hand) -> None:
    """A program that ignored a result would work without leadership, so this is an error."""
    began = time.monotonic()
    with pytest.raises(NotElectedError, match=r"not elected within 0\.2 s"):
        hand.candidate.wait_for_leadership(0.2)
    assert 0.2 <= time.monotonic() - began < 2


def test_whoever_comes_late_sees_the_present_state_first(hand: Hand) -> None:
    """Also the last one, when all is over."""
    hand.post(LEADING)
    assert next(hand.candidate.states()) == LEADING
    hand.post(LOST)
    assert list(hand.candidate.states()) == [LOST]


def test_the_states_end_with_the_last_one_which_is_never_missed(hand: Hand) -> None:
    """However slow the one is who looks: there is nothing behind it that could replace it."""
    states = hand.candidate.states()
    assert next(states) == Waiting(rank=None)
    for rank in range(1000):
        hand.post(Waiting(rank=rank), None)
    hand.post(LOST)
    assert list(states) == [LOST]


def shown(hand: Hand, script: Script) -> State:
    """Have the loop show the state that a scripted candidacy is in; return what the program sees then."""
    hand.loop._state = script.state
    hand.loop._show()
    return hand.candidate.state


def test_a_claim_that_is_confirmed_after_resigning_is_no_other_end(hand: Hand) -> None:
    """The record is released with it; whoever has looked was told that it never led, and looks no more."""
    script = Script()
    script.join(0)
    script.do(1, LeaveAsked(signal=15))
    assert shown(hand, script) == Resigned(token=None)
    script.claimed(1)
    assert shown(hand, script) == Resigned(token=None)


def test_a_claim_that_is_confirmed_after_a_failure_does_not_hide_its_reason(hand: Hand) -> None:
    """Not even from those who look only then."""
    script = Script()
    script.join(0)
    script.do(1, Suspended())
    script.answer(1, Multi, Unanswered())
    script.do(1, Connected(granted=20.0, server="s"))
    script.answer(1, f"{ELECTION}/{OWN}", Refused(refusal=Refusal.NO_AUTH))
    assert isinstance(shown(hand, script), Failed)
    # It was applied.
    script.answer(1, RECORD, Content(data=record(holder=GUID, beat=1, released=False), stat=stat(2)))
    assert script.state.chain.held is not None
    state = shown(hand, script)
    assert isinstance(state, Failed)
    assert isinstance(state.error, NotPermittedError)


def test_an_error_of_ours_after_the_last_state_is_no_other(hand: Hand) -> None:
    """It may come while releasing; the log has it."""
    hand.post(Resigned(token=7), None)
    hand.loop._fail(RuntimeError("boom"))
    assert hand.candidate.state == Resigned(token=7)


def test_each_state_is_seen_once(hand: Hand) -> None:
    """Renewals are none; two looks at the same candidate do not take from each other."""
    one, other = hand.candidate.states(), hand.candidate.states()
    for state in (LEADING, DOWN, LEADING, LOST):
        hand.post(state)
        hand.post(state, 101)
        assert (next(one), next(other)) == (state, state)
    assert list(one) == list(other) == []


def test_a_callback_that_blocks_delays_nobody_and_misses_not_the_last(hand: Hand) -> None:
    """It has a thread of its own, and sees the state that is there when it comes back."""
    calls: list[State] = []
    is_in, may_go = threading.Event(), threading.Event()

    def block(state: State) -> None:
        calls.append(state)
        is_in.set()
        assert may_go.wait(10)

    hand.candidate.subscribe(block)
    assert is_in.wait(5)
    began = time.monotonic()
    for state in (LEADING, DOWN, LEADING, LOST):
        hand.post(state)
    assert time.monotonic() - began < 0.5
    assert list(hand.candidate.states()) == [LOST]
    may_go.set()
    wait_until(lambda: calls[-1] == LOST, what="the last one")
    assert calls == [Waiting(rank=None), LOST]


def test_a_callback_that_raises_is_called_again(hand: Hand, caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged, and is not ours."""
    calls: queue.Queue[State] = queue.Queue()

    def fail(state: State) -> None:
        calls.put(state)
        raise RuntimeError("boom")

    with caplog.at_level(logging.ERROR, "zkleader"):
        hand.candidate.subscribe(fail)
        assert calls.get(timeout=5) == Waiting(rank=None)
        hand.post(LOST)
        assert calls.get(timeout=5) == LOST
        wait_until(lambda: caplog.text.count("RuntimeError: boom") == 2, what="both are logged")


def test_a_callback_holds_no_lock_of_ours(hand: Hand) -> None:
    """It may look at the candidate, wait for it, and even resign, while others do the same."""
    seen: queue.Queue[object] = queue.Queue()

    def use(state: State) -> None:
        if isinstance(state, Leading):
            poster = threading.Thread(target=hand.post, args=(LOST,))
            poster.start()
            poster.join(5)
            seen.put((poster.is_alive(), hand.candidate.state, next(hand.candidate.states())))

    hand.candidate.subscribe(use)
    hand.post(LEADING)
    assert seen.get(timeout=10) == (False, LOST, LOST)


# ---- forks


def in_fork(look: Callable[[], str]) -> str:
    """Return what a fork of ours sees."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, look().encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as told:
        return told.read()


def fork_errors(candidate: Candidate) -> Iterator[str]:
    yield str(candidate.is_leading())
    yield str(candidate.remaining())
    for ask in (
        candidate.ensure_leading,
        candidate.wait_for_leadership,
        candidate.resign,
        lambda: next(candidate.states()),
        lambda: candidate.subscribe(print),
    ):
        try:
            ask()
        except ForkedError:
            yield "ForkedError"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_does_not_lead_and_is_told_so(hand: Hand) -> None:
    """It has none of our threads: it would wait for ever, or act when its parent has lost leadership or resigned."""
    hand.post(LEADING)
    told = in_fork(lambda: " ".join(fork_errors(hand.candidate)))
    assert told == "False 0.0 " + " ".join(["ForkedError"] * 5)
    assert hand.candidate.is_leading()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_that_leaves_the_block_resigns_nothing(hand: Hand) -> None:
    """Nor does it wait for a loop that it does not have."""

    def leave() -> str:
        with hand.candidate:
            pass
        return "left"

    hand.post(LEADING)
    assert in_fork(leave) == "left"
    assert hand.candidate.is_leading()
