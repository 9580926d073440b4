"""Many candidates in a few processes, through the election code that `zkleader run` has, but for the guard.

As a program: one process of a crowd. It campaigns so often in each of the elections that it is given, as
`zkleader.Election` does it, says `joined` once each candidate knows its place, and `leading PATH` whenever one begins
to lead. It takes orders, one a line: `resign` has those that lead resign, `took` has it say the seconds that renewals
have taken since it was last asked. It ends with its standard input, at once: what it leaves behind expires.

As a module: `Crowd` is such processes together.

    python crowd.py HOSTS LEASE [PATH COUNT]...
"""

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).resolve().parents[2]
LOOK_INTERVAL = 0.02  # seconds between two looks at all candidates of a process
JOIN_LOOK_INTERVAL = 0.002  # at the one that joins
IN_ONE_PROCESS = 100  # candidates: four threads each
JOIN_PATIENCE = 180.0
TAKEOVER_PATIENCE = 30.0


class Crowd:
    """Processes that hold candidates: so many of each election; ended with the block, whatever they do."""

    def __init__(self, hosts: str, lease: float, elections: Mapping[str, int]) -> None:
        self._told = threading.Condition()
        self._joined = 0
        self.leading: list[str] = []
        """The election of each that has begun to lead so far."""
        self._took: list[list[float]] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._lines = [[sys.executable, __file__, hosts, str(lease), *part] for part in split(elections)]

    def __enter__(self) -> Self:
        for line in self._lines:
            process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=CHECKOUT
            )
            self._processes.append(process)
            threading.Thread(target=self._listen, args=(process,), daemon=True).start()
            number = len(self._processes)
            # One after another: a thousand sessions that begin at once are no takeover's cost, and would time out.
            self._wait(lambda: self._joined == number, JOIN_PATIENCE, "candidates that know their places")  # noqa: B023
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def wait_until_led(self, tenures: int) -> None:
        """Wait until so many have begun to lead ever."""
        self._wait(lambda: len(self.leading) >= tenures, TAKEOVER_PATIENCE, f"{tenures} tenures")

    def resign(self) -> None:
        """Have all resign that lead."""
        self._order("resign")

    def took(self) -> list[float]:
        """Return the seconds that renewals have taken since this was last asked."""
        self._took = []
        self._order("took")
        self._wait(lambda: len(self._took) == len(self._processes), TAKEOVER_PATIENCE, "what renewals took")
        return [seconds for part in self._took for seconds in part]

    def _order(self, order: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(order + "\n")

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            word, *rest = line.split()
            with self._told:
                if word == "joined":
                    self._joined += 1
                elif word == "leading":
                    self.leading += rest
                elif word == "took":
                    self._took.append([float(seconds) for seconds in rest])
                self._told.notify_all()

    def _wait(self, fact: Callable[[], bool], patience: float, what: str) -> None:
        with self._told:
            if not self._told.wait_for(fact, patience):
                raise AssertionError(f"waited {patience:g} s in vain for: {what}")


def split(elections: Mapping[str, int]) -> list[list[str]]:
    """Return the arguments of each process: paths and counts, no more candidates together than it can hold."""
    parts: list[list[str]] = [[]]
    room = IN_ONE_PROCESS
    for path, number in elections.items():
        left = number
        while left:
            if not room:
                parts.append([])
                room = IN_ONE_PROCESS
            here = min(room, left)
            parts[-1] += [path, str(here)]
            room -= here
            left -= here
    return parts


# The program. --------------------------------------------------------------------------------------------------------


def main() -> None:
    from zkleader import Candidate, Election, Leading, Waiting  # noqa: PLC0415 # the benchmark itself needs none of it

    hosts, lease, *rest = sys.argv[1:]
    took: list[float] = []

    class Renewals(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", "") == "renewed":
                took.append(record.facts["took"])  # type: ignore[attr-defined]

    log = logging.getLogger("zkleader")
    log.setLevel(logging.DEBUG)
    log.addHandler(Renewals())
    candidates: list[tuple[str, Candidate]] = []
    for path, count in zip(rest[::2], rest[1::2], strict=True):
        election = Election(hosts, path, lease=float(lease), grace=0.5, connect_timeout=120)
        for _ in range(int(count)):
            candidates.append((path, election.campaign()))
            while isinstance(state := candidates[-1][1].state, Waiting) and state.rank is None:
                time.sleep(JOIN_LOOK_INTERVAL)
    saying = threading.Lock()

    def say(line: str) -> None:
        with saying:
            print(line, flush=True)

    def look() -> None:
        led: set[int] = set()
        while True:
            states = [candidate.state for _, candidate in candidates]
            for number, state in enumerate(states):
                if isinstance(state, Leading) and number not in led:
                    led.add(number)
                    say(f"leading {candidates[number][0]}")
            time.sleep(LOOK_INTERVAL)

    threading.Thread(target=look, daemon=True).start()
    say("joined")
    with contextlib.suppress(KeyboardInterrupt):
        for order in sys.stdin:
            if order.strip() == "resign":
                # Looked for before the first resigns: its successor may be of this process, and is not meant.
                for candidate in [one for _, one in candidates if isinstance(one.state, Leading)]:
                    candidate.resign()
            elif order.strip() == "took":
                count = len(took)
                say(" ".join(["took", *(f"{seconds:.5f}" for seconds in took[:count])]))
                del took[:count]
    os._exit(0)


if __name__ == "__main__":
    main()
