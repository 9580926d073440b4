"""The library on real servers: leadership as a state, and the promise in an election that `run` takes part in too."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from candidate import GRACE, LEASE
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl
from program import Program
from promise import candidates
from proxy import Proxy
from waiting import wait_until
from zookeeper import Server

import zkleader
from zkleader import (
    Election,
    Failed,
    Leading,
    Lost,
    NewerFormatError,
    NotElectedError,
    NotPermittedError,
    ResignAsked,
    Resigned,
    Suspected,
    UnreachableError,
    Waiting,
)

Campaign = Callable[..., zkleader.Candidate]


@pytest.fixture
def campaign(zookeeper: Server, election: str) -> Iterator[Campaign]:
    """Give `campaign(id, hosts=, path=, lease=)`: a candidate in this process, which resigns in the end."""
    begun: list[zkleader.Candidate] = []

    def begin(name: str = "a", *, hosts: str = "", path: str = "", lease: float = LEASE) -> zkleader.Candidate:
        candidate = Election(
            hosts or zookeeper.hosts, path or election, id=name, lease=lease, grace=GRACE, connect_timeout=5
        ).campaign()
        begun.append(candidate)
        return candidate

    yield begin
    for candidate in begun:
        candidate.resign()


def wait_for_state(candidate: zkleader.Candidate, *kinds: type, deadline: float = 10.0) -> zkleader.State:
    wait_until(lambda: isinstance(candidate.state, kinds), deadline=deadline, what=f"{kinds}, not {candidate.state}")
    return candidate.state


# ---- leadership as a state


def test_a_candidate_leads_is_suspected_and_leads_again(campaign: Campaign, proxy: Proxy) -> None:
    """An outage that is ridden out is told, and so is its end; the token stays, and the deadline rises."""
    candidate, seen = campaign(hosts=proxy.hosts), list[zkleader.State]()
    candidate.subscribe(seen.append)
    token = candidate.wait_for_leadership(10)
    assert candidate.is_leading()
    assert LEASE - 1 < candidate.remaining() < LEASE
    before = candidate.deadline
    wait_until(lambda: candidate.deadline > before + 0.5, what="renewals that are confirmed")
    proxy.drop_connections()
    wait_for_state(candidate, Suspected)
    assert candidate.is_leading()
    wait_for_state(candidate, Leading)
    proxy.cut()
    wait_for_state(candidate, Suspected)
    proxy.heal()
    wait_for_state(candidate, Leading)
    assert candidate.token == token
    assert candidate.resign()
    wait_until(lambda: seen[-1] == Resigned(token=token), what="the last state")
    down, overdue = (Suspected(token=token, reason=reason) for reason in ("disconnected", "renewal_overdue"))
    told = [state for state in seen if not isinstance(state, Waiting)]
    assert told[:4] == [Leading(token=token), down, Leading(token=token), overdue]
    assert told[-2] == Leading(token=token)


def test_resigning_hands_over_at_once(
    campaign: Campaign, kazoo_client: KazooClient, election: str, zookeeper: Server
) -> None:
    """Nobody waits for a lease (20 s here); the token rises, and nothing of ours is left."""
    with campaign("a", lease=20) as first:
        token = first.wait_for_leadership(10)
        second = campaign("b", lease=20)
        wait_until(lambda: second.state == Waiting(rank=1), what="it is in the queue")
    began = time.monotonic()
    assert second.wait_for_leadership(5) > token
    assert time.monotonic() - began < 1
    assert not first.is_leading()
    assert first.resign(), "again, which changes nothing"
    assert second.resign()
    assert candidates(kazoo_client, election) == []
    with Election(zookeeper.hosts, election, lease=20).campaign() as third:
        assert third.wait_for_leadership(2), "the record was released"


def test_waiting_behind_somebody_is_bounded(campaign: Campaign) -> None:
    """As an error; the candidate goes on waiting, and may be waited for again."""
    first = campaign("a")
    first.wait_for_leadership(10)
    second = campaign("b")
    with pytest.raises(NotElectedError):
        second.wait_for_leadership(0.3)
    assert isinstance(second.state, Waiting)
    assert second.resign()
    assert list(second.states()) == [Resigned(token=None)]


def test_an_operator_who_deletes_the_candidate_ends_leadership_and_the_word_of_the_program_releases_it(
    campaign: Campaign, kazoo_client: KazooClient, election: str
) -> None:
    """Told at once; and until the program says that it has stopped, nobody else leads (for 20 s here)."""
    first = campaign("a", lease=20)
    token = first.wait_for_leadership(10)
    second = campaign("b", lease=20)
    wait_until(lambda: second.state == Waiting(rank=1), what="it is in the queue")
    kazoo_client.delete(f"{election}/{candidates(kazoo_client, election)[0]}")
    assert wait_for_state(first, Lost, deadline=2) == Lost(token=token, reason="candidate_deleted")
    assert not first.is_leading()
    assert first.remaining() > 10
    with pytest.raises(NotElectedError):
        second.wait_for_leadership(1)
    assert first.resign()
    assert second.wait_for_leadership(2) > token


def test_an_operator_who_asks_it_to_resign_is_heard_and_leadership_goes_on_until_it_has(
    campaign: Campaign, programs: Callable[..., Program], zookeeper: Server, election: str
) -> None:
    """No more work may be begun, and what was begun has as long as it needs: the lease is renewed."""
    first = campaign("a")
    token = first.wait_for_leadership(10)
    second = campaign("b")
    wait_until(lambda: second.state == Waiting(rank=1), what="it is in the queue")
    asking = programs("resign", "-z", zookeeper.hosts, election)
    assert wait_for_state(first, ResignAsked) == ResignAsked(token=token)
    assert not first.is_leading()
    before = first.deadline
    wait_until(lambda: first.deadline > before + 1, what="renewals that are confirmed")
    assert second.state == Waiting(rank=1)
    assert first.resign()
    assert asking.wait() == 0
    assert "has stepped down: resigned" in asking.stdout[-1]
    assert second.wait_for_leadership(2) > token


def test_a_place_in_the_queue_that_is_lost_is_taken_again(
    campaign: Campaign, kazoo_client: KazooClient, election: str
) -> None:
    """Whoever waits goes on waiting, with a new candidate."""
    first, second = campaign("a"), None
    first.wait_for_leadership(10)
    second = campaign("b")
    wait_until(lambda: second.state == Waiting(rank=1), what="it is in the queue")
    gone = candidates(kazoo_client, election)[1]
    kazoo_client.delete(f"{election}/{gone}")
    wait_until(lambda: len(candidates(kazoo_client, election)) == 2, what="another candidate")
    assert gone not in candidates(kazoo_client, election)
    first.resign()
    second.wait_for_leadership(5)


def test_two_elections_in_one_process_do_not_know_each_other(campaign: Campaign, election: str) -> None:
    """And another campaign after the end of one is a new candidate, with a greater token."""
    one, other = campaign(), campaign(path=f"{election}-other")
    token = one.wait_for_leadership(10)
    other.wait_for_leadership(10)
    one.resign()
    assert other.is_leading()
    again = campaign()
    assert again.wait_for_leadership(5) > token


# ---- the ways to fail


def test_an_ensemble_that_is_not_reached(proxy: Proxy, election: str) -> None:
    """Within the time that was given, and with the reason."""
    proxy.refuse()
    candidate = Election(proxy.hosts, election, connect_timeout=0.5).campaign()
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="refused"):
        candidate.wait_for_leadership()
    assert time.monotonic() - began < 5
    assert isinstance(candidate.state, Failed)
    assert candidate.resign()
    with pytest.raises(UnreachableError):
        candidate.ensure_leading()


def test_an_election_that_is_not_ours_to_enter(campaign: Campaign, kazoo_client: KazooClient, election: str) -> None:
    """An ACL is one kind of failure, a newer format another."""
    kazoo_client.create(election, makepath=True, acl=[make_digest_acl("somebody", "else", all=True)])
    with pytest.raises(NotPermittedError, match="create a candidate"):
        campaign().wait_for_leadership(10)
    other = f"{election}-newer"
    kazoo_client.create(f"{other}/lease-0", b'{"format": 3}', makepath=True)
    with pytest.raises(NewerFormatError, match="format 3"):
        campaign(path=other).wait_for_leadership(10)
    assert kazoo_client.get(f"{other}/lease-0")[0] == b'{"format": 3}'


def test_an_error_of_our_own_is_a_loss(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is told to stop: nobody renews any more."""
    candidate = campaign()
    token = candidate.wait_for_leadership(10)

    def boom(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("zkleader.library.loop.suspected_in", boom)
    assert wait_for_state(candidate, Lost) == Lost(token=token, reason="internal_error")
    assert not candidate.is_leading()


# ---- the program around it


def test_the_programs_signals_and_logs_stay_its_own(campaign: Campaign) -> None:
    """A library takes none of what belongs to the process."""

    def look() -> object:
        handlers = [signal.getsignal(number) for number in signal.valid_signals()]
        return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ()), logging.getLogger("kazoo").propagate

    before = look()
    campaign().wait_for_leadership(10)
    assert look() == before


def test_handlers_of_logs_that_hang_delay_no_renewal(campaign: Campaign) -> None:
    """A full pipe, or a server of logs that is away."""
    is_in, may_go = threading.Event(), threading.Event()

    class Hanging(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            is_in.set()
            may_go.wait(20)

    handler, logger = Hanging(), logging.getLogger("zkleader")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        candidate = campaign()
        candidate.wait_for_leadership(10)
        assert is_in.wait(5)
        before = candidate.deadline
        wait_until(lambda: candidate.deadline > before + LEASE / 2, what="renewals go on")
    finally:
        may_go.set()
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)


def test_the_log_has_the_events_in_words_and_in_parts(campaign: Campaign, caplog: pytest.LogCaptureFixture) -> None:
    """The names are those that `run` promises."""
    with caplog.at_level(logging.INFO, "zkleader"):
        token = campaign().wait_for_leadership(10)
        wait_until(lambda: "elected" in caplog.text, what="it is logged")
    [record] = [record for record in caplog.records if record.message.startswith("elected ")]
    assert f"token={token}" in record.message
    assert record.event == "elected"  # type: ignore[attr-defined]
    assert record.facts["token"] == token  # type: ignore[attr-defined]


EXITS = """
import sys, threading, zkleader
candidate = zkleader.Election(sys.argv[1], sys.argv[2], lease=4, grace=1).campaign()
candidate.subscribe(lambda state: threading.Event().wait())
candidate.wait_for_leadership(10)
print("leads", flush=True)
sys.stdin.readline()
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "status"),
    [("", 0), ("raise RuntimeError", 1), ("sys.exit(candidate.resign())", 0)],
    ids=["end", "error", "resign"],
)
def test_the_interpreter_exits_whatever_hangs(
    programs: Callable[..., Program], proxy: Proxy, election: str, ending: str, status: int
) -> None:
    """Behind a network that is gone, with a callback that never returns; and whether it has resigned or not."""
    line = ("-c", EXITS.format(ending=ending), proxy.hosts, election)
    reader, writer = os.pipe()
    program = programs(*line, command=(sys.executable,), stdin=reader)
    program.wait_for("leads", stream="stdout")
    proxy.cut()
    began = time.monotonic()
    os.write(writer, b"\n")
    assert program.wait(20) == status
    # Releasing is tried for half a lease.
    assert time.monotonic() - began < (5 if "resign" in ending else 2)
    os.close(reader)
    os.close(writer)


FORKS = """
import os, sys, zkleader
from zkleader.library.loop import Loop
candidate = zkleader.Election(sys.argv[1], sys.argv[2]).campaign()
candidate.wait_for_leadership(10)
handler = candidate._loop._sessions.present._connection._sockets
with handler._state_change:  # as a thread that starts or stops kazoo may have it at that moment
    pid = os.fork()
if pid == 0:
    assert not candidate.is_leading()
    sys.exit(5)
_, status = os.waitpid(pid, 0)
assert candidate.is_leading()
sys.exit(os.waitstatus_to_exitcode(status) if candidate.resign() else 1)
"""


def test_a_fork_exits_and_the_parent_leads_on(
    programs: Callable[..., Program], zookeeper: Server, election: str
) -> None:
    """It runs the interpreter's own tidying up, which must not wait for threads and locks that it does not have."""
    program = programs("-c", FORKS, zookeeper.hosts, election, command=(sys.executable,))
    assert program.wait(20) == 5, program.report()
