"""What is played to the ensemble and what it keeps: servers die, freeze, fall silent, and an operator deletes.

As in `acts`, what has to follow the scenario says.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from campaign import nemesis
from campaign.acts import LONGEST
from campaign.play import CALM, Play

ServerFault = Callable[[Play, Any], AbstractContextManager[object]]


def ensembles_leader_killed(play: Play) -> None:
    """Kill the ensemble's leader, whoever is connected to it, and start it again."""
    play.lead()
    with nemesis.servers_killed(play, [play.stage.servers.leader()]):
        play.hold(2.0)
    play.hold(min(play.lease, 5.0))


def rack(play: Play, *, mode: str) -> None:
    """Part the leader and the server that it talks to from the rest; that server is of this kind."""
    server = play.stage.servers.leader() if mode == "leader" else play.stage.servers.followers()[0]
    with nemesis.directed(play, "a", server):
        leader = play.start_leader("a")
    play.start_standby("b")
    with nemesis.rack_cut_off(play, leader, server):
        play.wait_takeover()
        play.hold(CALM)
    play.wait_ended(leader)
    play.hold(CALM)


def deposed(play: Play, *, seconds: float | None) -> None:
    """Freeze the ensemble's leader, to which ours is connected, until another is elected; then let it go on."""
    server = play.stage.servers.leader()
    with nemesis.directed(play, "a", server):
        leader = play.start_leader("a")
    play.start_standby("b")
    with nemesis.servers_frozen(play, [server], harm=None):
        if seconds is None:
            play.wait_takeover()
            play.hold(CALM)
        else:
            play.hold(seconds)
    play.wait_ended(leader, 1.0)
    play.hold(min(play.lease, 5.0))


def server_killed(play: Play, *, mode: str) -> None:
    """Kill the server that the leader is connected to, and start it again."""
    server = play.stage.servers.leader() if mode == "leader" else play.stage.servers.followers()[0]
    with nemesis.directed(play, "a", server):
        play.start_leader("a")
    play.start_standby("b")
    with nemesis.servers_killed(play, [server]):
        play.hold(2.0)
    play.hold(min(play.lease, 5.0))


def quorum_lost(play: Play, *, seconds: float, harm: float | None) -> None:
    play.lead()
    with nemesis.servers_frozen(play, play.stage.servers.followers(), harm, until_served=harm is None):
        play.hold(seconds)
    if harm == 0:
        play.hold(play.lease)
    else:
        play.wait_takeover()
        play.hold(CALM)


def server_lost(play: Play, *, mode: str, fault: ServerFault) -> None:
    """The server that the leader is connected to answers no more, and nobody is told."""
    server = play.stage.servers.leader() if mode == "leader" else play.stage.servers.followers()[0]
    with nemesis.directed(play, "a", server):
        play.start_leader("a")
    play.start_standby("b")
    with fault(play, server):
        play.hold(play.lease + 1)
    play.hold(CALM)


def ensemble_restarted(play: Play) -> None:
    play.lead()
    with nemesis.servers_killed(play, list(play.stage.servers)):
        play.hold(0.2)
    play.stage.servers.start_all()
    play.hold(5.0)


def ensemble_restarted_one_by_one(play: Play) -> None:
    """As an upgrade does it; the ensemble's leader comes last."""
    play.lead()
    servers = play.stage.servers
    for server in [*servers.followers(), servers.leader()]:
        with play.fault(f"{server.place.address} ({server.mode()}) is restarted", harm=0):
            server.stop()
            servers.start_all()
    play.hold(5.0)


def useless_server(play: Play, *, kind: Callable[[Play], AbstractContextManager[str]]) -> None:
    """One of the servers is none: candidates get past it when they start, and when their server dies."""
    with kind(play) as address:
        servers = f"{address},{play.stage.servers.hosts}"
        leader = play.start_leader("a", servers=servers)
        play.start_standby("b", servers=servers)
        server = play.stage.server_at(leader.peers())
        assert server is not None
        with nemesis.servers_killed(play, [server]):
            play.hold(2.0)
        play.hold(min(play.lease, 5.0))


def operator_destroys(play: Play, *, what: str) -> None:
    """Wait until the longest lease has been waited out: who led, nobody can know any more."""
    leader, _ = play.lead()
    destroy = getattr(play.stage.operator, what)  # only its name: not every ensemble has a record that can be deleted
    with play.fault(f"an operator: {destroy.__name__}", harm=LONGEST + 3):
        destroy(play.election)
    play.wait_ended(leader)
    play.wait_takeover(LONGEST + 10)
    play.hold(CALM)
