"""What is played in a scenario: who is started, what is done to whom and when, and what is waited for.

Two kinds cover most: a leader that must be followed in time, and one that must ride it out. What has to follow, an act
does not say; the scenario does.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from signal import SIGKILL, SIGSTOP, SIGTERM

from campaign import memory, nemesis, wall_clock, wrappers
from campaign.candidate import Candidate
from campaign.play import CALM, Play

LONGEST = 60.0
"""Seconds: the longest lease that there may be, which is waited out when the record tells none."""

Act = Callable[[Play], None]
Fault = Callable[[Play, Candidate], AbstractContextManager[object]]


def followed(fault: Fault) -> Act:
    """Return a play in which the next one must take over, and the fault is healed only after that."""

    def act(play: Play) -> None:
        leader, _ = play.lead()
        with fault(play, leader):
            play.wait_takeover()
            play.hold(CALM / 2)
        play.wait_ended(leader)
        play.hold(CALM)

    return act


def ridden_out(fault: Fault, seconds: float) -> Act:
    """Return a play in which the leader must go on, during the fault and for a lease after it."""

    def act(play: Play) -> None:
        leader, _ = play.lead()
        with fault(play, leader):
            play.hold(seconds)
        play.hold(min(play.lease, 5.0))

    return act


def hit(number: int, *parts: str) -> Fault:
    """Return a fault: a signal to parts of the leader."""
    return lambda play, leader: nemesis.signalled(play, leader, number, *parts)


def cut(way: str) -> Fault:
    return lambda play, leader: nemesis.cut_off(play, leader, way)


# Plays that are neither. ---------------------------------------------------------------------------------------------


def command_ends(play: Play) -> None:
    end = play.directory / "end"
    leader = play.start_leader("a", witness=("--until", str(end)))
    play.start_standby("b")
    with play.fault("the command ends by itself", "a"):
        end.touch()
        play.wait_takeover()
    play.wait_ended(leader)
    play.hold(CALM)


def command_of_one_ends(play: Play) -> None:
    """Of several leaders the command of the first ends."""
    end = play.directory / "end"
    leader = play.start_leader("a", witness=("--until", str(end)))
    play.start_leader("b")
    play.start_standby("c")
    play.start_standby("d")
    with play.fault("the command ends by itself", "a"):
        end.touch()
        play.wait_takeover()
    play.wait_ended(leader)
    play.hold(CALM)


def healed_early(play: Play, *, after: float = 0.8) -> None:
    """Heal after so many leases: when the command has been stopped, and before the lease is over."""
    leader, _ = play.lead()
    with nemesis.cut_off(play, leader):
        play.hold(play.lease * after)
    play.wait_takeover()
    play.wait_ended(leader)
    play.hold(CALM)


def killed_while_cut_off(play: Play) -> None:
    """The guard cannot release for its supervisor."""
    leader, _ = play.lead()
    with nemesis.cut_off(play, leader), hit(SIGKILL, "supervisor")(play, leader):
        play.wait_takeover()
        play.hold(CALM)
    play.hold(CALM)


def standby_hit(play: Play, *, fault: Callable[[Play, Candidate], AbstractContextManager[object]]) -> None:
    """What befalls a standby disturbs nobody."""
    _, standby = play.lead()
    with fault(play, standby):
        play.hold(play.lease + 1)
    play.hold(CALM)


def standby_deleted(play: Play) -> None:
    _, standby = play.lead()
    with nemesis.candidate_deleted(play, 1, standby):
        play.hold(2.0)


def frozen_first_in_line(play: Play) -> None:
    """The next in line does not run when its turn comes, and comes back when somebody else leads."""
    leader, first = play.lead()
    play.start_standby("c")
    with nemesis.signalled(play, first, SIGSTOP, *play.parts()):
        with nemesis.signalled(play, leader, SIGTERM, "supervisor"):
            play.wait_takeover()
        play.hold(CALM)
    play.hold(2.0)


def two_hosts_die(play: Play) -> None:
    """The second in line has two sessions to wait for, and looks at the record from the beginning."""
    leader, first = play.lead()
    play.start_standby("c")
    with nemesis.host_dead(play, leader), nemesis.host_dead(play, first):
        play.wait_takeover()
    play.hold(CALM)


def mixed_leases(play: Play, *, leader: float, standby: float) -> None:
    """It is the dead leader's lease that is waited out, not one's own."""
    first = play.start_leader("a", lease=leader)
    play.start_standby("b", lease=standby)
    with nemesis.host_dead(play, first):
        play.wait_takeover()
    play.hold(CALM)


def leader_deleted(play: Play) -> None:
    leader, _ = play.lead()
    with nemesis.candidate_deleted(play, 0, leader):
        play.wait_takeover()
    play.wait_ended(leader)
    play.hold(CALM)


def deleted_during(play: Play, *, fault: Fault) -> None:
    """Delete the candidate of a leader that cannot know it: nothing but its lease is left to wait for."""
    leader, _ = play.lead()
    with fault(play, leader), nemesis.candidate_deleted(play, 0, leader):
        play.wait_takeover()
        play.hold(CALM / 2)
    play.wait_ended(leader)
    play.hold(CALM)


def clocks_stepped(play: Play, *, cut_off: bool) -> None:
    """The leader's clock goes back by an hour and the standby's ahead, which would make a lease look over."""
    clocks = [wall_clock.WallClock(play.directory / f"{name}.clock") for name in ("a", "b")]
    leader = play.start_leader("a", env=clocks[0].env)
    standby = play.start_standby("b", env=clocks[1].env)
    with ExitStack() as faults:
        faults.enter_context(nemesis.clock_stepped(play, leader, clocks[0], -wall_clock.HOUR))
        faults.enter_context(nemesis.clock_stepped(play, standby, clocks[1], wall_clock.HOUR))
        if cut_off:
            with nemesis.cut_off(play, leader):
                play.wait_takeover()
                play.hold(CALM)
            play.wait_ended(leader)
        else:
            play.hold(play.lease)
    play.hold(CALM if cut_off else play.lease)


def memory_short(play: Play) -> None:
    group = memory.ShortMemory()
    play.stack.callback(group.close)
    play.start_leader("a", wrapper=group.wrapper)
    play.start_standby("b", wrapper=group.wrapper)
    with play.fault("somebody takes all memory, again and again", harm=0):
        group.press()
        play.hold(6.0)
        group.relieve()
        assert group.kills > 0, "memory was never short"
    play.hold(CALM)


def disk_full(play: Play) -> None:
    """Log and result are on a full disk; a private mount of the candidate's, which goes with it."""
    leader = play.start_leader(
        "a", *play.tool.result_options("result"), wrapper=wrappers.small_disk(play.directory / "a.cwd")
    )
    play.start_standby("b")
    with nemesis.disk_full(play, leader):
        play.hold(play.lease)
        with nemesis.signalled(play, leader, SIGTERM, "supervisor"):
            play.wait_takeover()
        play.wait_ended(leader)
    play.hold(CALM)


def log_unread(play: Play) -> None:
    leader = play.start_leader("a", wrapper=wrappers.unread_log())
    play.start_standby("b")
    play.hold(play.lease)
    with nemesis.signalled(play, leader, SIGKILL, "supervisor"):
        play.wait_takeover()
    play.hold(CALM)


def names_forgotten(play: Play) -> None:
    """Every reconnect looks names up; the servers themselves are there all the time."""
    names = wrappers.Names(play)
    leader = play.start_leader("a", servers=names.servers, wrapper=names.wrapper)
    play.start_standby("b")
    with names.forgotten(play), nemesis.connections_broken(play, leader, harm=0):
        play.hold(play.lease + 1)
    play.hold(CALM)


def told_to_end_while_cut_off(play: Play) -> None:
    """It cannot release; it has to end all the same."""
    leader, _ = play.lead()
    with nemesis.cut_off(play, leader), hit(SIGTERM, "supervisor")(play, leader):
        play.wait_takeover()
        play.hold(CALM)
    play.wait_ended(leader)
    play.hold(CALM)


def without_descriptors(play: Play, *, part: str, then: Fault) -> None:
    leader, _ = play.lead()
    with nemesis.without_descriptors(play, leader, part):
        play.hold(CALM)
        with then(play, leader):
            play.wait_takeover()
            play.hold(CALM / 2)
    play.wait_ended(leader)
    play.hold(CALM)
