"""A program that leads by itself, through the library, and acts as a witness does while it may.

Appends a witness's beat to a file every 2 ms: by default while `is_leading`, with `--to-the-end` as long as any time
remains, which is the most that the library allows, with `--by-deadline` until the last deadline it was told, on its own
clock. Prints its states on standard error. SIGTERM ends the work and resigns; a loss does too.

    python library_leader.py FILE HOSTS ELECTION ID LEASE GRACE [--to-the-end | --by-deadline]
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from zkleader import Candidate, Election, Lost, Resigned

BEAT_INTERVAL = 0.002


def act(candidate: Candidate, beat: Callable[[], None], mode: str, asked: threading.Event) -> None:
    """Act as long as it may be done."""
    deadline = candidate.deadline
    while not asked.is_set():
        is_lost = isinstance(candidate.state, Lost)
        if not is_lost:
            deadline = candidate.deadline
        if mode == "--to-the-end":
            may_act = candidate.remaining() > 0
        elif mode == "--by-deadline":
            may_act = time.monotonic() < deadline
        else:
            may_act = candidate.is_leading()
        if not may_act:
            return
        beat()
        time.sleep(BEAT_INTERVAL)


def main() -> None:
    path, hosts, election, identity, lease, grace, *rest = sys.argv[1:]
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with Election(hosts, election, id=identity, lease=float(lease), grace=float(grace)).campaign() as candidate:
        candidate.subscribe(lambda state: print(state, file=sys.stderr, flush=True))
        token = candidate.wait_for_leadership()

        def beat() -> None:
            os.write(file, f"{time.monotonic_ns()} {os.getpid()} {identity} {token}\n".encode())

        act(candidate, beat, rest[0] if rest else "", asked)
        if asked.is_set():
            beat()
    is_released = candidate.resign()
    sys.exit(0 if isinstance(candidate.state, Resigned) and is_released else 79)


if __name__ == "__main__":
    main()
