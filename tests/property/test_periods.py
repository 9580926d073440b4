"""``--once-per``, over crontabs that Hypothesis chooses; ``ledger`` says what must hold."""

import period_plants
import pytest
from cron import Cron, Crontab
from crontabs import blow, crontabs
from faults import Kind
from hypothesis import given
from hypothesis import strategies as st
from ledger import Step
from planted import Plant, assert_found
from scenarios import EXAMPLES, LONG, PROFILE

pytestmark = pytest.mark.timeout(60 + EXAMPLES)


@PROFILE
@given(crontabs())
def test_a_job_is_run_once_in_each_period_whatever_the_skews_and_whoever_dies_when(crontab: Crontab) -> None:
    """At least once and not twice; and who says that it is done tells the truth."""
    cron = Cron(crontab)
    with cron.timeline.told_if_broken():
        cron.run()


_NOTHING = st.just(())
_AT_THE_END = (Step.BEGUN, Step.RENEWED, Step.ENDED)
_SHORT = (0.005, 0.3)

PLANTS: dict[str, tuple[Plant, st.SearchStrategy[Crontab], str]] = {
    "releases without a record": (period_plants.releases_without_a_record, crontabs(_NOTHING), "not recorded"),
    "records after the release": (
        period_plants.records_after_the_release,
        # Somebody waits, and claims between the two writes.
        crontabs(_NOTHING, takes=(0.3,), skews=(0.0,)),
        "nothing has befallen",
    ),
    "takes an unconfirmed record for done": (
        period_plants.takes_an_unconfirmed_record_for_done,
        crontabs(
            st.tuples(
                blow(Kind.PARTITION, Kind.AMBUSH, Kind.EXPIRE, Kind.QUORUM_LOSS, steps=_AT_THE_END, counts=(1,)),
            ),
            takes=_SHORT,
        ),
        "not recorded",
    ),
    "records what was broken off": (
        period_plants.records_what_was_broken_off,
        crontabs(st.tuples(blow(Kind.LEAVE, Kind.DELETE_CANDIDATE, steps=_AT_THE_END, counts=(1,)))),
        "has not ended so",
    ),
    "takes a failed run for done": (period_plants.takes_a_failed_run_for_done, crontabs(_NOTHING), "it is not"),
    "comes when the host's clock says": (
        period_plants.comes_when_the_hosts_clock_says,
        crontabs(_NOTHING),
        "another period than its own",
    ),
    "comes with its last candidacy": (
        period_plants.comes_with_its_last_candidacy,
        # Waiting behind a job that takes longer than half a period, it has to begin anew.
        crontabs(
            st.tuples(
                blow(Kind.DELETE_CANDIDATE, Kind.EXPIRE, steps=(Step.JOINED,), counts=(2,), after=(124.0, 128.0))
            ),
            takes=(6.6,),
            timings=(LONG,),
            skews=(0.0,),
        ),
        "another period than its own",
    ),
    "counts a period from the last attempt": (
        period_plants.counts_a_period_from_the_last_attempt,
        # A job that takes longer than half a period, and is broken off near its end.
        crontabs(
            st.tuples(
                blow(Kind.KILL_SUPERVISOR, Kind.KILL_GUARD, steps=(Step.BEGUN,), counts=(1,), after=(128.0, 130.0))
            ),
            takes=(6.6,),
            timings=(LONG,),
        ),
        "another period than its own",
    ),
    "has whole periods belong": (period_plants.has_whole_periods_belong, crontabs(_NOTHING), "it is not"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this one is not found, the test beside it says less than it seems to."""
    plant, strategy, expected = PLANTS[name]
    plant(monkeypatch)
    assert_found(strategy, lambda crontab: Cron(crontab).run(), expected)
