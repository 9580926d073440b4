"""How old something is at least: from two sources, and never from a host's wall clock."""

import pytest

from zkleader.core.records import Stat
from zkleader.core.sights import NOTHING_SEEN, Sights

EPOCH = 5 << 32


def stat(zxid: int, time: int, *, version: int = 0, czxid: int = 0, ctime: int = 0) -> Stat:
    return Stat(czxid=czxid or zxid, mzxid=zxid, version=version, mtime=time, ctime=ctime or time)


def seen(stats: dict[str, Stat], at: float, before: Sights = NOTHING_SEEN) -> Sights:
    return before.after(stats, at)


def test_one_look_tells_nothing_of_its_newest_write() -> None:
    """What was written last may have been written just now: 0 is the only bound that is true."""
    record = stat(EPOCH + 7, 1_000_000)
    sights = seen({"/e/lease-0": record}, 50.1)
    assert sights.unchanged("/e/lease-0", record, 50.0) == 0.0
    assert sights.time(50.0) == 1_000_000


def test_the_same_version_seen_again_is_as_old_as_the_time_between() -> None:
    """It counts from the arrival of the first answer to the sending of the last question."""
    record = stat(EPOCH + 7, 1_000_000, version=3)
    sights = seen({"/e/lease-0": record}, 58.1, seen({"/e/lease-0": record}, 50.1))
    assert sights.unchanged("/e/lease-0", record, 58.0) == pytest.approx(7.9)
    assert sights.time(58.1) == 1_008_000


@pytest.mark.parametrize("other", [stat(EPOCH + 9, 1_002_000, version=4, czxid=EPOCH + 7), stat(EPOCH + 9, 1_002_000)])
def test_another_version_or_a_record_made_anew_counts_anew(other: Stat) -> None:
    """A record that was deleted and made again may have the version that the old one had."""
    sights = seen({"/e/lease-0": other}, 58.1, seen({"/e/lease-0": stat(EPOCH + 7, 1_000_000)}, 50.1))
    assert sights.unchanged("/e/lease-0", other, 58.0) == 0.0


def test_a_write_that_came_later_tells_by_the_ensembles_clock() -> None:
    """A candidate that joined nine seconds after the last renewal: that one is so old at least."""
    record, candidate = stat(EPOCH + 7, 1_000_000), stat(EPOCH + 8, 1_009_000)
    sights = seen({"/e/lease-0": record, "/e/c": candidate}, 50.1)
    assert sights.unchanged("/e/lease-0", record, 50.0) == pytest.approx(8.9)
    assert sights.unchanged("/e/c", candidate, 50.0) == 0.0
    assert sights.time(50.1) == 1_009_000


def test_another_leader_of_the_ensemble_has_another_clock() -> None:
    """Its server's clock may be an hour ahead: that would make a leader look dead who has just renewed."""
    record, candidate = stat(EPOCH + 7, 1_000_000), stat((6 << 32) + 1, 4_600_000)
    sights = seen({"/e/lease-0": record, "/e/c": candidate}, 50.1)
    assert sights.unchanged("/e/lease-0", record, 50.0) == 0.0


def test_time_is_that_of_the_last_write_and_not_the_greatest() -> None:
    """An earlier leader of the ensemble may have stamped a time that is yet to come."""
    sights = seen({"/e/c": stat(EPOCH, 9_000_000), "/e/lease-0": stat((6 << 32) + 1, 1_000_000)}, 50.0)
    assert sights.time(53.5) == 1_003_500


def test_what_is_gone_is_forgotten_and_its_time_is_not() -> None:
    """A watch of weeks must not grow with each candidate that came and went."""
    sights = seen({}, 60.0, seen({"/e/c": stat(EPOCH, 1_000_000)}, 50.0))
    assert sights.by_path == {}
    assert sights.time(60.0) == 1_010_000
    assert NOTHING_SEEN.time(60.0) is None
