"""Standbys: what one costs that waits, in memory, wake-ups and processor time; and a hundred on one host.

Owns what is read from /proc of which processes: both of ours, the one of the peer's. Memory is the proportional set
size: what processes share counts for each by its share, so each tool is measured while only its own processes are there
beside a leader of its own.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from processes import children
from program import Program

from bench.counters import parse_processor_ticks, parse_pss, parse_sleeps
from bench.figures import Figure
from bench.stage import Stage, Start, fresh_path, progress

SECONDS = 20.0
"""How long wake-ups are counted: some renewals and some pings long."""

SETTLE = 5.0  # seconds after the last has joined, until each waits and does nothing else
COMMAND = ("sleep", "1000")
HOST = 100


def processes_of(program: Program) -> list[int]:
    """Return the pids of a candidate that waits: it has no COMMAND, so whatever it has started is its guard."""
    return [program.pid, *children(program.pid)]


def memory_of(program: Program) -> float:
    """Return MiB."""
    return sum(parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in processes_of(program)) / 1024


def sleeps_of(program: Program) -> int:
    """Return how often all threads of a candidate have gone to sleep so far."""
    statuses = (path for pid in processes_of(program) for path in Path(f"/proc/{pid}/task").glob("*/status"))
    return sum(parse_sleeps(path.read_text()) for path in statuses)


def ticks_of(program: Program) -> int:
    return sum(parse_processor_ticks(Path(f"/proc/{pid}/stat").read_text()) for pid in processes_of(program))


class Cost:
    """What standbys cost: of each the memory, the wake-ups a second, and per mille of one processor."""

    def __init__(self, standbys: list[Program], seconds: float) -> None:
        sleeps, ticks = [*map(sleeps_of, standbys)], [*map(ticks_of, standbys)]
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        tick = 1000 / os.sysconf("SC_CLK_TCK")
        self.wakes = [(sleeps_of(one) - then) / took for one, then in zip(standbys, sleeps, strict=True)]
        self.processor = [(ticks_of(one) - then) * tick / took for one, then in zip(standbys, ticks, strict=True)]
        self.memory = [*map(memory_of, standbys)]


def waiting(stage: Stage, run: Start, number: int, seconds: float) -> Cost:
    """Have so many wait behind a leader."""
    path = fresh_path()
    with ExitStack() as ending:
        ending.enter_context(run(path, *COMMAND))
        stage.wait_for_candidates(path, 1)
        standbys = []
        for count in range(number):
            progress(f"standby: {count + 1} of {number}")
            standbys.append(ending.enter_context(run(path, *COMMAND, stdin=subprocess.DEVNULL)))
            # One after another: a hundred starts at once are no standby's cost.
            stage.wait_for_candidates(path, count + 2, deadline=60)
        time.sleep(SETTLE)
        progress(f"standby: counting {number}")
        return Cost(standbys, seconds)


def measure(stage: Stage, rounds: int | None) -> Iterator[Figure]:
    """Measure the first standby, which watches the record; then a host full of them. With rounds, one a round."""
    seconds = SECONDS if rounds is None else min(SECONDS, 2.0 * rounds)
    host = HOST if rounds is None else min(HOST, rounds)
    tools = stage.tools("zkleader", "kazoo")
    alone = {tool: waiting(stage, run, 1, seconds) for tool, run in tools.items()}
    yield Figure("standby-memory", "MiB", {tool: cost.memory for tool, cost in alone.items()})
    yield Figure("standby-wakes", "1/s", {tool: cost.wakes for tool, cost in alone.items()})
    yield Figure("standby-cpu", "1/1000", {tool: cost.processor for tool, cost in alone.items()})
    together = {tool: waiting(stage, run, host, seconds) for tool, run in tools.items()}
    yield Figure(f"standbys-{host}-memory", "MiB", {tool: [sum(cost.memory)] for tool, cost in together.items()})
    yield Figure(f"standbys-{host}-wakes", "1/s", {tool: [sum(cost.wakes)] for tool, cost in together.items()})
    yield Figure(f"standbys-{host}-cpu", "1/1000", {tool: [sum(cost.processor)] for tool, cost in together.items()})
