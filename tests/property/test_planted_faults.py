"""Faults planted in the core, one for each rule that carries the safety argument: the simulation has to find them.

A property test that finds nothing proves nothing until it is known to find something.  Each plant breaks one rule of
the design; the scenarios are narrowed to the faults under which that rule matters, because a test that runs every time
has no time to wait for them among all the others.
"""

import plants
import pytest
from faults import Fault, Kind, Target
from hypothesis import strategies as st
from planted import Plant, assert_found
from scenarios import LONG, RIDDEN_OUT, TIMINGS, fault, scenarios
from simulation import Scenario, Simulation

from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Timing

_WITHOUT_NEED = "without need"
_AT_ONCE = (0.005, 0.02, 0.05)
_LEADER = (Target.LEADER,)
_STANDBY = (Target.STANDBY,)
_PAUSE = (OnDisconnect.PAUSE,)
_AWAY = fault(Kind.PARTITION, targets=_LEADER, lasting=(1.5, 2.5), spices=(0,), gaps=_AT_ONCE)

_REMADE = scenarios(script=(fault(Kind.REMAKE_RECORD, gaps=(0.0, 0.001, 0.1)),), starts=(0.0,)) | scenarios(
    script=(
        fault(Kind.REMAKE_RECORD, targets=_STANDBY, gaps=(0.5,)),
        fault(Kind.DELETE_CANDIDATE, Kind.LEAVE, targets=_LEADER, gaps=(0.05,)),
    )
)


def _on_the_way_out(*then: st.SearchStrategy[Fault]) -> st.SearchStrategy[Scenario]:
    """Choose what befalls a host whose candidacy is gone, while its claim is still in doubt.

    A fifth of a lease after the claim the connection is dropped; having found its candidate gone it has yet to see the
    record, and what it reads is handed over late.
    """
    return scenarios(
        script=(
            fault(Kind.AMBUSH, targets=(Target.FIRST, Target.SECOND), spices=(0,), gaps=(0.0,)),
            fault(Kind.LATE_HAND_OVER, targets=(Target.SAME,), lasting=(1.5,), spices=(6,), gaps=(0.01,)),
            fault(Kind.DELETE_CANDIDATE, targets=(Target.SAME,), gaps=(0.02,)),
            *then,
        ),
        timings=(LONG,),
        sessions=(1.0,),
        starts=(0.0,),
    )


PLANTS: dict[str, tuple[Plant, st.SearchStrategy[Scenario], str]] = {
    "claims without waiting": (plants.claims_without_waiting, scenarios(), "two commands act"),
    "sight outlives its version": (plants.sight_outlives_its_version, scenarios(), "two commands act"),
    "dates renewals from the answer": (
        plants.dates_renewals_from_the_answer,
        # Answers that take long, then nothing that arrives any more; the longest lease, beside which margins are small.
        scenarios(
            fault(Kind.SLOW, targets=_LEADER, lasting=(2.5,), spices=(11,), gaps=(0.0,))
            | fault(Kind.PARTITION, targets=_LEADER, lasting=(1.5, 2.5), spices=(1,), gaps=(0.3, 0.35, 0.4, 0.5)),
            timings=(Timing(lease=60.0, grace=10.0, stop_timeout=10.0),),
            sessions=(0.25,),
            starts=(0.5,),
            least=2,
            most=4,
        ),
        "two commands act",
    ),
    "revives lapsed leases": (
        plants.revives_lapsed_leases,
        # An answer that waits in the inbox of a supervisor which is stuck until just after the end of its lease.
        scenarios(
            st.one_of(
                fault(Kind.SLOW, targets=_LEADER, lasting=(2.5,), spices=(3, 5, 6), gaps=(0.0,)),
                fault(Kind.STICK, Kind.FREEZE, targets=_LEADER, lasting=(0.9, 0.93, 0.96, 0.99), gaps=(0.1, 0.15, 0.2)),
            ),
            timings=TIMINGS,
            sessions=(1.0,),
            starts=(0.5,),
            least=2,
            most=3,
        ),
        "a lapsed lease was revived",
    ),
    "releases before the command is gone": (
        plants.releases_before_the_command_is_gone,
        scenarios(),
        "two commands act",
    ),
    "releases without the program's word": (
        plants.releases_without_the_programs_word,
        scenarios(
            fault(Kind.DELETE_CANDIDATE, Kind.PARTITION, Kind.EXPIRE, targets=_LEADER, gaps=(0.5, 1.0)), programs=True
        ),
        "two commands act",
    ),
    "programs act to the end of the successor's wait": (
        plants.programs_act_to_the_end_of_the_successors_wait,
        # A leader that is deaf to its loss, and hears of nothing any more.
        scenarios(
            script=(
                fault(Kind.HANG_COMMAND, targets=_LEADER, gaps=(0.5,)),
                fault(Kind.PARTITION, targets=_LEADER, lasting=(1.5, 2.5), spices=(0,)),
            ),
            sessions=(0.25,),
            programs=True,
        ),
        "two commands act",
    ),
    "takes the end of the first process for all of the command": (
        plants.takes_the_end_of_the_first_process_for_all_of_the_command,
        scenarios(fault(Kind.LEFTOVERS, targets=_LEADER, gaps=(0.5, 1.0)), sessions=(1.0,)),
        "two commands act",
    ),
    "creates missing records released": (
        plants.creates_missing_records_released,
        # A leader that cannot be told, and an operator who takes its candidate and the record away.
        scenarios(
            _AWAY
            | fault(Kind.DELETE_CANDIDATE, Kind.DELETE_RECORD, Kind.EXPIRE, targets=(Target.SAME,), gaps=_AT_ONCE),
            starts=(0.5,),
            least=3,
            overlapping=True,
        ),
        "two commands act",
    ),
    "takes the token from the creation": (plants.takes_the_token_from_the_creation, scenarios(), "token"),
    "takes the token from the version": (
        plants.takes_the_token_from_the_version,
        scenarios(fault(Kind.DELETE_RECORD, Kind.LEAVE, targets=_LEADER, gaps=(0.5, 1.0)), least=2, most=4),
        "token",
    ),
    "claims without its candidate": (
        plants.claims_without_its_candidate,
        # A claim that is under way for long enough.
        scenarios(
            fault(Kind.AMBUSH, lasting=(0.05, 0.1, 0.15), spices=(3,), gaps=(0.005, 0.02))
            | fault(Kind.DELETE_CANDIDATE, lasting=(0.05, 0.1), gaps=(0.005, 0.02, 0.05)),
            starts=(0.0,),
        ),
        "claimed, but the queue is",
    ),
    "guard without deadlines": (
        plants.guard_without_deadlines,
        scenarios(fault(Kind.FREEZE, Kind.STICK, Kind.PARTITION, targets=_LEADER, lasting=(0.9, 1.5, 2.5))),
        "two commands act|too long",
    ),
    "beats at its leisure": (
        plants.beats_at_its_leisure,
        # A leader that nobody renews, whose guard freezes after its last answer and shortly before SIGKILL is due.
        scenarios(
            script=(
                fault(Kind.PARTITION, targets=_LEADER, lasting=(1.5,), spices=(0,), gaps=(0.5,)),
                fault(Kind.FREEZE_GUARD, targets=(Target.SAME,), lasting=(0.5,), gaps=(0.8, 0.83, 0.86, 0.89)),
            ),
            timings=(Timing(lease=20.0, grace=0.0, stop_timeout=10.0),),
        ),
        "two commands act|too long",
    ),
    "deaf to watches before their answers": (
        plants.deaf_to_watches_before_their_answers,
        # A standby that looks again who is ahead, at the moment when that one goes.
        scenarios(
            script=(
                fault(Kind.LATE_HAND_OVER, targets=_STANDBY, lasting=(0.5,), spices=(0, 3, 6), gaps=(0.2,)),
                fault(Kind.RESET, targets=_STANDBY, gaps=(0.0, 0.005)),
                fault(Kind.DELETE_CANDIDATE, Kind.EXPIRE, targets=_LEADER, gaps=(0.005, 0.01, 0.02, 0.05)),
            ),
        ),
        "nobody leads",
    ),
    "looks at versions only": (plants.looks_at_versions_only, _REMADE, "made anew"),
    "claims whatever bears the name": (plants.claims_whatever_bears_the_name, _REMADE, "made anew"),
    "forgets that it was asked to leave": (
        plants.forgets_that_it_was_asked_to_leave,
        _on_the_way_out(fault(Kind.LEAVE, targets=(Target.SAME,), spices=(1,), gaps=(0.2, 0.22, 0.24, 0.26))),
        "asked to leave",
    ),
    "campaigns with a failed guard": (
        plants.campaigns_with_a_failed_guard,
        _on_the_way_out(
            fault(Kind.KILL_GUARD, targets=(Target.SAME,), gaps=(0.2, 0.22, 0.24)),
            fault(Kind.KILL_BOTH, targets=_LEADER, gaps=(1.5,)),
        ),
        "nobody leads",
    ),
    "waits for a command that never goes": (
        plants.waits_for_a_command_that_never_goes,
        # Leadership is lost for certain, and the candidate is still there.
        scenarios(
            script=(
                fault(Kind.HANG_COMMAND, targets=_LEADER, gaps=(0.5,)),
                fault(Kind.DELETE_RECORD, Kind.REMAKE_RECORD, Kind.STICK, targets=_LEADER, lasting=(0.98,)),
            ),
        ),
        "nobody leads|stays for what hangs",
    ),
    "resigns whatever tenure is meant": (
        plants.resigns_whatever_tenure_is_meant,
        scenarios(fault(Kind.SCRIBBLE, targets=_LEADER), most=3),
        "nobody asked it",
    ),
    "heeds a request only when it is read": (
        plants.heeds_a_request_only_when_it_is_read,
        # A claim that is applied and never answered: who asks sees it, and the leader reads the request before it does.
        scenarios(
            script=(
                fault(Kind.AMBUSH, targets=(Target.FIRST, Target.SECOND), spices=(0,), gaps=(0.0,)),
                fault(Kind.RESIGN, gaps=(0.1, 0.15)),
            ),
            timings=(LONG,),
            sessions=(1.0,),
            starts=(0.0,),
        ),
        "was asked to step down, and renews",
    ),
    "trusts its watches after a reconnect": (
        plants.trusts_its_watches_after_a_reconnect,
        scenarios(
            script=(
                fault(Kind.PARTITION, targets=_LEADER, lasting=(0.3,), spices=(0,), gaps=(0.0,)),
                fault(Kind.RESIGN, gaps=(0.1,)),
            ),
            timings=(LONG,),
            sessions=(1.0,),
            starts=(0.5, 1.0),
        ),
        "was asked to step down, and renews",
    ),
    "tells an end without asking the ensemble": (
        plants.tells_an_end_without_asking_the_ensemble,
        # A server that was the ensemble's leader, and does not know that it is not any more.
        scenarios(
            script=(
                fault(Kind.HANG_COMMAND, targets=_LEADER, gaps=(0.0,)),
                fault(Kind.RESIGN, gaps=(0.05,)),
                fault(Kind.CUT_OFF, targets=_LEADER, lasting=(2.5,), spices=(0, 3), gaps=(0.1,)),
            ),
            timings=(LONG,),
            sessions=(1.0,),
            starts=(0.5, 1.0),
        ),
        "is told to be over",
    ),
    "thaws without a renewal": (
        plants.thaws_without_a_renewal,
        scenarios(_AWAY, starts=(0.5,), most=2, on_disconnect=_PAUSE),
        "is thawed by|s overdue|suspended since",
    ),
    "freezes at the supervisor's word alone": (
        plants.freezes_at_the_supervisors_word_alone,
        scenarios(
            fault(Kind.FREEZE, Kind.STICK, targets=_LEADER, lasting=(0.5, 0.9, 1.5)),
            starts=(0.5,),
            most=2,
            on_disconnect=_PAUSE,
        ),
        "s overdue",
    ),
    "freezes by the clock alone": (
        plants.freezes_by_the_clock_alone,
        # It is told of the break, and reaches nobody after it: else a renewal follows before anybody can say it lacked.
        scenarios(
            script=(
                fault(Kind.RESET, targets=_LEADER, gaps=(0.5,)),
                fault(Kind.PARTITION, targets=(Target.SAME,), lasting=(0.5,), spices=(0,), gaps=(0.0,)),
            ),
            on_disconnect=_PAUSE,
        ),
        "suspended since",
    ),
    "thaws by any renewal": (
        plants.thaws_by_any_renewal,
        # A renewal that is applied, and whose answer is lost with the connection: a read shows it after the reconnect.
        scenarios(
            fault(Kind.AMBUSH, targets=_LEADER, lasting=(0.1,), spices=(0, 1), gaps=(0.5, 1.0)),
            sessions=(1.0,),
            on_disconnect=_PAUSE,
        ),
        "is thawed by",
    ),
    "starts unfrozen in doubt": (
        plants.starts_unfrozen_in_doubt,
        # The connection breaks when the claim is applied: a read shows it, and the first renewal is never answered.
        scenarios(
            script=(
                fault(Kind.AMBUSH, targets=(Target.SECOND,), lasting=(0.1,), spices=(1,), gaps=(0.5,)),
                fault(Kind.COMMAND_ENDS, targets=_LEADER, gaps=_AT_ONCE),
                fault(Kind.AMBUSH, targets=(Target.SECOND,), lasting=(0.1,), spices=(0,), gaps=(0.005, 0.01, 0.03)),
            ),
            sessions=(1.0,),
            on_disconnect=_PAUSE,
        ),
        "suspended since",
    ),
    "never thaws": (
        plants.never_thaws,
        scenarios(fault(Kind.RESET, targets=_LEADER, gaps=(0.5, 1.0)), most=2, on_disconnect=_PAUSE),
        "stands still",
    ),
    "leads on in doubt": (
        plants.leads_on_in_doubt,
        scenarios(_AWAY, starts=(0.5,), most=2, on_disconnect=(OnDisconnect.STOP,)),
        "s overdue|suspended since",
    ),
    "believes BadVersion": (
        plants.believes_bad_version,
        scenarios(fault(Kind.TOUCH_RECORD, Kind.AMBUSH, targets=_LEADER, lasting=(0.1,), gaps=(1.0,)), sessions=(1.0,)),
        _WITHOUT_NEED,
    ),
    "takes a lost answer for a loss": (plants.takes_a_lost_answer_for_a_loss, RIDDEN_OUT, _WITHOUT_NEED),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this one is not found, the tests beside it say less than they seem to."""
    plant, strategy, expected = PLANTS[name]
    plant(monkeypatch)

    def run(scenario: Scenario) -> None:
        simulation = Simulation(scenario)
        simulation.run_undisturbed() if expected is _WITHOUT_NEED else simulation.run()

    assert_found(strategy, run, expected)
