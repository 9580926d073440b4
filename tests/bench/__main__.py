"""The figures, side by side in one run with what does the same.

That is `peer_kazoo.py`, kazoo's Election and Popen in twenty lines, and, where tests/setup --peers was run, `etcdctl
lock`.

    tests/setup && .venv/bin/python tests/bench [--rounds N] [--only FIGURE]... [--keep FILE] [--compare FILE]

Nothing here passes or fails: times are for people to judge, and ratios of one run before times. What is measured:

start, start-cpu, help, version, handover, kill, loss, loss-busy   see `times`
wire       what passes between candidates and server at a clean hand-over, counted and written down: `capture`
standby    memory, wake-ups and processor time of one standby, and of a hundred on one host: `standby`
scale      what a takeover asks of the server with 1, 10, 100 and 1000 candidates waiting: `scale`
many       500 elections with a leader each on three servers: `many`
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

# The tests directory is no package: its modules are found by its path, and this directory as a package below it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import capture, many, scale, standby, times
from bench.figures import HEADS, Figure, compared, kept, line, read, table
from bench.stage import LEASE, Stage, progress

Measure = Callable[[Stage, int | None], Iterator[Figure]]

FIGURES: dict[str, Measure] = {
    **{name: partial(lambda name, stage, rounds: times.measure(stage, name, rounds), name) for name in times.TAKES},
    "wire": capture.measure,
    "standby": standby.measure,
    "scale": lambda _stage, rounds: scale.measure(rounds),
    "many": lambda _stage, rounds: many.measure(rounds),
}


def kept_in(path: Path) -> list[Figure]:
    try:
        return read(path.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"bench: cannot read {path}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="figures, beside those of what does the same")
    parser.add_argument("--rounds", type=int, help="this many of each, fewer where fewer tell as much; small is quick")
    parser.add_argument("--only", action="append", choices=list(FIGURES), help="only this figure; may be repeated")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the figures there, as JSON")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="hold them against those that are kept there")
    arguments = parser.parse_args()
    before = kept_in(arguments.compare) if arguments.compare else []  # before an hour is spent
    clocks_apart = time.time_ns() - time.monotonic_ns()
    figures: list[Figure] = []
    with Stage() as stage:
        print(f"lease and session timeout {LEASE} s; real servers; Python {sys.version.split()[0]}")
        print(line(*HEADS))
        for name in arguments.only or FIGURES:
            for figure in FIGURES[name](stage, arguments.rounds):
                progress("")
                print(*table(figure), sep="\n", flush=True)
                figures.append(figure)
    if abs(time.time_ns() - time.monotonic_ns() - clocks_apart) > times.MS:
        print("the wall clock was changed by more than a millisecond meanwhile: start and handover may be wrong")
    if arguments.keep:
        arguments.keep.write_text(kept(figures))
    if arguments.compare:
        print("", *compared(figures, before), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
