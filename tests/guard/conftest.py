"""Fixtures for tests of the guard: real processes and signals, no ZooKeeper.

Every process of a command bears the test's mark, and every test ends with the proof that none is left and that no
control group of ours is.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import kill_marked
from supervision import Scope, StandIn, Supervision, make_settings
from waiting import wait_until

from zkleader.guard import cgroup, process_tree, system


@pytest.fixture(autouse=True)
def _subreaper() -> Iterator[None]:
    """Be what a supervisor is; and be it no longer, so that other tests' orphans go where they always went."""
    system.become_subreaper()
    yield
    system._call_prctl(system.PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def mark() -> Iterator[str]:
    """Return what all processes of a command bear in their environment; none survives the test."""
    mark = uuid.uuid4().hex
    yield mark
    assert kill_marked(mark) == [], "the test left processes of its command"


@pytest.fixture
def own_group() -> str:
    """Return the directory of our control group; skip where we may not have leaves."""
    scope, leaf = process_tree.open_scope(os.getpid(), search_only=False)
    scope.close()
    if leaf is None:
        pytest.skip(scope.detail)
    return os.path.dirname(leaf.path)


@pytest.fixture(params=list(Scope), ids=lambda scope: scope.value)
def scope(request: pytest.FixtureRequest) -> Scope:
    """Both ways of finding what belongs to the command; without control groups they are one."""
    return Scope(request.param)


@pytest.fixture
def supervise(mark: str) -> Iterator[Callable[..., Supervision]]:
    """Give `supervise(*command, **settings)`: a guard of which the test process is the supervisor."""
    made: list[Supervision] = []

    def spawn(*command: str | bytes, **changes: Any) -> Supervision:
        made.append(Supervision(make_settings(*command, mark=mark, **changes)))
        return made[-1]

    yield spawn
    for supervision in made:
        print(supervision.heard)
        supervision.close()
    assert_no_leaves([os.getpid()])


@pytest.fixture
def patch_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Give `patch_guard(code)`: guards spawned from then on run this first, with the guard's modules imported."""

    def patch(code: str) -> None:
        program = tmp_path / "patched_guard.py"
        program.write_text(
            "import os, sys\n"
            f"sys.path.append({str(Path(__file__).parents[2])!r})\n"
            "from zkleader.guard import descendants, loop, process, process_tree, system\n"
            f"{code}\n"
            "os._exit(process.main(sys.argv[1:]))\n"
        )
        spawn = os.posix_spawn

        def spawn_patched(path: str, argv: list[str], *rest: Any, **options: Any) -> int:
            return spawn(path, [*argv[:3], str(program), *argv[4:]], *rest, **options)

        monkeypatch.setattr(os, "posix_spawn", spawn_patched)

    return patch


@pytest.fixture
def stand_in(mark: str, tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    """Give `stand_in(*command, **spec)`: a supervisor in a process of its own."""
    made: list[StandIn] = []

    def spawn(*command: str, **spec: Any) -> StandIn:
        made.append(StandIn(*command, mark=mark, directory=tmp_path, **spec))
        return made[-1]

    yield spawn
    for supervisor in made:
        with supervisor:
            pass
    assert_no_leaves([supervisor.process.pid for supervisor in made])


def assert_no_leaves(supervisors: list[int]) -> None:
    """Wait until no control group is left that was made for one of these supervisors."""
    try:
        own = cgroup._find_own()
    except cgroup.NoControlGroupError:
        return

    def gone() -> bool:
        return not [name for name in os.listdir(own) for pid in supervisors if name.startswith(f"zkleader-{pid}-")]

    wait_until(gone, deadline=3, what="the removal of the control group")
