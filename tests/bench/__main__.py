"""The figures, side by side in one run with `peer_kazoo.py`, which does the same with kazoo's Election and Popen.

    tests/setup && .venv/bin/python tests/bench [--rounds N] [--only FIGURE]...

Both are run alternately against one real server, so that a slow moment of the machine hits both. Nothing here passes or
fails: times are for people to judge. What is measured:

start     process start to the first instruction of COMMAND (`date`, which costs a millisecond itself)
handover  last act of the old COMMAND, which then ends by itself, to the first act of the next candidate's
kill      kill -9 of the supervisor at a lease of 20 s: last act of the old COMMAND to the first of the next candidate's
loss      an operator's delete of the leader's candidate returns, to COMMAND receiving SIGTERM (before it: negative)

`date` gives the wall clock; the run says so when that was stepped meanwhile. In kill and loss COMMAND is the witness of
the tests, on CLOCK_MONOTONIC; the 15 to 20 ms that a Python needs to start are part of kill's figure.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# The tests directory is no package: its modules are found by its path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import witness
from kazoo.client import KazooClient
from program import Program
from waiting import wait_until
from zookeeper import Server

PEER = Path(__file__).with_name("peer_kazoo.py")
FIRST_ACT = ("date", "+%s%N")
# The end of its standard input is what ends the old command: the benchmark says when.
LAST_ACT = ("sh", "-c", "date +%s%N; read line; date +%s%N")
SETTLE = 0.5  # seconds for a new candidate to have read and watched everything, and to have started what it will need
ORPHAN_SHOWS = 0.1  # seconds, of which the witness needs two thousandths
MS = 1_000_000
CANDIDATE = re.compile(r"\d{10}$")
LEASE = "20s"  # kazoo's session timeout in the peer is the same


class Bench:
    """A server, an operator, and the two programs that are compared."""

    def __init__(self, hosts: str, operator: KazooClient, directory: Path) -> None:
        self.hosts = hosts
        self.operator = operator
        self.directory = directory

    def ours(self, path: str, *command: str, stdin: int = subprocess.DEVNULL) -> Program:
        options = ("-z", self.hosts, "-e", path, "--lease", LEASE)
        return Program("run", *options, "--", *command, stdin=stdin, bound=False)

    def peer(self, path: str, *command: str, stdin: int = subprocess.DEVNULL) -> Program:
        return Program(self.hosts, path, *command, command=(sys.executable, str(PEER)), stdin=stdin, bound=False)

    def candidates(self, path: str) -> list[str]:
        """Return the candidates in a path, in order of their numbers; the lease records are none."""
        if not self.operator.exists(path):
            return []
        found = [name for name in self.operator.get_children(path) if CANDIDATE.search(name)]
        return sorted(found, key=lambda name: int(name[-10:]))

    def wait_for_candidates(self, path: str, number: int) -> list[str]:
        return wait_until(
            lambda: found if len(found := self.candidates(path)) == number else None,
            what=f"{number} candidates",
        )

    def witness(self, name: str) -> tuple[Path, tuple[str, ...]]:
        """Return a file and the command line of a witness that writes to it."""
        file = self.directory / f"{name}-{uuid.uuid4().hex[:8]}"
        return file, (sys.executable, "-I", "-S", witness.__file__, str(file), "--token", name)


Start = Callable[..., Program]


def fresh_path() -> str:
    return f"/bench/{uuid.uuid4().hex[:12]}"


def beats_of(file: Path) -> list[witness.Beat]:
    return witness.read_beats(file.read_text().splitlines(keepends=True)) if file.exists() else []


def start(_bench: Bench, run: Start, path: str) -> float:
    """One path for all rounds: an election that exists is the common case."""
    began = time.time_ns()
    with run(path, *FIRST_ACT) as program:
        program.wait()
        return (int(program.stdout[0]) - began) / MS


def handover(bench: Bench, run: Start, _path: str) -> float:
    path = fresh_path()
    with run(path, *LAST_ACT, stdin=subprocess.PIPE) as old:
        old.wait_for(r"\d", stream="stdout")
        with run(path, *FIRST_ACT) as new:
            bench.wait_for_candidates(path, 2)
            time.sleep(SETTLE)
            assert old.popen.stdin is not None
            old.popen.stdin.close()
            new.wait()
            old.wait()
            return (int(new.stdout[0]) - int(old.stdout[-1])) / MS


def kill(bench: Bench, run: Start, _path: str) -> float:
    """The peer's command outlives its supervisor, so its last act is taken for the kill: it should have been."""
    path = fresh_path()
    old_file, old_command = bench.witness("1")
    new_file, new_command = bench.witness("2")
    with run(path, *old_command) as old:
        wait_until(lambda: beats_of(old_file), what="the old command's beats")
        with run(path, *new_command):
            bench.wait_for_candidates(path, 2)
            time.sleep(SETTLE)
            old.popen.kill()
            killed_at = time.monotonic_ns()
            first = wait_until(lambda: beats_of(new_file), deadline=60, what="the new command's beats")[0]
            # An old command that lives has its next beat within a few milliseconds: only then is its last one known.
            time.sleep(ORPHAN_SHOWS)
            last = beats_of(old_file)[-1]
            return (first.at_ns - (killed_at if last.at_ns >= first.at_ns else last.at_ns)) / MS


def loss(bench: Bench, run: Start, _path: str) -> float:
    """Infinity when COMMAND is not told within two seconds."""
    path = fresh_path()
    file, command = bench.witness("1")
    with run(path, *command):
        wait_until(lambda: beats_of(file), what="the command's beats")
        time.sleep(SETTLE)
        (candidate,) = bench.candidates(path)
        bench.operator.delete(f"{path}/{candidate}")
        deleted_at = time.monotonic_ns()
        try:
            told = wait_until(lambda: [beat for beat in beats_of(file) if beat.terminated], deadline=2, what="SIGTERM")
        except AssertionError:
            return float("inf")
        return (told[0].at_ns - deleted_at) / MS


# Figure -> (how, rounds of ours, rounds of the peer's): few where a round costs a session timeout or never differs.
FIGURES: dict[str, tuple[Callable[[Bench, Start, str], float], int, int]] = {
    "start": (start, 21, 21),
    "handover": (handover, 11, 11),
    "kill": (kill, 5, 1),
    "loss": (loss, 21, 1),
}


def measure(bench: Bench, figure: str, rounds: int | None) -> tuple[list[float], list[float]]:
    """Return the milliseconds of our rounds and of the peer's, taken alternately."""
    take, ours_rounds, peer_rounds = FIGURES[figure]
    if rounds is not None:
        ours_rounds, peer_rounds = rounds, min(rounds, peer_rounds)
    paths = fresh_path(), fresh_path()
    if figure == "start":
        # The first run of each fills the caches and creates the election.
        take(bench, bench.ours, paths[0])
        take(bench, bench.peer, paths[1])
    ours: list[float] = []
    peers: list[float] = []
    for turn in range(max(ours_rounds, peer_rounds)):
        print(f"\r{figure}: round {turn + 1} ", end="", file=sys.stderr, flush=True)
        if turn < ours_rounds:
            ours.append(take(bench, bench.ours, paths[0]))
        if turn < peer_rounds:
            peers.append(take(bench, bench.peer, paths[1]))
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return ours, peers


def row(figure: str, ours: list[float], peers: list[float]) -> str:
    """Return a line of the table. p99 is the greatest value as long as there are fewer than a hundred."""

    def shown(milliseconds: float) -> str:
        return "never" if milliseconds == float("inf") else f"{milliseconds:.1f}"

    middle, middle_peer = statistics.median(ours), statistics.median(peers)
    ratio = f"{middle / middle_peer:.2f}" if 0 < middle_peer < float("inf") else "-"
    columns = [len(ours), shown(middle), shown(p99(ours)), len(peers), shown(middle_peer), shown(p99(peers)), ratio]
    return f"{figure:<10}" + "".join(f"{column:>10}" for column in columns)


def p99(values: list[float]) -> float:
    """Return the 99th percentile by nearest rank."""
    return sorted(values)[-(-99 * len(values) // 100) - 1]


@contextmanager
def operator_of(server: Server) -> Iterator[KazooClient]:
    client = KazooClient(hosts=server.hosts)
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="figures beside a script with kazoo's Election")
    parser.add_argument("--rounds", type=int, help="this many of each, fewer where the peer needs fewer")
    parser.add_argument("--only", action="append", choices=list(FIGURES), help="only this figure; may be repeated")
    arguments = parser.parse_args()
    clocks_apart = time.time_ns() - time.monotonic_ns()
    with (
        Server() as server,
        operator_of(server) as operator,
        tempfile.TemporaryDirectory(prefix="zkleader-bench-") as directory,
    ):
        bench = Bench(server.hosts, operator, Path(directory))
        print(f"milliseconds; lease and session timeout {LEASE}; one real server; Python {sys.version.split()[0]}")
        names = ["figure", "n", "zkleader", "p99", "n", "kazoo", "p99", "ratio"]
        print(f"{names[0]:<10}" + "".join(f"{name:>10}" for name in names[1:]))
        for figure in arguments.only or FIGURES:
            print(row(figure, *measure(bench, figure, arguments.rounds)), flush=True)
    if abs(time.time_ns() - time.monotonic_ns() - clocks_apart) > MS:
        print("the wall clock was changed by more than a millisecond meanwhile: start and handover may be wrong")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
