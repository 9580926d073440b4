"""What every fault test asks in the end: whether two acted at once, and whether anything is left."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from kazoo.client import KazooClient
from program import Program
from waiting import wait_until
from witness import beats_in, excess, overlaps, spans, tokens_rise


def assert_promise(beats: Path, *, tenures: int) -> None:
    """Nobody acted after a successor had begun, tokens rose, and there were so many tenures."""
    acted = beats_in(beats)
    assert overlaps(acted) == []
    assert tokens_rise(acted)
    assert len(spans(acted)) == tenures


def assert_never_more(beats: Path, leaders: int, *, tenures: int) -> None:
    """Never more than so many acted at once, each with a token of its own, and there were so many tenures."""
    acted = beats_in(beats)
    assert excess(acted, leaders) == []
    assert len(spans(acted)) == tenures


def assert_nothing_left(*programs: Program, client: KazooClient, election: str) -> None:
    """No process, no candidate and no control group is left of programs that have ended."""
    for program in programs:
        program.assert_nothing_left(deadline=2)
    wait_until(lambda: not candidates(client, election), what="no candidate left")
    wait_until(lambda: not [leaf for program in programs for leaf in program.control_groups()], what="no control group")


def candidates(client: KazooClient, election: str) -> list[str]:
    """Return the candidates in the queue, first in line first."""
    names = client.get_children(election) if client.exists(election) else []
    return sorted((name for name in names if not name.startswith("lease-")), key=lambda name: int(name[-10:]))


def token_of(program: Program, deadline: float = 10.0) -> int:
    """Return the token with which the program was elected; wait for it."""
    line = program.wait_for("event=elected", deadline=deadline)
    return int(line.partition("token=")[2].split()[0])


def last_beat_age(beats: Path) -> float:
    """Return the seconds since anybody acted."""
    return time.monotonic() - beats_in(beats)[-1].at_ns / 1e9


def is_acting(beats: Path, token: int) -> bool:
    """Say whether the tenure with this token has acted."""
    return any(beat.token == token for beat in beats_in(beats))


def wait_acting(program: Program, beats: Path, deadline: float = 15.0) -> int:
    """Wait until the program's command acts; return its token."""
    token = token_of(program, deadline)
    wait_until(lambda: is_acting(beats, token), deadline=5, what=f"tenure {token} acts")
    return token


def assert_killed_is_released_for(start: Callable[..., Program], beats: Path) -> None:
    """A leader from `start(name, *options)` is killed, and the next one need not wait for its lease, 20 s."""
    timing = ("--lease", "20s", "--grace", "200ms")
    first = start("a", *timing)
    wait_acting(first, beats)
    second = start("b", *timing)
    second.wait_for("event=waiting ")
    first.signal(signal.SIGKILL)
    wait_acting(second, beats, deadline=6)
    first.wait_for("supervisor died: .*; released")
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
