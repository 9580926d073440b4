"""The scenarios: what is played, and what has to follow. Each has an election of its own."""

from collections.abc import Sequence
from functools import partial
from signal import SIGKILL, SIGSTOP, SIGTERM

from campaign import acts, ensemble_acts, nemesis
from campaign.acts import LONGEST, cut, followed, hit, ridden_out
from campaign.checker import Takeover, Unbounded, Undisturbed
from campaign.play import GRACE, LEASE
from campaign.scenario import (
    AFTER_ON_LOST,
    AT_ONCE,
    BRIEF_HOOKS,
    CLEAN,
    CLOCK,
    ENDLESS_HOOKS,
    IN_TIME,
    IN_TIME_WITH_ENSEMBLE,
    LONG,
    OF_LONG,
    PAUSED_LONG,
    PROMPT,
    STILL,
    STOPPED,
    STUBBORN,
    STUBBORN_HOOKS,
    UNREADABLE,
    Scenario,
    of_two_leaders,
    policy,
    searched,
    with_hooks,
    with_stubborn,
)

SCENARIOS: Sequence[Scenario] = [
    Scenario("command ends", acts.command_ends, CLEAN),
    Scenario("supervisor TERM", followed(hit(SIGTERM, "supervisor")), CLEAN),
    *with_stubborn(
        Scenario("supervisor KILL", followed(hit(SIGKILL, "supervisor")), AT_ONCE),
        Scenario("supervisor STOP", followed(hit(SIGSTOP, "supervisor")), IN_TIME),
        Scenario("guard KILL", followed(hit(SIGKILL, "guard")), AT_ONCE, needs=("guard",)),
        Scenario("guard STOP", followed(hit(SIGSTOP, "guard")), IN_TIME, needs=("guard",)),
    ),
    # Of a command that has forked nobody would be left to end the rest: that is not promised.
    Scenario("both KILL", followed(hit(SIGKILL, "supervisor", "guard")), IN_TIME, needs=("guard",)),
    Scenario("host dies", followed(nemesis.host_dead), IN_TIME),
    *with_stubborn(
        Scenario("cut off", followed(cut("both")), IN_TIME),
        Scenario("cut off, one way in", followed(cut("in")), IN_TIME),
        Scenario("cut off, one way out", followed(cut("out")), IN_TIME),
        Scenario("rack with follower cut off", partial(ensemble_acts.rack, mode="follower"), IN_TIME),
        Scenario(
            "rack with ensemble's leader cut off", partial(ensemble_acts.rack, mode="leader"), IN_TIME_WITH_ENSEMBLE
        ),
    ),
    Scenario("leader's and first standby's hosts die", acts.two_hosts_die, Takeover(2 * (LEASE + 2))),
    *searched(
        Scenario("supervisor KILL", followed(hit(SIGKILL, "supervisor")), AT_ONCE, needs=("guard",)),
        Scenario("supervisor STOP", followed(hit(SIGSTOP, "supervisor")), IN_TIME, needs=("guard",)),
        Scenario("guard KILL", followed(hit(SIGKILL, "guard")), AT_ONCE, needs=("guard",)),
        Scenario("guard STOP", followed(hit(SIGSTOP, "guard")), IN_TIME, needs=("guard",)),
        Scenario("cut off", followed(cut("both")), IN_TIME, needs=("guard",)),
    ),
    *with_hooks(
        BRIEF_HOOKS,
        Scenario("command ends", acts.command_ends, CLEAN),
        Scenario("cut off", followed(cut("both")), IN_TIME),
        Scenario("host dies", followed(nemesis.host_dead), IN_TIME),
    ),
    *with_hooks(
        STUBBORN_HOOKS,
        Scenario("supervisor TERM", followed(hit(SIGTERM, "supervisor")), CLEAN),
        Scenario("supervisor KILL", followed(hit(SIGKILL, "supervisor")), AFTER_ON_LOST, needs=("guard",)),
        Scenario("supervisor STOP", followed(hit(SIGSTOP, "supervisor")), IN_TIME, needs=("guard",)),
        Scenario("guard KILL", followed(hit(SIGKILL, "guard")), AT_ONCE, needs=("guard",)),
        Scenario("guard STOP", followed(hit(SIGSTOP, "guard")), IN_TIME, needs=("guard",)),
        Scenario("rack with follower cut off", partial(ensemble_acts.rack, mode="follower"), IN_TIME),
    ),
    *with_hooks(
        ENDLESS_HOOKS,
        Scenario("supervisor STOP", followed(hit(SIGSTOP, "supervisor")), IN_TIME, needs=("guard",)),
        Scenario("cut off", followed(cut("both")), IN_TIME),
    ),
    Scenario("cut off, healed early", acts.healed_early, IN_TIME),
    Scenario("cut off, supervisor KILL", acts.killed_while_cut_off, IN_TIME),
    Scenario("cut off, supervisor TERM", acts.told_to_end_while_cut_off, IN_TIME),
    Scenario("deposed ensemble's leader resumes", partial(ensemble_acts.deposed, seconds=None), IN_TIME),
    Scenario(
        "deposed ensemble's leader resumes, long lease",
        partial(ensemble_acts.deposed, seconds=3.3),
        Undisturbed(),
        lease=20,
        grace=1,
    ),
    Scenario("candidate deleted", acts.leader_deleted, IN_TIME),
    *with_stubborn(
        Scenario("cut off, candidate deleted", partial(acts.deleted_during, fault=cut("both")), IN_TIME),
        Scenario(
            "supervisor STOP, candidate deleted",
            partial(acts.deleted_during, fault=hit(SIGSTOP, "supervisor")),
            IN_TIME,
        ),
    ),
    Scenario("standby's candidate deleted", acts.standby_deleted, Undisturbed()),
    Scenario(
        "record deleted",
        partial(ensemble_acts.operator_destroys, what="delete_record"),
        Takeover(LONGEST + 3),
        needs=("record",),
    ),
    Scenario(
        "record garbage",
        partial(ensemble_acts.operator_destroys, what="spoil_record"),
        Takeover(LONGEST + 3),
        needs=("record",),
    ),
    Scenario("election deleted", partial(ensemble_acts.operator_destroys, what="delete_election"), Unbounded()),
    Scenario("follower killed", partial(ensemble_acts.server_killed, mode="follower"), Undisturbed()),
    Scenario("ensemble's leader killed", partial(ensemble_acts.server_killed, mode="leader"), Undisturbed(), **OF_LONG),
    Scenario(
        "follower silent",
        partial(ensemble_acts.server_lost, mode="follower", fault=nemesis.server_silent),
        Undisturbed(),
    ),
    Scenario(
        "ensemble's leader silent",
        partial(ensemble_acts.server_lost, mode="leader", fault=nemesis.server_silent),
        Undisturbed(),
        **OF_LONG,
    ),
    Scenario(
        "follower frozen",
        partial(ensemble_acts.server_lost, mode="follower", fault=nemesis.server_frozen),
        Undisturbed(),
    ),
    Scenario("ensemble restarted", ensemble_acts.ensemble_restarted, Undisturbed(), lease=20, grace=1),
    Scenario("ensemble restarted one by one", ensemble_acts.ensemble_restarted_one_by_one, Undisturbed(), **OF_LONG),
    Scenario("quorum lost briefly", partial(ensemble_acts.quorum_lost, seconds=1.2, harm=0), Undisturbed()),
    Scenario(
        "quorum lost for long",
        partial(ensemble_acts.quorum_lost, seconds=LEASE + 4, harm=None),
        Takeover(LEASE + 2, after_healed=True),
    ),
    # A little shorter than the log says at the start that an outage may be.
    Scenario("outage as long as is told", ridden_out(cut("both"), LONG.ridden_out - 0.1), Undisturbed(), **OF_LONG),
    Scenario("flapping connections", ridden_out(nemesis.flapping, 8.0), Undisturbed()),
    Scenario(
        "half a second of latency",
        ridden_out(lambda play, leader: nemesis.slow(play, leader, 0.5), 8.0),
        Undisturbed(),
        lease=10,
        grace=1,
    ),
    Scenario(
        "mute server",
        partial(ensemble_acts.useless_server, kind=nemesis.mute_server),
        Undisturbed(),
        needs=("slow link",),
        **OF_LONG,
    ),
    Scenario(
        "black-holed server", partial(ensemble_acts.useless_server, kind=nemesis.black_hole), Undisturbed(), **OF_LONG
    ),
    Scenario("lossy network", ridden_out(nemesis.lossy, 10.0), Undisturbed(), **OF_LONG),
    Scenario("names forgotten", acts.names_forgotten, Undisturbed(), **OF_LONG),
    Scenario("busy", ridden_out(lambda play, _: nemesis.busy(play), 6.0), Undisturbed()),
    Scenario(
        "busy, cut off, stubborn",
        followed(lambda play, leader: nemesis.both(nemesis.busy(play), nemesis.cut_off(play, leader))),
        IN_TIME,
        witness=STUBBORN,
    ),
    Scenario("memory pressure", acts.memory_short, Undisturbed(), needs=("memory",)),
    Scenario(
        "supervisor without descriptors",
        partial(acts.without_descriptors, part="supervisor", then=nemesis.connections_broken),
        IN_TIME,
    ),
    Scenario(
        "guard without descriptors, stubborn",
        partial(acts.without_descriptors, part="guard", then=hit(SIGKILL, "supervisor")),
        IN_TIME,
        witness=STUBBORN,
        needs=("guard",),
    ),
    Scenario(
        "supervisor without descriptors, guard KILL, stubborn",
        partial(acts.without_descriptors, part="supervisor", then=hit(SIGKILL, "guard")),
        IN_TIME,
        witness=STUBBORN,
        needs=("guard",),
    ),
    *policy(
        "pause",
        *with_stubborn(
            Scenario("cut off", followed(cut("both")), IN_TIME._replace(still_after=STILL)),
            Scenario("supervisor STOP", followed(hit(SIGSTOP, "supervisor")), IN_TIME._replace(still_after=STILL)),
            Scenario("cut off, long enough to pause", ridden_out(cut("both"), 5.0), PAUSED_LONG, **OF_LONG),
        ),
        Scenario("cut off, healed early", acts.healed_early, IN_TIME._replace(still_after=STILL)),
        Scenario("cut off, supervisor KILL", acts.killed_while_cut_off, IN_TIME),
        Scenario("rack with follower cut off", partial(ensemble_acts.rack, mode="follower"), IN_TIME),
        Scenario("supervisor KILL", followed(hit(SIGKILL, "supervisor")), AT_ONCE),
        Scenario("guard KILL", followed(hit(SIGKILL, "guard")), AT_ONCE),
        Scenario(
            "supervisor STOP, long enough to pause",
            ridden_out(hit(SIGSTOP, "supervisor"), 5.0),
            PAUSED_LONG,
            **OF_LONG,
        ),
        Scenario("quorum lost briefly", partial(ensemble_acts.quorum_lost, seconds=1.2, harm=0), Undisturbed()),
        Scenario("flapping connections", ridden_out(nemesis.flapping, 8.0), Undisturbed()),
        Scenario(
            "ensemble's leader killed", partial(ensemble_acts.server_killed, mode="leader"), Undisturbed(), **OF_LONG
        ),
        Scenario("busy", ridden_out(lambda play, _: nemesis.busy(play), 6.0), Undisturbed()),
    ),
    *policy(
        "stop",
        *with_stubborn(
            Scenario("cut off", followed(cut("both")), IN_TIME._replace(still_after=STOPPED)),
            Scenario(
                "supervisor STOP",
                followed(hit(SIGSTOP, "supervisor")),
                Takeover(STOPPED + AT_ONCE.within, still_after=STOPPED),
            ),
            # It goes on to another server at once, and releases there.
            Scenario(
                "connections break",
                followed(nemesis.connections_broken),
                Takeover(GRACE + AT_ONCE.within, still_after=GRACE + PROMPT),
            ),
        ),
        Scenario(
            "cut off, healed early",
            partial(acts.healed_early, after=0.6),
            IN_TIME._replace(still_after=STOPPED),
        ),
        Scenario(
            "ensemble's leader killed",
            partial(ensemble_acts.server_killed, mode="leader"),
            IN_TIME_WITH_ENSEMBLE,
            **OF_LONG,
        ),
        Scenario("busy", ridden_out(lambda play, _: nemesis.busy(play), 6.0), Undisturbed()),
    ),
    Scenario("disk full", acts.disk_full, CLEAN),
    Scenario("log unread, supervisor KILL", acts.log_unread, AT_ONCE),
    Scenario("standby cut off", partial(acts.standby_hit, fault=nemesis.cut_off), Undisturbed()),
    Scenario("standby's host dies", partial(acts.standby_hit, fault=nemesis.host_dead), Undisturbed()),
    Scenario("first in line frozen", acts.frozen_first_in_line, Takeover(LEASE + 2)),
    Scenario("mixed leases, leader's longer", partial(acts.mixed_leases, leader=8, standby=3), Takeover(10)),
    Scenario("mixed leases, leader's shorter", partial(acts.mixed_leases, leader=4, standby=10), Takeover(6)),
    Scenario("wall clocks stepped", partial(acts.clocks_stepped, cut_off=False), Undisturbed(), needs=CLOCK),
    Scenario(
        "wall clocks stepped, cut off", partial(acts.clocks_stepped, cut_off=True), IN_TIME, needs=("wall clock",)
    ),
    *of_two_leaders(
        Scenario("command ends", acts.command_of_one_ends, CLEAN),
        Scenario("supervisor KILL, stubborn", followed(hit(SIGKILL, "supervisor")), AT_ONCE, witness=STUBBORN),
        Scenario("supervisor STOP", followed(hit(SIGSTOP, "supervisor")), IN_TIME),
        Scenario("host dies", followed(nemesis.host_dead), IN_TIME),
        Scenario("cut off, stubborn", followed(cut("both")), IN_TIME, witness=STUBBORN),
        Scenario("standby cut off", partial(acts.standby_hit, fault=nemesis.cut_off), Undisturbed()),
        Scenario("ensemble's leader killed", ensemble_acts.ensembles_leader_killed, Undisturbed(), **OF_LONG),
        Scenario(
            "record deleted",
            partial(ensemble_acts.operator_destroys, what="delete_record"),
            UNREADABLE,
            needs=("record",),
        ),
        Scenario(
            "record garbage",
            partial(ensemble_acts.operator_destroys, what="spoil_record"),
            UNREADABLE,
            needs=("record",),
        ),
    ),
]

SHORT = frozenset(
    {
        "command ends",
        "supervisor KILL, stubborn",
        "host dies",
        "cut off, one way out, stubborn",
        "cut off, candidate deleted, stubborn",
        "rack with follower cut off, stubborn",
        "rack with ensemble's leader cut off",
        "deposed ensemble's leader resumes, long lease",
        "candidate deleted",
        "cut off, stubborn, pause",
        "supervisor STOP, stop",
        "ensemble's leader killed",
        "half a second of latency",
        "black-holed server",
        "guard without descriptors, stubborn",
        "first in line frozen",
        "wall clocks stepped, cut off",
        "two leaders: command ends",
        "two leaders: cut off, stubborn",
    }
)
"""Those of the short form: what only hosts of their own show, one of each kind."""

assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
assert {scenario.name for scenario in SCENARIOS} >= SHORT
