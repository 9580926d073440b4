"""What each write to the lease record gives: the holder's half of the safety argument."""

import json

import pytest
from candidacy_script import GUID, at, record, stat
from hypothesis import given
from hypothesis import strategies as st

from zkleader.core import records
from zkleader.core.chain import Attempt, Chain, Held, Verdict
from zkleader.core.records import LeaseRecord, NewerFormat, Unreadable

LEASE = 20.0


def claimed(seconds: float = 0.0) -> Chain:
    """Return the chain of a leader whose claim over version 1 was sent then, and confirmed at once."""
    chain, attempt = Chain(guid=GUID, lease=LEASE).attempt(stat(1), at(seconds))
    return chain.confirm(attempt, stat(2), at(seconds))[0]


def shown(**fields: object) -> LeaseRecord | Unreadable | NewerFormat:
    """Return a record of ours, as a read shows it."""
    return records.parse_lease_record(record(holder=GUID, released=False, **fields), stat(1))


def test_a_claim_counts_from_before_its_sending_and_its_zxid_is_the_token() -> None:
    """Whatever the answer took: others count from a moment after the sending."""
    chain, attempt = Chain(guid=GUID, lease=LEASE).attempt(stat(1), at(5))
    chain, verdict = chain.confirm(attempt, stat(2), at(9))
    assert verdict is Verdict.CONFIRMED
    assert chain.held == Held(lease_start=at(5), token=1002, elected_at=50_002, czxid=100)


def test_a_renewal_moves_the_lease_and_keeps_the_token() -> None:
    """One token per tenure."""
    chain, attempt = claimed(0).attempt(stat(2), at(2))
    chain, verdict = chain.confirm(attempt, stat(3), at(2.5))
    assert verdict is Verdict.CONFIRMED
    assert chain.held == Held(lease_start=at(2), token=1002, elected_at=50_002, czxid=100)


def test_every_attempt_has_a_beat_of_its_own() -> None:
    """By it a read tells which of several attempts was applied."""
    chain = Chain(guid=GUID, lease=LEASE)
    beats = []
    for seconds in range(4):
        chain, attempt = chain.attempt(stat(1), at(seconds))
        beats.append(attempt.beat)
    assert len(set(beats)) == 4


@pytest.mark.parametrize(("seconds", "verdict"), [(19.99, Verdict.CONFIRMED), (20.0, Verdict.LAPSED)])
def test_nothing_revives_a_lease_that_has_lapsed(seconds: float, verdict: Verdict) -> None:
    """The renewal itself would reach further; but the command may be gone by now, and another may lead."""
    chain, attempt = claimed(0).attempt(stat(2), at(15))
    chain, given_verdict = chain.confirm(attempt, stat(3), at(seconds))
    assert given_verdict is verdict
    assert chain.has_lapsed(at(20)) is (verdict is Verdict.LAPSED)


def test_a_claim_that_was_confirmed_after_its_own_lease_gives_nothing() -> None:
    """Its twenty seconds are over before it is known."""
    chain, attempt = Chain(guid=GUID, lease=LEASE).attempt(stat(1), at(0))
    chain, verdict = chain.confirm(attempt, stat(2), at(20))
    assert verdict is Verdict.LAPSED
    assert chain.held is None


def test_a_write_to_a_record_made_anew_gives_nothing() -> None:
    """The same version number of another znode: somebody may have been told that it is free."""
    chain, attempt = claimed(0).attempt(stat(2), at(2))
    chain, verdict = chain.confirm(attempt, stat(3, czxid=101), at(2))
    assert verdict is Verdict.NOT_OURS
    assert chain.held == claimed(0).held


def test_a_lost_answer_is_found_by_its_beat_and_counts_from_its_own_sending() -> None:
    """Two attempts in doubt; the first was applied, so the second was not."""
    chain, first = claimed(0).attempt(stat(2), at(2))
    chain, _second = chain.attempt(stat(2), at(4))
    chain, verdict = chain.judge(shown(beat=first.beat), stat(3), at(6))
    assert verdict is Verdict.CONFIRMED
    assert chain.held is not None
    assert chain.held.lease_start == at(2)
    assert chain.doubts == ()


def test_a_lost_answer_found_too_late_gives_nothing() -> None:
    """The deadline that was present then is what counts."""
    chain, attempt = claimed(0).attempt(stat(2), at(10))
    assert chain.judge(shown(beat=attempt.beat), stat(3), at(20))[1] is Verdict.LAPSED


def test_a_record_of_ours_without_a_doubted_beat_changes_nothing() -> None:
    """The renewal was not applied, or an operator has written the same again."""
    chain, _ = claimed(0).attempt(stat(2), at(2))
    after, verdict = chain.judge(shown(beat=1), stat(7), at(3))
    assert verdict is Verdict.UNCHANGED
    assert after == chain


@pytest.mark.parametrize(
    ("read", "czxid"),
    [
        (records.parse_lease_record(record(holder="thief"), stat(5)), 100),
        (records.parse_lease_record(record(holder=GUID), stat(5, czxid=101)), 101),
        (Unreadable(reason="not JSON"), 100),
        (NewerFormat(format=3), 100),
    ],
)
def test_what_does_not_show_our_claim_is_not_ours(read: LeaseRecord | Unreadable | NewerFormat, czxid: int) -> None:
    """Another guid, another znode under the same name, or nothing that can be read."""
    assert claimed(0).judge(read, stat(5, czxid=czxid), at(1))[1] is Verdict.NOT_OURS


def test_an_attempt_that_was_refused_is_in_doubt_no_more() -> None:
    """The others still are."""
    chain, first = claimed(0).attempt(stat(2), at(2))
    chain, second = chain.attempt(stat(2), at(4))
    assert chain.refused(second).doubts == (first,)


@given(
    st.lists(st.tuples(st.floats(0.1, 6), st.sampled_from(["answered", "lost", "found", "refused"])), max_size=20),
    st.floats(0, 3),
)
def test_the_lease_never_starts_after_the_last_write_that_was_applied_was_sent(
    steps: list[tuple[float, str]], delay: float
) -> None:
    """Over any sequence of renewals; and once lapsed it stays so."""
    chain, now, version, lapsed = claimed(0), 0.0, 2, False
    sent, applied = 0.0, Attempt(beat=1, sent=at(0), czxid=100, version=1)
    for wait, what in steps:
        now += wait
        chain, attempt = chain.attempt(stat(version), at(now))
        if what == "refused":
            chain = chain.refused(attempt)
            continue
        version, applied, sent = version + 1, attempt, now
        now += delay
        verdict = None
        if what == "answered":
            chain, verdict = chain.confirm(attempt, stat(version), at(now))
        elif what == "found":
            read = LeaseRecord(content=json.loads(record(holder=GUID, beat=applied.beat)))
            chain, verdict = chain.judge(read, stat(version), at(now))
        lapsed = lapsed or chain.has_lapsed(at(now))
        assert chain.held is not None
        assert chain.held.lease_start.raw <= sent
        assert not (lapsed and verdict is Verdict.CONFIRMED)
