"""Names of candidates and the forms of znodes: what others wrote is never trusted and never lost."""

import json

import pytest
from candidacy_script import IDENTITY, stat
from hypothesis import given
from hypothesis import strategies as st

from zkleader.core import queue, records
from zkleader.core.records import LeaseRecord, NewerFormat, Unreadable


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("guid-n_0000000005", 5),
        ("_c_x-latch-0000000005", 5),
        ("x__lock__0000000012", 12),
        ("guid-n_-000000005", -5),
        ("guid-n_-2147483648", -2147483648),
        ("x-2147483648", -2147483648),
        ("latch-1234567890", 1234567890),
        ("guid-n_-1234567890", -1234567890),
        ("lease-0000000001", None),
        ("lease-0", None),
        ("nothing", None),
        ("n_123", None),
        ("0000000005\n", None),
    ],
)
def test_the_number_at_the_end_counts(name: str, number: int | None) -> None:
    """Signed 32 bit, `%010d`; a separator before it is no sign."""
    assert queue.sequence_of(name) == number


def test_order_is_numeric_and_foreign_candidates_keep_their_place() -> None:
    """Sorted as strings, a candidate of another recipe, or a counter that wrapped, would stand wrong."""
    names = ("b-n_0000000010", "z__lock__0000000009", "lease-0", "junk", "a-n_-2147483648")
    assert queue.in_order(names) == ("a-n_-2147483648", "z__lock__0000000009", "b-n_0000000010")
    place = queue.place_of("b-n_0000000010", names)
    assert place == queue.Place(rank=2, predecessor="z__lock__0000000009")
    assert queue.place_of("gone-n_0000000001", names) is None


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_anything_parses_to_something(data: bytes | str) -> None:
    """Garbage in a znode is a value that says what is wrong, never an exception."""
    raw = data if isinstance(data, bytes) else data.encode()
    assert isinstance(records.parse_lease_record(raw, stat(1)), LeaseRecord | Unreadable | NewerFormat)
    assert isinstance(records.parse_candidate(raw), dict | Unreadable | NewerFormat)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": 0},
        {"format": True},
        {"format": "1"},
        {"holder": None},
        {"beat": 1.5},
        {"released": 1},
        {"lease_ms": 0},
        {"lease_ms": 60_001},
        {"lease_ms": True},
    ],
)
def test_a_record_with_a_field_of_the_wrong_kind_is_unreadable(fields: dict[str, object]) -> None:
    """It is waited out with the longest lease, not taken at its word."""
    whole: dict[str, object] = {"format": 1, "holder": "x", "beat": 1, "lease_ms": 1000, "released": False}
    assert isinstance(records.parse_lease_record(json.dumps(whole).encode(), stat(1)), LeaseRecord)
    assert isinstance(records.parse_lease_record(json.dumps(whole | fields).encode(), stat(1)), Unreadable)


def test_nesting_a_hundred_thousand_deep_is_unreadable() -> None:
    """The parser of the library gives up with RecursionError."""
    assert isinstance(records.parse_lease_record(b"[" * 100_000, stat(1)), Unreadable)


def test_a_higher_format_is_told_apart_from_garbage() -> None:
    """It is never claimed and never written over."""
    assert records.parse_lease_record(b'{"format": 3}', stat(1)) == NewerFormat(format=3)
    assert records.parse_candidate(b'{"format": 7}') == NewerFormat(format=7)


@pytest.mark.parametrize("write", ["claim", "renewal", "release"])
def test_a_write_that_hit_another_znode_says_no_more_than_that_it_was_made_anew(write: str) -> None:
    """Whatever it wrote: held by nobody known, not released, the longest lease.  What others wrote is kept."""
    old = records.parse_lease_record(records.new_record(released=True), stat(4))
    assert isinstance(old, LeaseRecord)
    old = LeaseRecord(content=old.content | {"last_run": {"status": 0}, "future": [1]})
    written = records.claimed(old, stat(4), guid="g", beat=1, lease=2, identity=IDENTITY)
    if write != "claim":
        written = records.renewed(written, beat=2, token=77, elected_at=5)
    if write == "release":
        written = records.released(written, stat(6), beat=3, reason="ended", status=0)
    assert records.parse_lease_record(records.encode(written), stat(7)) == written
    hit = records.parse_lease_record(records.encode(written), stat(4, czxid=101))
    assert isinstance(hit, LeaseRecord)
    assert (hit.holder, hit.released, hit.lease) == ("", False, 60.0)
    assert (hit.content["last_run"], hit.content["future"]) == ({"status": 0}, [1])
    again = records.claimed(hit, stat(4, czxid=101), guid="h", beat=1, lease=2, identity=IDENTITY)
    assert records.parse_lease_record(records.encode(again), stat(5, czxid=101)) == again


def test_every_writer_keeps_what_it_does_not_know() -> None:
    """Versions are rolled out one host at a time."""
    old = LeaseRecord(
        content={
            "format": 1, "holder": "o", "beat": 9, "lease_ms": 5000, "released": False, "token": 8, "id": "them",
            "last_run": {"status": 0}, "future": [1],
        }
    )  # fmt: skip
    claim = records.claimed(old, stat(4), guid="g", beat=1, lease=20, identity=IDENTITY)
    renewal = records.renewed(claim, beat=2, token=77, elected_at=5)
    release = records.released(renewal, stat(6), beat=3, reason="asked", status=143)
    for written in (claim, renewal, release):
        assert written.content["future"] == [1]
        assert written.content["last_run"] == {"status": 0}
    assert claim.content["previous"] == {
        "id": "them", "token": 8, "ended": stat(4).mtime, "reason": "lapsed", "status": None,
    }  # fmt: skip
    assert (claim.content["token"], renewal.content["token"], renewal.content["elected_at"]) == (None, 77, 5)
    assert release.content["previous"] == {
        "id": "me", "token": 77, "ended": None, "reason": "asked", "status": 143,
    }  # fmt: skip
    again = records.claimed(release, stat(7), guid="h", beat=1, lease=20, identity=IDENTITY)
    assert again.content["previous"]["ended"] == stat(7).mtime
