"""A COMMAND that cannot act unseen, and the judge of what it left.

As a program: appends a line `CLOCK_MONOTONIC_ns PID CANDIDATE TOKEN` to a file every 2 ms until it is killed. On one
machine that clock is one for all processes, whatever their start, so lines of several witnesses order what they did. On
SIGTERM it writes a last line with a fifth word, `term`, and dies of the signal, unless told otherwise. It imports as
little as it can, and sleeps rather than spins: many of them must fit on two cores. Started by a tool that hands it no
fencing token, it takes the instant of its start for one.

As a module: pure functions over such lines. `overlaps` gives the milliseconds by which the promise was broken.

    python -I -S witness.py FILE [--candidate TEXT] [--token NUMBER] [--ignore-term] [--linger S] [--lifetime S]
                                 [--until FILE] [--status N] [--daemonise] [--forks N]

`--until` ends it as `--lifetime` does, when there is such a file.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import NamedTuple

BEAT_INTERVAL = 0.002
NANOSECONDS_IN_A_MILLISECOND = 1_000_000


class Tenure(NamedTuple):
    """Whose beats belong together. Two candidates with one token would be two tenures, and a broken promise."""

    token: int
    candidate: str


class Beat(NamedTuple):
    """One line of a history: who acted, and when (CLOCK_MONOTONIC, nanoseconds)."""

    at_ns: int
    pid: int
    candidate: str
    token: int
    terminated: bool = False

    @property
    def tenure(self) -> Tenure:
        """Whose beat it is."""
        return Tenure(self.token, self.candidate)


class Span(NamedTuple):
    """A tenure from its first act to its last (CLOCK_MONOTONIC, nanoseconds)."""

    first_ns: int
    last_ns: int
    tenure: Tenure


class Overlap(NamedTuple):
    """An earlier leader acted after a later one had started: by so much."""

    earlier: Tenure
    later: Tenure
    milliseconds: float


def read_beats(lines: Iterable[str]) -> list[Beat]:
    """Return the beats in order of time. A line that is not whole (its writer was killed) is left out."""
    beats = []
    for line in lines:
        words = line.split()
        is_whole = line.endswith("\n") and len(words) >= 4
        if is_whole and words[0].isdigit() and words[1].isdigit() and words[3].isdigit():
            beats.append(Beat(int(words[0]), int(words[1]), words[2], int(words[3]), words[4:] == ["term"]))
    return sorted(beats)


def beats_in(file: str | os.PathLike[str]) -> list[Beat]:
    """Return the beats that a file has so far, in order of time; none when there is no file yet."""
    try:
        with open(file) as lines:
            return read_beats(lines)
    except FileNotFoundError:
        return []


def spans(beats: Iterable[Beat]) -> list[Span]:
    """Return every tenure's first and last act, in the order in which they began."""
    ends: dict[Tenure, tuple[int, int]] = {}
    for beat in beats:
        first, last = ends.get(beat.tenure, (beat.at_ns, beat.at_ns))
        ends[beat.tenure] = (min(first, beat.at_ns), max(last, beat.at_ns))
    return sorted(Span(first, last, tenure) for tenure, (first, last) in ends.items())


def overlaps(beats: Iterable[Beat]) -> list[Overlap]:
    """Return every pair of tenures of which the earlier goes on after the first act of the later one.

    That is the promise: not only that two did not act in the same instant, but that the first never acts again once the
    second has started. So a process that was frozen and acts once more, long after, counts with the whole span. An
    empty list is a kept promise.
    """
    return [
        Overlap(earlier.tenure, later.tenure, (earlier.last_ns - later.first_ns) / NANOSECONDS_IN_A_MILLISECOND)
        for earlier, later in combinations(spans(beats), 2)
        if earlier.last_ns > later.first_ns
    ]


def excess(beats: Iterable[Beat], leaders: int) -> list[Overlap]:
    """Return every tenure that began while as many acted as may, with the one by whose end it would have been right."""
    found = []
    begun: list[Span] = []
    for span in spans(beats):
        acting = sorted((one for one in begun if one.last_ns > span.first_ns), key=lambda one: one.last_ns)
        if len(acting) >= leaders:
            # There are too many until so many of them have ended that with this one there are not.
            last = acting[len(acting) - leaders]
            found.append(
                Overlap(last.tenure, span.tenure, (last.last_ns - span.first_ns) / NANOSECONDS_IN_A_MILLISECOND)
            )
        begun.append(span)
    return found


def tokens_rise(beats: Iterable[Beat]) -> bool:
    """Return whether each token that appears is greater than all before it."""
    return all(earlier.tenure.token < later.tenure.token for earlier, later in pairwise(spans(beats)))


def gaps(beats: Iterable[Beat]) -> list[float]:
    """Return for each change of tenure the milliseconds from the old one's last beat to the new one's first."""
    return [(new.first_ns - old.last_ns) / NANOSECONDS_IN_A_MILLISECOND for old, new in pairwise(spans(beats))]


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
    who = f"{options['candidate']} {options['token']}"
    # One write of one line with O_APPEND: lines of several processes do not mix.
    file = os.open(options["file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    told_at = None  # the instant of SIGTERM

    def write(suffix: str = "") -> None:
        os.write(file, f"{time.monotonic_ns()} {os.getpid()} {who}{suffix}\n".encode())

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
    until = options.get("until")
    linger = float(options.get("linger", "inf"))
    while True:
        now = time.monotonic()
        has_come = until is not None and os.path.exists(until)
        if has_come or now - started_at >= lifetime or (told_at is not None and now - told_at >= linger):
            # A last act just before the end: the benchmark measures from it.
            write()
            os._exit(int(options.get("status", "0")))
        time.sleep(BEAT_INTERVAL)
        write()


def _parse(arguments: list[str]) -> dict[str, str]:
    """Return the options by name; argparse would cost more than all the rest of the start."""
    candidate = os.environ.get("ZKLEADER_ID", "-").replace(" ", "_")
    token = os.environ.get("ZKLEADER_TOKEN") or str(time.monotonic_ns())
    options = {"candidate": candidate, "token": token, "forks": "0"}
    words = iter(arguments)
    for word in words:
        name = word.removeprefix("--")
        if name == word:
            options["file"] = word
        elif name in ("ignore-term", "daemonise"):
            options[name] = ""
        elif name in ("candidate", "token", "forks", "linger", "lifetime", "until", "status"):
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
