"""What a rehearsal makes of what it sees: findings, lines, and the exit status."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from candidacy_script import at, record, stat

from zkleader.check import host, servers
from zkleader.check.finding import Finding, Level, fail, line_of, ok, status_of, warn
from zkleader.check.host import Measured, Stamp
from zkleader.check.servers import Answered
from zkleader.check.timing import judge_session, judge_timing
from zkleader.check.visit import Visit
from zkleader.core import queue
from zkleader.core.actions import Create, Delete, Exists, Get, GetAcl, ListNames, Multi, Request
from zkleader.core.events import (
    Acl,
    AclEntry,
    Answer,
    Applied,
    Content,
    Created,
    Names,
    Refusal,
    Refused,
    Unanswered,
)
from zkleader.core.lease import Instant, Timing
from zkleader.exit_status import ExitStatus
from zkleader.zk.access import UnreachableError
from zkleader.zk.hosts import Server

TIMING = Timing(lease=20, grace=5, stop_timeout=25)
NO_NODE = Refused(refusal=Refusal.NO_NODE)
NO_AUTH = Refused(refusal=Refusal.NO_AUTH)
BAD_VERSION = Refused(refusal=Refusal.BAD_VERSION)


def told(findings: list[Finding]) -> list[tuple[str, str, int]]:
    """Return what matters to scripts: level, topic, status."""
    return [(finding.level.value, finding.topic, finding.status) for finding in findings]


# ---- lines


def test_a_line_is_aligned_and_begins_with_its_level() -> None:
    """For people and for `grep ^FAIL`."""
    assert line_of(ok("acl", "fine"), 8) == "ok    acl       fine"
    assert line_of(warn("writes", "slow"), 8) == "warn  writes    slow"
    assert line_of(fail("session", "none", ExitStatus.UNREACHABLE), 8) == "FAIL  session   none"


def test_the_status_is_0_without_a_failure_and_else_the_greatest() -> None:
    """What is in a configuration does not pass by itself; a server that is away may be back."""
    assert status_of([]) == 0
    assert status_of([ok("a", ""), warn("b", "")]) == 0
    unreachable, forbidden = fail("a", "", ExitStatus.UNREACHABLE), fail("b", "", ExitStatus.NOT_PERMITTED)
    assert status_of([unreachable, ok("c", "")]) == 69
    assert status_of([forbidden, unreachable]) == 77
    assert status_of([unreachable, forbidden, fail("c", "", ExitStatus.CONFIGURATION)]) == 78


# ---- servers


@pytest.mark.parametrize(
    ("answer", "wanted", "text"),
    [
        (Answered(name="a:1", address="a:1", version="3.8.0", role="leader", round_trip=0.0004), "ok", "3.8.0, leader"),
        (
            Answered(name="a:1", address="a:1", round_trip=0.01),
            "ok",
            "not tell version and role; round trip 10",
        ),
        (
            Answered(name="a:1", address="1.2.3.4:1", role="observer", round_trip=0.01),
            "ok",
            "1.2.3.4:1: observer",
        ),
        (Answered(name="a:1", address="a:1", round_trip=0.9), "warn", "900.0 ms, more than the 0.8 s"),
        (Answered(name="a:1", address="a:1", trouble="connection refused"), "warn", "connection refused"),
        (Answered(name="a:1", address="", trouble="cannot resolve a"), "warn", "cannot resolve a"),
        (Answered(name="a:1", address="a:1", trouble="authentication is refused", is_refused=True), "FAIL", "refused"),
    ],
)
def test_a_server_is_judged_by_itself(answer: Answered, wanted: str, text: str) -> None:
    """While the ensemble is reached, one that is away is no reason not to deploy; one that refuses us is."""
    [finding] = servers.judge([answer], TIMING, is_reached=True)
    assert (finding.level.value, finding.topic) == (wanted, "server a:1")
    assert text in finding.text
    assert finding.status == (77 if wanted == "FAIL" else 0)


def test_where_none_is_reached_each_is_a_failure() -> None:
    """`run` would not get anywhere."""
    away = Answered(name="a:1", address="a:1", trouble="connection refused")
    assert told(servers.judge([away, away], TIMING, is_reached=False)) == [("FAIL", "server a:1", 69)] * 2


def serve_once(answer: bytes) -> socket.socket:
    """Return our end of a connection to a server that says this and hangs up."""
    ours, theirs = socket.socketpair()

    def say() -> None:
        with theirs:
            theirs.recv(4)
            theirs.sendall(answer)

    threading.Thread(target=say, daemon=True).start()
    return ours


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"Zookeeper version: 3.9.2-abc, built on x\nMode: follower\n", {"version": "3.9.2", "role": "follower"}),
        (b"srvr is not executed because it is not in the whitelist.\n", {"version": "", "role": ""}),
        (b"This ZooKeeper instance is not currently serving requests\n", {"version": "", "role": ""}),
        (b"", {"version": "", "role": ""}),
        (b"\x15\x03\x01" + b"\xff" * 100_000, {"version": "", "role": ""}),
    ],
)
def test_a_server_need_not_say_what_it_is(answer: bytes, wanted: dict[str, str]) -> None:
    """Four-letter words are often forbidden, and nothing depends on them."""
    with serve_once(answer) as connection:
        assert servers._describe(connection, Server(host="127.0.0.1", port=1)) == wanted


# ---- the host


def after(seconds: float, *, slew: float = 0.0, asleep: float = 0.0) -> Instant:
    """Return an instant by which the clocks have gone on so."""
    return Instant(monotonic=seconds * (1 + slew), raw=seconds, boottime=seconds * (1 + slew) + asleep)


@pytest.mark.parametrize(
    ("ended", "lateness", "warned"),
    [
        (after(1), 0.002, set()),
        (after(1, slew=0.0005), 0.44, set()),
        (after(1, slew=-0.08), 0.002, {"clocks"}),
        (after(1, slew=0.02), 0.002, {"clocks"}),
        (after(1, asleep=3600), 0.002, {"suspension"}),
        (after(1), 0.46, {"scheduling"}),
    ],
)
def test_what_the_promise_rests_on_is_looked_at(ended: Instant, lateness: float, warned: set[str]) -> None:
    """A clock that is slewed, a host that sleeps, a kernel that is late."""
    findings = host.judge(Measured(began=at(0), ended=ended, lateness=lateness), TIMING)
    assert [finding.topic for finding in findings] == ["clocks", "suspension", "scheduling"]
    assert {finding.topic for finding in findings if finding.level is not Level.OK} == warned


def test_the_host_is_measured() -> None:
    """A second of it; nothing here is expected of this very machine."""
    measured = host.measure()
    assert measured.ended.raw - measured.began.raw >= host.MEASURED_FOR
    assert measured.lateness >= 0


def stamps(ms: int, *, answered_in: float = 0.001, epoch: int = 1) -> tuple[Stamp, Stamp]:
    """Return two writes, a second apart on our clock and so many milliseconds on the ensemble's."""
    first = Stamp(sent=at(10), answered=at(10 + answered_in), time=5_000, zxid=(1 << 32) + 7)
    last = Stamp(sent=at(11), answered=at(11 + answered_in), time=5_000 + ms, zxid=(epoch << 32) + 1)
    return first, last


@pytest.mark.parametrize(
    ("pair", "level", "text"),
    [
        (stamps(1000), "ok", "within 0.2%"),
        (stamps(1005), "ok", "within 0.7%"),
        (stamps(1000, answered_in=0.05), "ok", "answers take too long to tell more in a second"),
        (stamps(1020), "warn", "our clock runs 1.8% or more slower than ZooKeeper's"),
        (stamps(900), "warn", "our clock runs 9.8% or more faster than ZooKeeper's"),
        (stamps(-3_600_000), "warn", "faster than ZooKeeper's"),
        (stamps(9_000, epoch=2), "ok", "cannot be told"),
    ],
)
def test_our_clock_is_compared_with_the_ensembles(pair: tuple[Stamp, Stamp], level: str, text: str) -> None:
    """Only bounds follow from two stamps, and only what they prove is said."""
    finding = host.judge_rate(*pair)
    assert finding.level.value == level
    assert text in finding.text


# ---- timing


def test_a_timing_that_cannot_work_is_a_failure() -> None:
    """With the values and the inequality, as `run` has them."""
    [finding] = judge_timing(Timing(lease=4, grace=5, stop_timeout=25), 3, [4.0])
    assert (finding.level, finding.status) == (Level.FAIL, 78)
    assert finding.text.startswith("--grace 5s + margin 0.29s")


def test_the_outage_that_is_ridden_out_is_told() -> None:
    """By the lease, or by the session that was granted; and that a silent server may cost more."""
    [finding] = judge_timing(TIMING, 3, [None, 20.0])
    assert (finding.level, finding.text) == (Level.OK, "an outage shorter than 9.55s is ridden out")
    [finding] = judge_timing(TIMING, 3, [20.0, 10.0])
    assert finding.text == "an outage shorter than 6s is ridden out (the session is the limit)"
    findings = judge_timing(Timing(lease=20, grace=11, stop_timeout=25), 3, [20.0])
    assert [finding.level for finding in findings] == [Level.OK, Level.WARN]


def test_a_session_that_is_shorter_than_the_lease_is_warned_of() -> None:
    """Of several servers with several limits, the least counts."""
    assert judge_session([20.0, None], TIMING).text == "20s granted, as --lease wants"
    assert judge_session([40.0], TIMING).text == "40s granted; --lease is 20s"
    finding = judge_session([20.0, 4.0], TIMING)
    assert (finding.level, finding.text) == (Level.WARN, "4s granted, less than --lease 20s")
    assert judge_session([None], TIMING).level is Level.OK


# ---- the election


class Ensemble:
    """Answers as told, and as a ZooKeeper without limits for the rest; notes what was asked."""

    def __init__(self, *, path: str = "/zkleader/job", **answers: Any) -> None:
        self.server = "s"
        self.requests: list[Request] = []
        self._answers = answers
        self._path = path
        self._version = 0

    def ask(self, request: Request) -> tuple[Answer]:
        self.requests.append(request)
        return (self._answer(request),)

    def _answer(self, request: Request) -> Answer:
        name = _kind(request)
        if name in self._answers:
            answer: Answer = self._answers[name]
            return answer
        match request:
            case Exists(path=path):
                return Applied() if (self._path + "/").startswith(path.rstrip("/") + "/") else NO_NODE
            case Create(path=path):
                return Created(path=path)
            case GetAcl():
                return Acl(entries=(AclEntry("world", "anyone", 31),))
            case ListNames():
                return Names(names=("lease-0", "other-n_0000000003"))
            case Get(path=path):
                return Content(data=record(released=False) if path.endswith("lease-0") else b"{}", stat=stat(4))
            case Multi(operations=(write,)):
                if write.version != self._version:  # type: ignore[union-attr]
                    return BAD_VERSION
                self._version += 1
                return Applied(stats=(stat(self._version),))
            case _:
                return Applied()


def _kind(request: Request) -> str:
    if isinstance(request, Multi):
        return "record_write" if request.operations[0].path.endswith("lease-0") else "write"
    if isinstance(request, Get):
        return "record" if request.path.endswith("lease-0") else "candidate"
    return type(request).__name__.lower()


def visit(ensemble: Ensemble, *, is_election: bool = True, chroot: str = "") -> list[Finding]:
    """Have all of it done."""
    path = "/zkleader/job" if is_election else "/zkleader"
    election = Visit(ensemble, chroot, path, TIMING, is_election=is_election)  # type: ignore[arg-type]
    return [*election.look(), *election.begin(), *election.end()]


def test_a_living_election_is_only_read() -> None:
    """Our own znode is nobody's candidate, and is deleted; the one write to the record can only fail."""
    ensemble = Ensemble()
    findings = visit(ensemble)
    assert told(findings) == [("ok", "election", 0), ("warn", "acl", 0), ("ok", "writes", 0)]
    assert findings[0].text == "/zkleader/job: them leads, 1 candidate"
    creates = [request for request in ensemble.requests if isinstance(request, Create)]
    [own] = [create.path for create in creates]
    assert creates[0].ephemeral
    name = own.removeprefix("/zkleader/job/")
    assert queue.sequence_of(name) is None
    assert not name.startswith(queue.RECORD_PREFIX)
    assert [request.path for request in ensemble.requests if isinstance(request, Delete)] == [own]
    writes = [request.operations[0] for request in ensemble.requests if isinstance(request, Multi)]
    assert {write.path for write in writes} == {own, "/zkleader/job/lease-0"}
    assert [write.version for write in writes if write.path != own] == [-2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "wanted", "text"),
    [
        (record(), ("ok", 0), "nobody leads"),
        (record(released=False, holder=""), ("ok", 0), "nobody leads"),
        (record(released=False, holder="x", id="a\x1b"), ("ok", 0), "a\\x1b is gone without having released"),
        (b"\xff", ("warn", 0), "cannot be read (not JSON)"),
        (b'{"format": 3}', ("FAIL", 78), "its lease record has format 3, and this version knows formats 1 and 2"),
        (None, ("warn", 0), "has no lease record"),
    ],
)
def test_what_the_record_says(data: bytes | None, wanted: tuple[str, int], text: str) -> None:
    """Garbage is written over some day; what is newer never is."""
    answer = NO_NODE if data is None else Content(data=data, stat=stat(4))
    finding = visit(Ensemble(record=answer))[0]
    assert (finding.level.value, finding.status) == wanted
    assert text in finding.text


def test_a_candidate_of_a_newer_format_is_a_failure() -> None:
    """Whoever comes behind it ends with 78."""
    findings = visit(Ensemble(candidate=Content(data=json.dumps({"format": 3}).encode(), stat=stat(1))))
    assert ("FAIL", "election", 78) in told(findings)


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"record": NO_AUTH}, "/zkleader/job may not be read"),
        ({"listnames": NO_AUTH}, "/zkleader/job may not be read"),
        ({"record_write": NO_AUTH}, "its lease record may not be written"),
        ({"create": NO_AUTH}, "may not create in /zkleader/job"),
        ({"write": NO_AUTH}, "may not write in /zkleader/job"),
        ({"delete": NO_AUTH}, "may not delete in /zkleader/job"),
    ],
)
def test_each_permission_that_lacks_is_named(answers: dict[str, Answer], text: str) -> None:
    """77, as `run` would end, though perhaps only when it leads."""
    failures = [finding for finding in visit(Ensemble(**answers)) if finding.level is Level.FAIL]
    assert [(finding.status, finding.text) for finding in failures] == [(77, text)]


def test_what_is_open_to_everybody_is_warned_of() -> None:
    """Reading is no harm; an ACL that may not be read says nothing."""
    mine = AclEntry("digest", "u:x", 31)
    for entries in ((mine,), (mine, AclEntry("world", "anyone", 1)), (AclEntry("ip", "10.0.0.0/8", 31),)):
        assert ("ok", "acl", 0) in told(visit(Ensemble(getacl=Acl(entries=entries))))
    assert ("ok", "acl", 0) in told(visit(Ensemble(getacl=NO_AUTH)))
    [finding] = [one for one in visit(Ensemble()) if one.topic == "acl"]
    assert finding.text.endswith("what `run` creates, the election, its lease record")


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"create": Refused(refusal=Refusal.OTHER, text="quota exceeded")}, "cannot create in /zkleader/job: quota"),
        ({"delete": NO_NODE}, "cannot delete in /zkleader/job: no such znode"),
        ({"write": Applied(stats=(stat(0),))}, "was not refused"),
    ],
)
def test_what_does_not_do_as_it_should_is_a_failure(answers: dict[str, Answer], text: str) -> None:
    """Above all a compare-and-set that does not compare: everything rests on it."""
    failures = [finding for finding in visit(Ensemble(**answers)) if finding.level is Level.FAIL]
    assert [finding.status for finding in failures] == [70]
    assert text in failures[0].text


def test_no_answer_is_no_verdict() -> None:
    """It is told by whoever has connected."""
    for answers in ({"exists": Unanswered()}, {"create": Unanswered()}, {"write": Unanswered()}):
        with pytest.raises(UnreachableError):
            visit(Ensemble(**answers))


@pytest.mark.parametrize(
    ("path", "chroot", "wanted", "tried"),
    [
        ("/", "", [], "/"),
        ("/zkleader", "", [], "/zkleader"),
        ("/", "/c/d", [("warn", "chroot")], "/ (above the chroot)"),
        ("/c/d", "/c/d", [], "/"),
    ],
)
def test_an_election_that_is_not_there_is_tried_in_the_place_next_to_it(
    path: str, chroot: str, wanted: list[tuple[str, str]], tried: str
) -> None:
    """That is where `run` would begin to create it; nothing is left behind, so nothing is made below."""
    ensemble = Ensemble(path=path)
    findings = visit(ensemble, chroot=chroot)
    assert [(finding.level.value, finding.topic) for finding in findings[:-3]] == wanted
    assert findings[-3].text == f"/zkleader/job does not exist yet; what follows is tried in {tried}"
    [own] = [request.path for request in ensemble.requests if isinstance(request, Create)]
    assert own.rpartition("/")[0] == path.rstrip("/")
    assert findings[-2].text.endswith("may write: what `run` creates")


def test_without_an_election_no_record_is_expected() -> None:
    """/zkleader is where elections are, and none itself."""
    assert told(visit(Ensemble(path="/zkleader"), is_election=False)) == [("warn", "acl", 0), ("ok", "writes", 0)]


def test_slow_writes_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader needs one in each renewal interval."""
    clock: Callable[[], float] = iter(range(0, 10_000, 2)).__next__
    monkeypatch.setattr("zkleader.check.visit.time.monotonic", clock)
    finding = visit(Ensemble())[-1]
    assert (finding.level, finding.topic) == (Level.WARN, "writes")
    assert "2.0 s a write, of which a leader needs one every 2 s" in finding.text
