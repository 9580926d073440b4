"""What every fault test asks in the end: whether two acted at once, and whether anything is left."""

import time
from pathlib import Path

from kazoo.client import KazooClient
from program import Program
from waiting import wait_until
from witness import overlaps, read_beats, tokens_rise


def lines_of(beats: Path) -> list[str]:
    """Return the witnesses' lines."""
    return beats.read_text().splitlines(keepends=True) if beats.exists() else []


def assert_promise(beats: Path, *, tenures: int) -> None:
    """Nobody acted after a successor had begun, tokens rose, and there were so many tenures."""
    lines = lines_of(beats)
    assert overlaps(lines) == []
    assert tokens_rise(lines)
    assert len({beat.token for beat in read_beats(lines)}) == tenures


def assert_nothing_left(*programs: Program, client: KazooClient, election: str) -> None:
    """No process, no candidate and no control group is left of programs that have ended."""
    for program in programs:
        program.assert_nothing_left(deadline=2)
    wait_until(lambda: not candidates(client, election), what="no candidate left")
    wait_until(lambda: not leaves_of(*programs), what="no control group left")


def leaves_of(*programs: Program) -> list[Path]:
    """Return the control groups of these supervisors."""
    roots = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    return [leaf for root in roots for program in programs for leaf in root.glob(f"**/zkleader-{program.pid}-*")]


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
    return time.monotonic() - read_beats(lines_of(beats))[-1].at_ns / 1e9


def is_acting(beats: Path, token: int) -> bool:
    """Say whether the tenure with this token has acted."""
    return any(beat.token == str(token) for beat in read_beats(lines_of(beats)))


def wait_acting(program: Program, beats: Path, deadline: float = 15.0) -> int:
    """Wait until the program's command acts; return its token."""
    token = token_of(program, deadline)
    wait_until(lambda: is_acting(beats, token), deadline=5, what=f"tenure {token} acts")
    return token
