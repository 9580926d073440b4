"""A COMMAND that cannot act unseen, and the judge of what it left.

As a program: appends a line `CLOCK_MONOTONIC_ns PID TOKEN` to a file every 2 ms until it is killed. On one machine that
clock is one for all processes, whatever their start, so lines of several witnesses order what they did. On SIGTERM it
writes a last line with a fourth word, `term`, and dies of the signal, unless told otherwise. It imports as little as
it can, and sleeps rather than spins: many of them must fit on two cores.

As a module: pure functions over such lines. `overlaps` gives the milliseconds by which the promise was broken.

    python -I -S witness.py FILE [--token TEXT] [--ignore-term] [--linger S] [--lifetime S] [--status N]
                                 [--daemonise] [--forks N]
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

BEAT_INTERVAL = 0.002
NANOSECONDS_IN_A_MILLISECOND = 1_000_000


class Beat(NamedTuple):
    """One line of a history: who acted, and when (CLOCK_MONOTONIC, nanoseconds)."""

    at_ns: int
    pid: int
    token: str
    terminated: bool = False


class Overlap(NamedTuple):
    """An earlier leader acted after a later one had started: by so much."""

    earlier: str
    later: str
    milliseconds: float


def read_beats(lines: Iterable[str]) -> list[Beat]:
    """Return the beats in order of time. A line that is not whole (its writer was killed) is left out."""
    beats = []
    for line in lines:
        words = line.split()
        if line.endswith("\n") and len(words) >= 3 and words[0].isdigit() and words[1].isdigit():
            beats.append(Beat(int(words[0]), int(words[1]), words[2], words[3:] == ["term"]))
    return sorted(beats)


def histories(beats: Iterable[Beat]) -> dict[str, list[Beat]]:
    """Return the beats by token, in the order in which the tokens first appear."""
    by_token: dict[str, list[Beat]] = {}
    for beat in sorted(beats):
        by_token.setdefault(beat.token, []).append(beat)
    return by_token


def overlap(history_a: Sequence[Beat], history_b: Sequence[Beat]) -> float:
    """Return the milliseconds for which the earlier history goes on after the first beat of the later one.

    That is the promise: not only that two did not act in the same instant, but that the first never acts again once the
    second has started. So a process that was frozen and acts once more, long after, counts with the whole span.
    """
    if not history_a or not history_b:
        return 0.0
    earlier, later = sorted((history_a, history_b), key=min)
    return max(0, max(earlier).at_ns - min(later).at_ns) / NANOSECONDS_IN_A_MILLISECOND


def overlaps(lines: Iterable[str]) -> list[Overlap]:
    """Return every pair of tokens whose histories overlap, in order of their start; an empty list is a kept promise."""
    by_token = list(histories(read_beats(lines)).items())
    found = []
    for position, (earlier, history) in enumerate(by_token):
        for later, other in by_token[position + 1 :]:
            milliseconds = overlap(history, other)
            if milliseconds > 0:
                found.append(Overlap(earlier, later, milliseconds))
    return found


def tokens_rise(lines: Iterable[str]) -> bool:
    """Return whether each token that appears is greater than all before it."""
    tokens = [int(token) for token in histories(read_beats(lines))]
    return all(earlier < later for earlier, later in pairwise(tokens))


def gaps(lines: Iterable[str]) -> list[float]:
    """Return for each change of token the milliseconds from the old one's last beat to the new one's first."""
    by_token = list(histories(read_beats(lines)).values())
    return [(new[0].at_ns - old[-1].at_ns) / NANOSECONDS_IN_A_MILLISECOND for old, new in pairwise(by_token)]


# The program. --------------------------------------------------------------------------------------------------------


def _daemonise() -> None:
    """Become a daemon's copy: in a session of its own, its parent gone."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)


def _beat(options: dict[str, str]) -> None:
    token = options["token"]
    # One write of one line with O_APPEND: lines of several processes do not mix.
    file = os.open(options["file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    told_at = None  # the instant of SIGTERM

    def write(suffix: str = "") -> None:
        os.write(file, f"{time.monotonic_ns()} {os.getpid()} {token}{suffix}\n".encode())

    def terminate(number: int, _frame: object) -> None:
        nonlocal told_at
        write(" term")
        told_at = time.monotonic()
        if "linger" not in options:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    write()
    if "ignore-term" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, terminate)
    started_at = time.monotonic()
    lifetime = float(options.get("lifetime", "inf"))
    linger = float(options.get("linger", "inf"))
    while True:
        now = time.monotonic()
        if now - started_at >= lifetime or (told_at is not None and now - told_at >= linger):
            # A last act just before the end: the benchmark measures from it.
            write()
            os._exit(int(options.get("status", "0")))
        time.sleep(BEAT_INTERVAL)
        write()


def _parse(arguments: list[str]) -> dict[str, str]:
    """Return the options by name; argparse would cost more than all the rest of the start."""
    options = {"token": os.environ.get("ZKLEADER_TOKEN", "0"), "forks": "0"}
    words = iter(arguments)
    for word in words:
        name = word.removeprefix("--")
        if name == word:
            options["file"] = word
        elif name in ("ignore-term", "daemonise"):
            options[name] = ""
        elif name in ("token", "forks", "linger", "lifetime", "status"):
            options[name] = next(words)
        else:
            sys.exit(f"witness: no such option: {word}")
    if "file" not in options:
        sys.exit(__doc__)
    return options


def main() -> None:
    options = _parse(sys.argv[1:])
    # What comes first forks first: the daemon's copy and the forks beat beside the process that was started.
    if "daemonise" in options:
        _daemonise()
    for _ in range(int(options["forks"])):
        if os.fork() == 0:
            break
    _beat(options)


if __name__ == "__main__":
    main()
