"""Once per period: at least one run that ends, and none beside it, however hosts' clocks differ and runs break off."""

import pytest

from zkleader.core import period, records
from zkleader.core.records import Identity, LeaseRecord, Stat

PERIOD = 60.0
IDENTITY = Identity(id="me", host="h", pid=1, command="c", version="0")


def stat(mtime: int) -> Stat:
    return Stat(czxid=1, mzxid=2, version=3, mtime=mtime, ctime=0)


def ran(start: int | None, status: int | None) -> LeaseRecord:
    """Return a released record that tells of such a run."""
    content = {"holder": "x", "beat": 1, "lease_ms": 4000, "released": True, "token": 7}
    told = {"start": start, "token": 7, "id": "x", "status": status, "end": None}
    return LeaseRecord(content=content | {"last_run": told})


def last(record: LeaseRecord) -> period.LastRun | None:
    return period.last_run_of(record, stat(5))


@pytest.mark.parametrize(
    ("arrived", "is_done"), [(1000, True), (500, True), (30_999, True), (31_000, False), (61_000, False)]
)
def test_who_comes_within_half_a_period_of_its_start_belongs_to_it(arrived: int, *, is_done: bool) -> None:
    """However long they waited in the queue: the arrival counts, and it may lie before the start."""
    assert period.is_done(last(ran(1000, 0)), arrived, PERIOD, retry_failed=False) is is_done


def test_a_run_that_was_broken_off_is_done_again_in_its_period() -> None:
    """Counted from the second attempt, the next strike of the clock would seem to belong to it."""
    broken = last(ran(1000, None))
    assert not period.is_done(broken, 2000, PERIOD, retry_failed=False)
    assert period.begun(broken, 2000, PERIOD, "me")["start"] == 1000
    assert period.begun(broken, 61_000, PERIOD, "me")["start"] is None


def test_a_failed_run_counts_unless_it_is_to_be_retried() -> None:
    """And its retry belongs to the same period."""
    failed = last(ran(1000, 3))
    assert period.is_done(failed, 2000, PERIOD, retry_failed=False)
    assert not period.is_done(failed, 2000, PERIOD, retry_failed=True)
    assert period.begun(failed, 2000, PERIOD, "me")["start"] == 1000


@pytest.mark.parametrize(
    "told", [None, 5, {}, {"start": "x"}, {"start": 1.5, "status": 0}, {"start": 1, "status": "0"}, {"status": 0}]
)
def test_what_cannot_be_understood_is_no_run(told: object) -> None:
    """At least once: when in doubt, it runs."""
    record = LeaseRecord(content=ran(1, 0).content | {"last_run": told})
    assert last(record) is None


def test_the_claims_time_is_kept_by_whoever_writes_over_it() -> None:
    """A claim cannot know its own time; its stat tells it as long as nobody has written over it."""
    claim = records.claimed(
        ran(1, 0), stat(90), guid="g", beat=1, lease=4, identity=IDENTITY, last_run=period.begun(None, 100, 60, "me")
    )
    assert period.last_run_of(claim, stat(100)) == period.LastRun(start=100, status=None)
    renewal = records.renewed(claim, beat=2, token=9, elected_at=100)
    assert period.last_run_of(renewal, stat(140)) == period.LastRun(start=100, status=None)
    for record, written in ((claim, stat(100)), (renewal, stat(140))):
        released = records.released(record, written, beat=2, reason="supervisor_gone", status=None)
        assert period.last_run_of(released, stat(500)) == period.LastRun(start=100, status=None)
        taken = records.claimed(record, written, guid="h", beat=1, lease=4, identity=IDENTITY)
        assert taken.content["last_run"]["start"] == 100


def test_a_run_that_ended_is_told_whole() -> None:
    """Token, status and times, the end by whoever writes next; others' fields survive."""
    begun = period.begun(None, 100, 60, "me") | {"theirs": 1}
    claim = records.claimed(ran(1, 0), stat(90), guid="g", beat=1, lease=4, identity=IDENTITY, last_run=begun)
    told = period.ended(claim, token=9, elected_at=100, status=3)
    released = records.released(claim, stat(100), beat=2, reason="ended", status=3, last_run=told)
    assert released.content["last_run"] == {
        "start": 100, "token": 9, "id": "me", "status": 3, "end": None, "theirs": 1,
    }  # fmt: skip
    again = records.claimed(released, stat(150), guid="h", beat=1, lease=4, identity=IDENTITY)
    assert again.content["last_run"]["end"] == 150
