"""Versions beside each other: this one keeps what a later one adds to format 1, and never touches a higher format."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import next_version
import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from next_version import ADDED, added_by
from program import Program
from promise import assert_promise, candidates, wait_acting
from waiting import wait_until
from zookeeper import Server

NEWER = b'{"format": 3, "holder": {"of": "another kind"}, "parts": [1]}'


@pytest.fixture
def later(candidate: Candidate, tmp_path: Path) -> Callable[..., Program]:
    """Give `later(id, *options)`: a candidate of a later version."""
    command = next_version.make(tmp_path / "later")

    def start(name: str, *options: str, **rest: Any) -> Program:
        return candidate(name, *options, program=command, **rest)

    return start


@pytest.fixture
def record(kazoo_client: KazooClient, election: str) -> Callable[[], dict[str, Any]]:
    """Give `record()`: what stands in the lease record."""

    def read() -> dict[str, Any]:
        content: dict[str, Any] = json.loads(kazoo_client.get(f"{election}/lease-0")[0])
        return content

    return read


def test_versions_are_rolled_over_one_by_one_and_each_keeps_what_another_added(
    candidate: Candidate,
    later: Callable[..., Program],
    record: Callable[[], dict[str, Any]],
    beats: Path,
    kazoo_client: KazooClient,
    election: str,
) -> None:
    """Claim, renewal, release and the guard's release: of the later version by this one, and the other way round."""
    run_once = ("--once-per", "1h")
    first = candidate("this-1")
    wait_acting(first, beats)
    second = later("later-1", *run_once)
    second.wait_for("event=waiting .*predecessor_id=this-1")
    candidate_of_second = json.loads(kazoo_client.get(f"{election}/{candidates(kazoo_client, election)[1]}")[0])
    assert (candidate_of_second["format"], candidate_of_second["added"]) == (1, ADDED)
    first.signal(signal.SIGTERM)
    wait_acting(second, beats)
    wait_until(lambda: record()["token"], what="a renewal of the later version")
    second_guid = added_by(record())
    assert second_guid == record()["holder"]
    assert record()["last_run"]["added"] == ADDED

    # This version after the later one: claim, renewal and release keep all that was added, however deep.
    third = candidate("this-2")
    third.wait_for("event=waiting .*predecessor_id=later-1")
    second.signal(signal.SIGTERM)
    wait_acting(third, beats)
    wait_until(lambda: record()["token"], what="a renewal of this version")
    kept = record()
    assert added_by(kept) == second_guid
    assert kept["previous"]["added"] == kept["last_run"]["added"] == ADDED
    assert (kept["previous"]["id"], kept["previous"]["reason"]) == ("later-1", "asked")
    assert kept["previous"]["ended"] is not None, "which this version has filled in"
    third.signal(signal.SIGTERM)
    assert third.wait() == -signal.SIGTERM
    released = record()
    assert released["released"]
    assert added_by(released) == second_guid
    assert released["last_run"] == kept["last_run"]

    # The guard's release, by this version.
    fourth = candidate("this-3")
    wait_acting(fourth, beats)
    fourth.signal(signal.SIGKILL)
    wait_until(lambda: record()["released"], what="released by the guard")
    assert record()["previous"]["reason"] == "supervisor_gone"
    assert added_by(record()) == second_guid
    assert record()["last_run"] == kept["last_run"]

    # And the later version again, with its own guard's release.
    fifth = later("later-2")
    wait_acting(fifth, beats)
    wait_until(lambda: added_by(record()) != second_guid, what="it has written its own")
    assert record()["last_run"] == kept["last_run"]
    fifth.signal(signal.SIGKILL)
    wait_until(lambda: record()["released"], what="released by its guard")
    assert record()["previous"]["added"] == ADDED
    assert_promise(beats, tenures=5)


def test_a_run_of_a_period_that_a_later_version_has_recorded_counts(
    candidate: Candidate, later: Callable[..., Program], record: Callable[[], dict[str, Any]]
) -> None:
    """What this version understands of `last_run` is understood, whatever stands beside it."""
    program = later("later", "--once-per", "1h", command=("true",))
    assert program.wait() == 0
    done = record()
    assert done["last_run"]["added"] == ADDED
    program = candidate("this", "--once-per", "1h", command=("false",))
    program.wait_for("event=already_done")
    assert program.wait() == 0
    assert record() == done


def test_fields_of_a_candidate_are_kept_by_its_claim_and_by_a_request_to_resign(
    candidate: Candidate,
    later: Callable[..., Program],
    programs: Callable[..., Program],
    zookeeper: Server,
    beats: Path,
    kazoo_client: KazooClient,
    election: str,
) -> None:
    """A later version may write into the candidates of this one, and this one asks a later one to resign."""

    def leaders() -> tuple[str, dict[str, Any]]:
        path = f"{election}/{candidates(kazoo_client, election)[0]}"
        return path, json.loads(kazoo_client.get(path)[0])

    first = later("later", witness=("--linger", "1"))
    wait_acting(first, beats)
    second = candidate("this")
    second.wait_for("event=waiting ")
    own = f"{election}/{candidates(kazoo_client, election)[1]}"
    kazoo_client.set(own, json.dumps(json.loads(kazoo_client.get(own)[0]) | {"added": ADDED}).encode())
    asking = programs("resign", "-z", zookeeper.hosts, election)
    wait_until(lambda: "resign" in leaders()[1], what="the request")
    assert leaders()[1]["added"] == ADDED
    assert asking.wait() == 0
    wait_acting(second, beats)
    assert leaders() == (own, json.loads(kazoo_client.get(own)[0]))
    assert leaders()[1]["added"] == ADDED
    assert_promise(beats, tenures=2)


# ---- a higher format


@pytest.mark.parametrize("where", ["record", "candidate"])
def test_a_higher_format_is_neither_claimed_nor_written_nor_deleted(
    candidate: Candidate, kazoo_client: KazooClient, election: str, where: str
) -> None:
    """78: what it says, who knows. Our own candidate is gone, everybody else's is there."""
    kazoo_client.ensure_path(election)
    if where == "record":
        path = kazoo_client.create(f"{election}/lease-0", NEWER)
    else:
        path = kazoo_client.create(f"{election}/other-n_", NEWER, ephemeral=True, sequence=True)
    before = kazoo_client.get(path)
    program = candidate("a")
    assert program.wait() == 78
    assert any(line.startswith("zkleader: cannot take part") and "format 3" in line for line in program.stderr)
    assert kazoo_client.get(path) == before
    mine = [path.rpartition("/")[2]] if where == "candidate" else []
    wait_until(lambda: candidates(kazoo_client, election) == mine, what="our candidate is gone")


@pytest.mark.parametrize(("command", "status"), [("resign", 78), ("status", None), ("is-leader", None)])
def test_whoever_looks_at_a_higher_format_leaves_it_alone(
    programs: Callable[..., Program],
    zookeeper: Server,
    kazoo_client: KazooClient,
    election: str,
    command: str,
    status: int | None,
) -> None:
    """Nobody of this version knows how to ask such a leader to resign; and looking is not writing."""
    kazoo_client.ensure_path(election)
    paths = [
        kazoo_client.create(f"{election}/lease-0", NEWER),
        kazoo_client.create(f"{election}/other-n_", NEWER, ephemeral=True, sequence=True),
    ]
    before = [kazoo_client.get(path) for path in paths]
    program = programs(command, "-z", zookeeper.hosts, election)
    ended = program.wait()
    assert status in (None, ended)
    assert not any("Traceback" in line or "internal error" in line for line in program.stderr)
    assert [kazoo_client.get(path) for path in paths] == before
    if status is None:
        assert any("format" in line for line in program.stdout + program.stderr), program.report()


def test_a_leader_that_finds_a_higher_format_loses_and_does_not_write(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Somebody has migrated the election too early."""
    program = candidate("a")
    wait_acting(program, beats)
    assert_untouched(kazoo_client, election, lambda: program.wait_for("event=leadership_lost.*reason=record_replaced"))
    assert program.wait() == 79


def test_the_guard_does_not_write_over_a_higher_format(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """What releases for a dead supervisor reads before it writes, too."""
    program = candidate("a", "--lease", "20s")
    wait_acting(program, beats)
    assert_untouched(kazoo_client, election, lambda: program.signal(signal.SIGKILL))
    program.assert_nothing_left(deadline=5)


def assert_untouched(client: KazooClient, election: str, happen: Callable[[], object]) -> None:
    """Let something happen under a record of a higher format, which has to stay as it is when our candidate is gone.

    Nothing else about it is wrong, and it names our candidacy.
    """
    record = json.loads(client.get(f"{election}/lease-0")[0])
    client.set(f"{election}/lease-0", json.dumps(record | {"format": 3}).encode())
    before = client.get(f"{election}/lease-0")
    happen()
    wait_until(lambda: not candidates(client, election), what="our candidate is gone")
    assert client.get(f"{election}/lease-0") == before
