"""What the answers of kazoo mean to the core, without a server: a request was applied, it was not, or nobody knows."""

from typing import Any

import pytest
from kazoo import exceptions
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import ZnodeStat

from zkleader.core.actions import Check, Delete, Exists, Get, Multi, SetData
from zkleader.core.events import Answered, Applied, Content, Event, Refusal, Refused, Unanswered
from zkleader.core.lease import Timing
from zkleader.core.records import Stat
from zkleader.zk.access import Access
from zkleader.zk.hosts import parse_hosts
from zkleader.zk.session import Session

RENEWAL = Multi(operations=(Check(path="/e/c", version=-1), SetData(path="/e/lease-0", data=b"", version=3)))
STAT = ZnodeStat(
    czxid=1,
    mzxid=2,
    ctime=3,
    mtime=4,
    version=5,
    cversion=0,
    aversion=0,
    ephemeralOwner=0,
    dataLength=0,
    numChildren=0,
    pzxid=1,
)


class Result:
    """An asynchronous result of kazoo's that is there."""

    def __init__(self, value: Any = None, exception: Exception | None = None) -> None:
        self.value = value
        self.exception = exception


class Watched(Session):
    """A session that was never started; it keeps what it tells, and counts how often it cuts its connection."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.cuts = 0
        super().__init__(
            Access(hosts=parse_hosts("10.0.0.1")), Timing(lease=20.0, grace=5.0, stop_timeout=5.0), self.told.append
        )

    def drop_connection(self) -> None:
        self.cuts += 1

    def answer(self, request: Any, result: Result) -> Any:
        self._on_result(7, request, result)
        (event,) = self.told
        assert isinstance(event, Answered)
        assert event.number == 7
        return event.answer


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionLoss(),
        exceptions.ConnectionClosedError(),
        exceptions.SessionExpiredError(),
        exceptions.SessionMovedError(),
        exceptions.OperationTimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_was_under_way_when_the_connection_broke_is_unanswered(error: Exception) -> None:
    """It may have been applied.  The next connection may stand already, so nothing is cut."""
    session = Watched()
    assert session.answer(RENEWAL, Result(exception=error)) == Unanswered()
    assert session.cuts == 0


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("xids do not match"),
        ValueError("cannot deserialise"),
        KazooTimeoutError(),
        exceptions.ThrottledOpError(),
        exceptions.RequestTimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_answer_is_unanswered_and_another_server_is_tried(error: Exception) -> None:
    """An error of kazoo's own says nothing about the request, and a server that is too busy will still be.

    Taken for a refusal it would end a candidacy, or deny a renewal that was applied.
    """
    session = Watched()
    assert session.answer(RENEWAL, Result(exception=error)) == Unanswered()
    assert session.cuts == 1


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (exceptions.NoNodeError(), Refusal.NO_NODE),
        (exceptions.NodeExistsError(), Refusal.NODE_EXISTS),
        (exceptions.BadVersionError(), Refusal.BAD_VERSION),
        (exceptions.NoAuthError(), Refusal.NO_AUTH),
        (exceptions.SessionClosedRequireSaslError(), Refusal.NOT_AUTHENTICATED),
        (exceptions.InvalidACLError(), Refusal.INVALID_ACL),
    ],
    ids=lambda value: getattr(value, "value", ""),
)
def test_a_refusal_is_told_with_the_operation_that_met_it(error: Exception, refusal: Refusal) -> None:
    """The others of a multi only say that one has failed."""
    session = Watched()
    result = Result(value=[exceptions.RolledBackError(), error])
    assert session.answer(RENEWAL, result) == Refused(refusal=refusal, index=1)
    assert session.cuts == 0


def test_a_refusal_of_another_kind_has_its_name() -> None:
    """A quota, say: nothing that we could mend, so the user is told."""
    result = Result(exception=exceptions.QuotaExceededError())
    assert Watched().answer(RENEWAL, result) == Refused(refusal=Refusal.OTHER, text="quota exceeded")


def test_a_multi_that_failed_without_a_reason_was_not_applied() -> None:
    """Whatever its parts say: only a multi without any error is a claim or a renewal."""
    result = Result(value=[exceptions.RolledBackError(), exceptions.RuntimeInconsistency()])
    answer = Watched().answer(RENEWAL, result)
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.OTHER


def test_what_was_applied_is_told_with_stats() -> None:
    """The version and the mzxid of the record that was written are what the next renewal and the token are made of."""
    stat = Stat(czxid=1, mzxid=2, version=5, mtime=4, ctime=3)
    assert Watched().answer(RENEWAL, Result(value=[True, STAT])) == Applied(stats=(None, stat))
    assert Watched().answer(Delete(path="/e/c"), Result(value=True)) == Applied()
    get = Get(path="/e/lease-0", watch=False)
    assert Watched().answer(get, Result(value=(None, STAT))) == Content(data=b"", stat=stat)
    assert Watched().answer(Exists(path="/e/c"), Result(value=None)) == Refused(refusal=Refusal.NO_NODE)
