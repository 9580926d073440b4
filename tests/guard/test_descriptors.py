"""Guard or supervisor can open no file any more: what has to be ended is ended all the same, and proven gone."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from processes import marked, without_descriptors
from supervision import TIMING, Scope, StandIn, Supervision, nothing_left, python
from test_stop import DAEMONS, files, started
from waiting import wait_until

from zkleader.guard.handle import end_everything

Supervise = Callable[..., Supervision]
Make = Callable[..., StandIn]


def test_a_guard_ends_a_stubborn_command(stand_in: Make, scope: Scope, mark: str, tmp_path: Path) -> None:
    """Killing a control group takes an open file, and so does each look for a process: it lived on, beside the next."""
    beats = tmp_path / "daemons"
    beats.mkdir()
    supervisor = stand_in(*python(DAEMONS, "5", str(beats), "stay"), scope=scope.value)
    supervisor.wait_for("Started")
    files(beats, 5)
    with without_descriptors(supervisor.guard_pid):
        supervisor.process.kill()
        killed_at = time.monotonic()
        nothing_left(mark)
        assert time.monotonic() - killed_at < TIMING.gone_after
        wait_until(supervisor.guard_has_ended)
    assert supervisor.release_was()["alive"] == []
    assert "command ended (6 processes, 5 killed); released" in supervisor.stderr()


def test_a_supervisor_ends_a_dead_guards_stubborn_command(
    supervise: Supervise, scope: Scope, mark: str, tmp_path: Path
) -> None:
    """The same for the other one of the two."""
    supervision = started(supervise(*python(DAEMONS, "5", str(tmp_path), "stay"), scope=scope))
    files(tmp_path, 5)
    with without_descriptors(os.getpid()):
        ending = end_everything(supervision.guard, noted=supervision.noted, within=3)
    assert ending.proven
    assert marked(mark) == []
    assert ending.killed >= 5
