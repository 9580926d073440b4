"""Figures of time: of each tool, taken in turns, so that a slow moment of the machine hits all of them.

Owns how each is taken. Knows nothing of how they are shown.

start        process start to the first instruction of COMMAND (`date`, which costs a millisecond itself)
start-cpu    what a whole run with `true` for its COMMAND costs of processors, the guard's and COMMAND's share included
help         `--help`, and version: `--version`, from process start to end; held against the start of the others
handover     last act of the old COMMAND, which then ends by itself, to the first act of the next candidate's; held also
             against the least that it can be: two commits, as an operator who sets a znode twice measures them
kill         kill -9 of the supervisor: last act of the old COMMAND to the first of the next candidate's
loss         an operator's delete of the leader's candidate returns, to COMMAND receiving SIGTERM (before it: negative)
loss-busy    the same with two busy processes a core

`date` gives the wall clock. In kill and loss COMMAND is the witness of the tests, on CLOCK_MONOTONIC; the 15 to 20 ms
that a Python needs to start are part of kill's figure.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import witness
from program import FOREIGN
from waiting import wait_until

from bench.figures import NEVER, Figure
from bench.stage import OURS, PEER, Stage, Start, fresh_path, progress

FIRST_ACT = ("date", "+%s%N")
# The end of its standard input is what ends the old command: the benchmark says when.
LAST_ACT = ("sh", "-c", "date +%s%N; read line; date +%s%N")
SETTLE = 0.5  # seconds for a new candidate to have read and watched everything, and to have started what it will need
ORPHAN_SHOWS = 0.1  # seconds, of which the witness needs two thousandths
MS = 1_000_000


class Take(NamedTuple):
    """How a figure is taken: of each tool, and how often."""

    how: Callable[[Stage, str, Start, str], float]
    rounds: Mapping[str, int]
    """Few where a round costs a session timeout or never differs."""
    unit: str = "ms"
    warms_up: bool = False
    """The first round fills caches and creates the election, and is not counted."""


def start(_stage: Stage, _tool: str, run: Start, path: str) -> float:
    """One path for all rounds: an election that exists is the common case."""
    began = time.time_ns()
    with run(path, *FIRST_ACT) as program:
        program.wait()
        return (int(program.stdout[-1]) - began) / MS


def processor_time(stage: Stage, tool: str, _run: Start, path: str) -> float:
    options = ("-z", stage.server.hosts, "-e", path, "--", "true")
    ours, kazoo = [str(OURS), "run", *options], [sys.executable, str(PEER), stage.server.hosts, path, "true"]
    return processor_time_of(*(ours if tool == "zkleader" else kazoo))


def processor_time_of(*line: str) -> float:
    """Return the milliseconds of processors that a process and all that it has waited for have used."""
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(FOREIGN)}
    environment["ZKLEADER_CONFIG"] = os.devnull
    pid = os.posix_spawn(line[0], line, environment, file_actions=nowhere)
    _, _, usage = os.wait4(pid, 0)
    return (usage.ru_utime + usage.ru_stime) * 1000


def words_of(option: str) -> Callable[[Stage, str, Start, str], float]:
    """Return what takes the time of a run that only says something."""

    def take(stage: Stage, tool: str, run: Start, path: str) -> float:
        if tool != "zkleader":
            return start(stage, tool, run, path)
        began = time.monotonic_ns()
        subprocess.run([OURS, option], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        return (time.monotonic_ns() - began) / MS

    return take


def handover(stage: Stage, tool: str, run: Start, path: str) -> float:
    if tool == "2 commits":
        return commits(stage, path)
    last, first = hand_over(stage, run, run)
    return (first - last) / MS


def hand_over(stage: Stage, old: Start, new: Start) -> tuple[int, int]:
    """Let one candidate end in order while another waits; return the last act of the one and the first of the other.

    In nanoseconds of the wall clock.
    """
    path = fresh_path()
    with old(path, *LAST_ACT, stdin=subprocess.PIPE) as giving:
        giving.wait_for(r"\d", stream="stdout")
        with new(path, *FIRST_ACT) as taking:
            stage.wait_for_candidates(path, 2)
            time.sleep(SETTLE)
            assert giving.popen.stdin is not None
            giving.popen.stdin.close()
            taking.wait()
            giving.wait()
            return int(giving.stdout[-1]), int(taking.stdout[0])


def commits(stage: Stage, path: str) -> float:
    """Two that follow one another, on the same server; of a few such pairs the middle one."""
    stage.operator.ensure_path(path)
    taken = []
    for _ in range(5):
        began = time.monotonic_ns()
        stage.operator.set(path, b"")
        stage.operator.set(path, b"")
        taken.append((time.monotonic_ns() - began) / MS)
    return sorted(taken)[2]


def kill(stage: Stage, _tool: str, run: Start, _path: str) -> float:
    """The peer's command outlives its supervisor, so its last act is taken for the kill: it should have been."""
    path = fresh_path()
    old_file, old_command = stage.witness("1")
    new_file, new_command = stage.witness("2")
    with run(path, *old_command) as old:
        wait_until(lambda: witness.beats_in(old_file), what="the old command's beats")
        with run(path, *new_command):
            stage.wait_for_candidates(path, 2)
            time.sleep(SETTLE)
            old.popen.kill()
            killed_at = time.monotonic_ns()
            first = wait_until(lambda: witness.beats_in(new_file), deadline=60, what="the new command's beats")[0]
            # An old command that lives has its next beat within a few milliseconds: only then is its last one known.
            time.sleep(ORPHAN_SHOWS)
            last = witness.beats_in(old_file)[-1]
            return (first.at_ns - (killed_at if last.at_ns >= first.at_ns else last.at_ns)) / MS


def loss(stage: Stage, _tool: str, run: Start, _path: str) -> float:
    """Never, when COMMAND is not told within two seconds."""
    path = fresh_path()
    file, command = stage.witness("1")
    with run(path, *command):
        wait_until(lambda: witness.beats_in(file), what="the command's beats")
        time.sleep(SETTLE)
        (candidate,) = stage.candidates(path)
        stage.operator.delete(f"{path}/{candidate}")
        deleted_at = time.monotonic_ns()
        try:
            told = wait_until(
                lambda: [beat for beat in witness.beats_in(file) if beat.terminated], deadline=2, what="SIGTERM"
            )
        except AssertionError:
            return NEVER
        return (told[0].at_ns - deleted_at) / MS


def loss_busy(stage: Stage, tool: str, run: Start, path: str) -> float:
    with busy(2 * (os.cpu_count() or 1)):
        return loss(stage, tool, run, path)


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep so many processes running that never sleep."""
    idlers = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for idler in idlers:
            idler.kill()
            idler.wait()


TAKES: dict[str, Take] = {
    "start": Take(start, {"zkleader": 21, "kazoo": 21, "etcdctl": 21}, warms_up=True),
    "start-cpu": Take(processor_time, {"zkleader": 21, "kazoo": 21}, warms_up=True),
    "help": Take(words_of("--help"), {"zkleader": 11, "kazoo": 11}, warms_up=True),
    "version": Take(words_of("--version"), {"zkleader": 11, "kazoo": 11}, warms_up=True),
    "handover": Take(handover, {"zkleader": 11, "kazoo": 11, "2 commits": 11}),
    "kill": Take(kill, {"zkleader": 5, "kazoo": 1}),
    "loss": Take(loss, {"zkleader": 21, "kazoo": 1}),
    "loss-busy": Take(loss_busy, {"zkleader": 11, "kazoo": 1}),
}


def measure(stage: Stage, name: str, rounds: int | None) -> Iterator[Figure]:
    """Take a figure of each tool in turns."""
    take = TAKES[name]
    tools: dict[str, Start] = stage.tools(*take.rounds)
    if "2 commits" in take.rounds:
        tools["2 commits"] = stage.ours  # which is not asked
    wanted = {tool: count if rounds is None else min(rounds, count) for tool, count in take.rounds.items()}
    wanted["zkleader"] = rounds or wanted["zkleader"]
    paths = {tool: fresh_path() for tool in tools}
    samples: dict[str, list[float]] = {tool: [] for tool in tools}
    if take.warms_up:
        for tool, run in tools.items():
            take.how(stage, tool, run, paths[tool])
    for turn in range(max(wanted.values())):
        progress(f"{name}: round {turn + 1}")
        for tool, run in tools.items():
            if turn < wanted[tool]:
                samples[tool].append(take.how(stage, tool, run, paths[tool]))
    yield Figure(name, take.unit, samples)
