"""Leaves of the control group tree: joined by COMMAND alone, locked while in use, and removed by whoever comes next."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import MARK, lives, marked
from supervision import Scope, Supervision, leaf_of, shell
from waiting import wait_until

from zkleader.core import wire
from zkleader.guard import cgroup, process_tree

Supervise = Callable[..., Supervision]


def test_the_command_is_in_the_leaf_and_its_guard_is_not(supervise: Supervise, own_group: str) -> None:
    """Killing the leaf must not kill who does the killing."""
    supervision = supervise(*shell("setsid sleep 60 & exec sleep 60"))
    supervision.start()
    pid = supervision.wait_for(wire.Started).pid
    assert supervision.guard.leaf is not None
    assert os.path.dirname(supervision.guard.leaf) == own_group
    wait_until(lambda: len(cgroup.members(supervision.guard.leaf or "")) == 2, what="both processes in the leaf")
    assert pid in cgroup.members(supervision.guard.leaf)
    assert leaf_of(supervision.guard.pid) == leaf_of(os.getpid())


def test_the_leaf_is_removed_with_what_the_command_made_below_it(supervise: Supervise, own_group: str) -> None:
    """A command that runs as root may make control groups of its own there; its members are killed with the rest."""
    script = (
        'leaf=%s/$(sed -n "s,^0::.*/,,p" /proc/self/cgroup); mkdir $leaf/inner; '
        'sh -c "echo 0 > $leaf/inner/cgroup.procs; exec setsid sleep 60" & sleep 60'
    )
    supervision = supervise(*shell(script % own_group))
    supervision.start()
    supervision.wait_for(wire.Started)
    leaf = supervision.guard.leaf
    assert leaf is not None
    wait_until(lambda: cgroup.read_proc(f"{leaf}/inner/cgroup.procs"), what="a process below the leaf")
    supervision.guard.send(wire.KillNow())
    assert supervision.wait_for(wire.Gone).in_time
    wait_until(lambda: not os.path.exists(leaf), what="the leaf's removal")


def test_a_stale_leaf_is_emptied_and_removed_and_a_held_one_is_not(
    supervise: Supervise, own_group: str, mark: str
) -> None:
    """A dead guard's processes have no right to go on; a living guard's have."""
    stale, held = f"{own_group}/zkleader-1-00000000", f"{own_group}/zkleader-1-11111111"
    others = f"{own_group}/zkleader-web.service"
    pids = {}
    for path in (stale, held, others):
        os.mkdir(path)
        join = f"echo 0 > {path}/cgroup.procs && exec sleep 60"
        pids[path] = os.posix_spawn("/bin/sh", shell(join), os.environ | {MARK: mark})
        wait_until(lambda path=path: cgroup.members(path) == [pids[path]], what=f"a process in {path}")
    lock = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        supervision = supervise(*shell("exit 0"))
        supervision.wait_for(wire.Ready)
        assert not os.path.exists(stale)
        assert not lives(pids[stale])
        assert lives(pids[held])
        assert lives(pids[others])
    finally:
        os.close(lock)
        for path, pid in pids.items():
            if os.path.exists(path):
                cgroup.kill(path)
            os.waitpid(pid, 0)
            cgroup.remove(path)


def test_a_leaf_taken_by_a_cleaner_between_making_and_locking_is_made_again(
    own_group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two guards that start together: the race is lost on purpose, once."""
    lock = cgroup._lock_new
    made = []

    def lose_once(path: str) -> cgroup.Leaf | None:
        made.append(path)
        if len(made) == 1:
            cgroup.remove_stale(own_group)
        return lock(path)

    monkeypatch.setattr(cgroup, "_lock_new", lose_once)
    leaf = cgroup.make_leaf(os.getpid())
    try:
        assert len(made) == 2
        assert leaf.path == made[1]
        cgroup.remove_stale(own_group)
        assert os.path.exists(leaf.path)
    finally:
        leaf.close()
        cgroup.remove(leaf.path)


def test_what_a_guard_leaves_that_dies_later_is_removed_at_the_end(supervise: Supervise, own_group: str) -> None:
    """No other guard may be started on this host for months."""
    supervision = supervise(*shell("exit 0"))
    supervision.wait_for(wire.Ready)
    stale = f"{own_group}/zkleader-1-22222222"
    os.mkdir(stale)
    supervision.start()
    assert supervision.wait_for(wire.Gone)
    # Briefly: a supervisor that does not answer the end is killed, and that is the test itself.
    wait_until(lambda: not os.path.exists(stale), deadline=1, what="the stale leaf's removal")


def test_a_leaf_made_anew_is_not_taken_for_the_one_before(own_group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another guard that looks for stale leaves opens the old one, and locks it when it has been removed."""
    group = f"{own_group}/anew-{os.getpid()}"
    os.mkdir(group)
    monkeypatch.setattr(cgroup, "_find_delegated", lambda: group)
    scope, leaf = process_tree.open_scope(os.getpid(), search_only=False)
    assert leaf is not None
    flock, pids = fcntl.flock, []

    def renew_first(descriptor: int, how: int) -> None:
        if how & fcntl.LOCK_EX and not pids:
            pids.append(0)  # once
            assert scope.renew() is not None
            join = f"echo 0 > {leaf.path}/cgroup.procs && exec sleep 60"
            pids[0] = os.posix_spawn("/bin/sh", shell(join), os.environ)
            wait_until(lambda: cgroup.members(leaf.path) == pids, what="a process in the new leaf")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", renew_first)
    try:
        cgroup.remove_stale(group)
        assert pids
        assert lives(pids[0])
        assert os.path.exists(leaf.path)
    finally:
        cgroup.kill(leaf.path)
        os.waitpid(pids[0], 0)
        scope.close()
        os.rmdir(group)


def test_a_rehearsal_leaves_nothing_and_touches_nothing(own_group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever only asks how things are must not kill what a dead guard has left: that is the next guard's to do."""
    # In a control group of the test's own: guards of other tests clean up in the common one.
    group = f"{own_group}/rehearsal-{os.getpid()}"
    stale = f"{group}/zkleader-1-00000000"
    os.makedirs(stale)
    monkeypatch.setattr(cgroup, "_find_own", lambda: group)
    before = sorted(os.listdir(group))
    try:
        assert cgroup.rehearse() == group
        assert sorted(os.listdir(group)) == before
    finally:
        os.rmdir(stale)
        os.rmdir(group)


def test_a_process_moved_out_of_the_leaf_is_ended_all_the_same(supervise: Supervise, own_group: str, mark: str) -> None:
    """An unpopulated leaf is not proof by itself: what is left is still a descendant."""
    script = f"echo 0 > {own_group}/cgroup.procs; setsid sleep 60 & exec sleep 60"
    supervision = supervise(*shell(script))
    supervision.start()
    pid = supervision.wait_for(wire.Started).pid
    wait_until(lambda: leaf_of(pid) == leaf_of(os.getpid()) and len(marked(mark)) == 2, what="two outside the leaf")
    supervision.guard.send(wire.KillNow())
    gone = supervision.wait_for(wire.Gone)
    assert marked(mark) == []
    assert gone.killed == 2


@pytest.mark.parametrize(
    ("cgroup_line", "mountinfo", "found"),
    [
        ("0::/a/b", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "/sys/fs/cgroup/a/b"),
        ("0::/", "30 20 0:26 / /sys/fs/cgroup/unified rw - cgroup2 none rw", "/sys/fs/cgroup/unified"),
        ("0::/pod/x", "30 20 0:26 /pod /mnt/my\\040cg rw shared:4 - cgroup2 none rw", "/mnt/my cg/x"),
    ],
)
def test_our_own_group_is_found(monkeypatch: pytest.MonkeyPatch, cgroup_line: str, mountinfo: str, found: str) -> None:
    """Unified, hybrid, and a container that sees a part of the tree."""
    content = {"/proc/self/cgroup": f"4:cpu:/old\n{cgroup_line}\n", "/proc/self/mountinfo": mountinfo + "\n"}
    monkeypatch.setattr(cgroup, "read_proc", lambda path: content[path].encode())
    assert cgroup._find_own() == found


@pytest.mark.parametrize(
    ("cgroup_line", "mountinfo"),
    [
        ("4:cpu:/old", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"),
        ("0::/", "30 20 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"),
        ("0::/../other", "30 20 0:26 /pod /sys/fs/cgroup rw - cgroup2 none rw"),
    ],
)
def test_without_a_group_of_our_own_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, cgroup_line: str, mountinfo: str
) -> None:
    """The log says why processes are searched for."""
    content = {"/proc/self/cgroup": f"{cgroup_line}\n", "/proc/self/mountinfo": mountinfo + "\n"}
    monkeypatch.setattr(cgroup, "read_proc", lambda path: content[path].encode())
    scope, leaf = process_tree.open_scope(os.getpid(), search_only=False)
    assert leaf is None
    assert scope.kind == "search"
    assert "control group" in scope.detail


def test_under_systemd_only_a_delegated_group_is_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even root must not make leaves in a group that systemd keeps for itself."""
    monkeypatch.setattr(cgroup.os.path, "isdir", lambda _: True)
    monkeypatch.setattr(cgroup.os, "getxattr", lambda *_: b"0")
    with pytest.raises(cgroup.NoControlGroupError, match="Delegate=yes"):
        cgroup._check_delegation(str(tmp_path))
    monkeypatch.setattr(cgroup.os, "getxattr", lambda _, mark: b"1" if mark == "user.delegate" else b"")
    cgroup._check_delegation(str(tmp_path))


def test_searching_can_be_asked_for(supervise: Supervise) -> None:
    """For a host whose control groups misbehave, and for these tests."""
    supervision = supervise(*shell("exit 0"), scope=Scope.SEARCH)
    assert supervision.wait_for(wire.Ready).scope == "search"
    assert supervision.guard.leaf is None
