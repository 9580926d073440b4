"""What is done to candidates, hosts and servers. Each is a context: the fault lasts from entering to leaving.

Every fault is written down as it begins and as it ends. A fault whose effect cannot be undone (a kill, a deletion) ends
at once. None of them waits for anything to follow: that is the scenario's. `harm` is what a fault may cost at most:
seconds after its end in which a leader may be lost or missing by it, 0 for one that has to be ridden out; left out, the
lease and two seconds.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import processes
from daemon import Daemon
from processes import bound_to_us

from campaign.candidate import Candidate
from campaign.hosts import LOSE_SOME, RESET
from campaign.play import Play
from campaign.stage import HOLE, MUTE
from campaign.wall_clock import WallClock

BUSY_PER_CORE = 4
FLAP_INTERVAL = 0.3  # seconds

# Processes of a candidate. -------------------------------------------------------------------------------------------


@contextmanager
def signalled(
    play: Play, candidate: Candidate, number: signal.Signals, *parts: str, harm: float | None = None
) -> Iterator[None]:
    """Signal parts of a candidate at once; what was stopped goes on in the end."""
    pids = candidate.processes_of(*parts)
    descriptors = [os.pidfd_open(pid) for pid in pids]  # a pid may change hands meanwhile
    try:
        with play.fault(f"{number.name} to {candidate}'s {' and '.join(parts)}", candidate.name, harm) as healing:
            for descriptor in descriptors:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            yield
            if number == signal.SIGSTOP:
                healing()
                for descriptor in descriptors:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(descriptor, signal.SIGCONT)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextmanager
def host_dead(play: Play, candidate: Candidate, harm: float | None = None) -> Iterator[None]:
    """Kill every process of a candidate's at once, as when its host dies."""
    with play.fault(f"{candidate}'s host dies", candidate.name, harm):
        candidate.program.die_as_host()
        yield


@contextmanager
def command_killed(play: Play, candidate: Candidate, harm: float | None = None) -> Iterator[None]:
    """Kill one process of its command's: the first, or one that this has started."""
    with play.fault(f"SIGKILL to a process of {candidate}'s command", candidate.name, harm):
        for pid in candidate.program.command_pids()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        yield


@contextmanager
def without_descriptors(play: Play, candidate: Candidate, part: str, harm: float | None = 0) -> Iterator[None]:
    """Let a part of a candidate open nothing more, also not in place of a connection that it loses."""
    (pid,) = candidate.processes_of(part)
    with (
        play.fault(f"{candidate}'s {part} has no file descriptor left", candidate.name, harm),
        processes.without_descriptors(pid, losing=candidate.connections(pid)),
    ):
        yield


# The network. --------------------------------------------------------------------------------------------------------


@contextmanager
def cut_off(play: Play, candidate: Candidate, way: str = "both", harm: float | None = None) -> Iterator[None]:
    """Lose what a candidate's host sends ("out"), what it is sent ("in"), or both."""
    network, host = play.stage.network, candidate.host
    with ExitStack() as stack:
        healing = stack.enter_context(play.fault(f"{candidate} is cut off, {way}", candidate.name, harm))
        if way in ("both", "out"):
            stack.enter_context(network.cut([host], network))
        if way in ("both", "in"):
            stack.enter_context(network.cut(network, [host]))
        stack.callback(healing)
        yield


@contextmanager
def rack_cut_off(play: Play, candidate: Candidate, server: Daemon, harm: float | None = None) -> Iterator[None]:
    """Part a candidate and a server, which see each other, from all others."""
    network = play.stage.network
    with (
        play.fault(f"{candidate} and {server.place.address}, {server.mode()}, are cut off together", harm=harm),
        network.parted(candidate.host, play.stage.host_of(server)),
    ):
        yield


@contextmanager
def connections_broken(play: Play, candidate: Candidate, harm: float | None = None) -> Iterator[None]:
    """Break a candidate's connections once; it may connect again."""
    before = candidate.local_ports()
    with play.fault(f"{candidate}'s connections break", candidate.name, harm):
        candidate.host.break_connections()
        assert not before & candidate.local_ports(), "the kernel does not end connections (CONFIG_INET_DIAG_DESTROY)"
        yield


@contextmanager
def flapping(play: Play, candidate: Candidate, harm: float = 0) -> Iterator[None]:
    """Break a candidate's connections again and again, some hundred milliseconds apart."""
    is_over = threading.Event()

    def flap() -> None:
        while not is_over.wait(FLAP_INTERVAL):
            candidate.host.break_connections()

    thread = threading.Thread(target=flap)
    with play.fault(f"{candidate}'s connections break every {FLAP_INTERVAL:g} s", candidate.name, harm):
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


@contextmanager
def slow(play: Play, candidate: Candidate, seconds: float, harm: float = 0) -> Iterator[None]:
    """Have everything between a candidate and the others take so long for the way there and back."""
    with (
        play.fault(f"{seconds:g} s of latency at {candidate}", candidate.name, harm),
        play.stage.network.slowed(candidate.host, seconds / 2),
    ):
        yield


@contextmanager
def lossy(play: Play, candidate: Candidate, harm: float = 0) -> Iterator[None]:
    """Lose a fifth of what a candidate's host sends and is sent."""
    network, host = play.stage.network, candidate.host
    with (
        play.fault(f"a fifth of {candidate}'s packets is lost", candidate.name, harm),
        network.cut([host], network, LOSE_SOME),
        network.cut(network, [host], LOSE_SOME),
    ):
        yield


@contextmanager
def directed(play: Play, name: str, server: Daemon) -> Iterator[None]:
    """Have what is started on a host meanwhile connect to this server: the others refuse it. This is no fault."""
    others = [play.stage.host_of(other) for other in play.stage.servers if other is not server]
    with play.stage.network.cut([play.stage.network[name]], others, RESET):
        yield


@contextmanager
def mute_server(play: Play) -> Iterator[str]:
    """Give a server that takes connections and never answers, as "address:port"."""
    host = play.stage.network[MUTE]
    with host.entered():
        listener = socket.create_server((host.address, 2181), backlog=100)
    with listener, play.fault("a server takes connections and never answers", harm=0):
        yield f"{host.address}:2181"


@contextmanager
def black_hole(play: Play) -> Iterator[str]:
    """Give a server that swallows every packet, as "address:port"."""
    network = play.stage.network
    with play.fault("a server is a black hole", harm=0), network.cut(network, [network[HOLE]]):
        yield f"{network[HOLE].address}:2181"


@contextmanager
def server_silent(play: Play, server: Daemon) -> Iterator[None]:
    """Let a server's host fall silent: whoever is connected to it is not told."""
    with (
        play.fault(f"{server.place.address}, {server.mode()}, falls silent", harm=0),
        play.stage.network.parted(play.stage.host_of(server)),
    ):
        yield


# The ensemble. -------------------------------------------------------------------------------------------------------


@contextmanager
def servers_killed(play: Play, servers: Sequence[Daemon], harm: float | None = 0) -> Iterator[None]:
    """Kill members of the ensemble, and start them again in the end."""
    with play.fault(f"{_names(servers)} killed", harm=harm):
        for server in servers:
            server.kill()
        yield
        for server in servers:
            server.start(wait=False)


@contextmanager
def servers_frozen(
    play: Play, servers: Sequence[Daemon], harm: float | None = 0, *, until_served: bool = False
) -> Iterator[None]:
    """Stop members of the ensemble with all that they have in mind, and let them go on in the end.

    Until served: it lasts until the ensemble has a leader again, who may need more than one vote.
    """
    with play.fault(f"{_names(servers)} frozen", harm=harm):
        for server in servers:
            server.pause()
        yield
        for server in servers:
            server.resume()
        if until_served:
            play.stage.servers.leader()


def server_frozen(play: Play, server: Daemon) -> AbstractContextManager[None]:
    """The same for one."""
    return servers_frozen(play, [server])


def _names(servers: Sequence[Daemon]) -> str:
    return " and ".join(f"{server.place.address} ({server.mode()})" for server in servers)


# The host. -----------------------------------------------------------------------------------------------------------


@contextmanager
def busy(play: Play, harm: float = 0) -> Iterator[None]:
    """Run four processes a core that do nothing but compute."""
    number = BUSY_PER_CORE * (os.cpu_count() or 1)
    line = bound_to_us(sys.executable, "-I", "-S", "-c", "while True: pass")
    with play.fault(f"{number} busy processes", harm=harm), ExitStack() as stack:
        for _ in range(number):
            hog = stack.enter_context(subprocess.Popen(line))  # left, it is waited for
            stack.callback(hog.kill)
        yield


@contextmanager
def disk_full(play: Play, candidate: Candidate) -> Iterator[None]:
    """Fill the little disk of a candidate to the last byte."""
    filler = f"/proc/{candidate.pid}/root{candidate.directory}/filler"
    with play.fault(f"{candidate}'s disk is full", candidate.name, harm=0):
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(b"x" * 512):
                pass
        assert os.statvfs(filler).f_bavail == 0
        yield


@contextmanager
def both(one: AbstractContextManager[object], other: AbstractContextManager[object]) -> Iterator[None]:
    """Do two faults at once."""
    with one, other:
        yield


@contextmanager
def clock_stepped(play: Play, candidate: Candidate, clock: WallClock, seconds: int) -> Iterator[None]:
    """Step a candidate's wall clock, and back in the end."""
    with play.fault(f"{candidate}'s wall clock is stepped by {seconds:+d} s", candidate.name, harm=0):
        clock.step(seconds)
        yield
        clock.step(0)


# An operator. --------------------------------------------------------------------------------------------------------


@contextmanager
def candidate_deleted(play: Play, rank: int, owner: Candidate, harm: float | None = None) -> Iterator[None]:
    """Delete the candidate of this rank, which is this one's."""
    with play.fault(f"an operator deletes {owner}'s candidate", owner.name, harm):
        play.stage.operator.delete_candidate(play.election, rank)
        yield
