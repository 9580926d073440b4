"""What is asked of ZooKeeper to see an election, against a stand-in for the client: few requests, and none in vain."""

import json
from collections.abc import Callable

import pytest

from zkleader.core import records
from zkleader.core.actions import Get, ListNames, Request, Sync
from zkleader.core.events import (
    Answer,
    Applied,
    Content,
    Event,
    Names,
    Refusal,
    Refused,
    Suspended,
    Touched,
    Unanswered,
)
from zkleader.core.records import Identity, LeaseRecord, Stat
from zkleader.core.view import Standing, State
from zkleader.errors import RefusedError
from zkleader.zk import observer
from zkleader.zk.access import Access, NotPermittedError, UnreachableError
from zkleader.zk.hosts import parse_hosts
from zkleader.zk.observer import MOST_ZNODES, Observer

GUIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(3)]
A, B, C = (f"{guid}-n_{number:010d}" for number, guid in enumerate(GUIDS))
IDENTITY = Identity(id="a", host="h", pid=1, command="c", version="0")
ACCESS = Access(hosts=parse_hosts("zk1:2181/chroot"))


def record(holder: str, beat: int = 1) -> bytes:
    stat = Stat(czxid=1, mzxid=1, version=0, mtime=1, ctime=1)
    first = records.parse_lease_record(records.new_record(released=True), stat)
    assert isinstance(first, LeaseRecord)
    return records.encode(records.claimed(first, stat, guid=holder, beat=beat, lease=20.0, identity=IDENTITY))


class StandIn:
    """Stands in for `Client`: znodes with data, a log of what was asked, and what is to happen at the next question.

    ``before`` and ``after`` are done, each once, before the next batch is answered and before it returns.
    """

    def __init__(self) -> None:
        self.znodes: dict[str, bytes | Refusal | Refused] = {}
        self.asked: list[Request] = []
        self.batches = 0
        self.is_over = False
        self.server = "zk1:2181"
        self.granted = 20.0
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None
        self.silent = 0
        self.tell: Callable[[Event], None] = lambda _event: None

    def connect(self, _within: float) -> None:
        pass

    def wait(self, _within: float) -> None:
        pass

    def close(self) -> None:
        pass

    def ask(self, *requests: Request) -> tuple[Answer, ...]:
        self.batches += 1
        self.asked += requests
        before, self.before = self.before, None
        if before is not None:
            before()
        if self.silent:
            self.silent -= 1
            return tuple(Unanswered() for _ in requests)
        answers = tuple(map(self._answer, requests))
        after, self.after = self.after, None
        if after is not None:
            after()
        return answers

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, Sync):
            return Applied()
        assert isinstance(request, Get | ListNames)
        path = request.path.removeprefix("/chroot")
        assert path != request.path, "the chroot is part of every path"
        found = self.znodes.get(path)
        if found is None:
            return Refused(refusal=Refusal.NO_NODE)
        if isinstance(found, Refusal):
            return Refused(refusal=found)
        if isinstance(found, Refused):
            return found
        if isinstance(request, ListNames):
            below = [other[len(path) + 1 :] for other in self.znodes if other.startswith(f"{path}/")]
            return Names(names=tuple(name for name in below if "/" not in name))
        stat = Stat(czxid=1, mzxid=3, version=len(found), mtime=4, ctime=2, owner=9)
        return Content(data=found, stat=stat)

    def taken(self) -> list[str]:
        """Return what was asked since the last call, in short."""
        asked, self.asked = self.asked, []
        return [f"{type(request).__name__} {getattr(request, 'path', '').rpartition('/')[2]}" for request in asked]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Return the client that the next observer gets."""
    stand_in = StandIn()

    def make(access: Access, *, on_news: Callable[[Event], None]) -> StandIn:
        assert access is ACCESS
        stand_in.tell = on_news
        stand_in.is_over = False
        return stand_in

    monkeypatch.setattr(observer, "Client", make)
    stand_in.znodes = {
        "/zkleader": b"",
        "/zkleader/job": b"",
        "/zkleader/job/lease-0": record(GUIDS[0]),
        **{f"/zkleader/job/{name}": json.dumps({"format": 1, "id": name[7]}).encode() for name in (B, A)},
    }
    return stand_in


JOB = "/zkleader/job"
RECORD = f"/chroot{JOB}/lease-0"


def test_a_look_is_two_round_trips(client: StandIn) -> None:
    """A sync and the names, then all that they stand for."""
    look = Observer(ACCESS).look_at(JOB, 1.0)
    assert client.taken() == ["Sync job", "ListNames job", "Get lease-0", f"Get {A}", f"Get {B}"]
    assert client.batches == 2
    assert look.server == "zk1:2181"
    assert look.elections[0].path == JOB
    assert look.elections[0].state is State.LED


def test_each_look_asks_everything_anew_unless_it_watches(client: StandIn) -> None:
    """Without a watch nobody tells of changes."""
    once = Observer(ACCESS)
    once.look_at(JOB, 1.0)
    client.taken()
    once.look_at(JOB, 1.0)
    assert client.taken() == ["Sync job", "ListNames job", "Get lease-0", f"Get {A}", f"Get {B}"]
    assert not any(request.watch for request in client.asked if isinstance(request, Get | ListNames))


def test_who_watches_asks_only_what_has_changed(client: StandIn) -> None:
    """A renewal costs a sync and one read, a second without a change a sync."""
    watching = Observer(ACCESS, watch=True)
    watching.look_at(JOB, 1.0)
    assert all(request.watch for request in client.asked if isinstance(request, Get | ListNames))
    client.taken()
    watching.look_at(JOB, 1.0)
    assert client.taken() == ["Sync job"]
    client.tell(Touched(path=RECORD))
    watching.look_at(JOB, 1.0)
    assert client.taken() == ["Sync job", "Get lease-0"]
    client.znodes[f"{JOB}/{C}"] = b""
    client.tell(Touched(path=f"/chroot{JOB}"))
    assert len(watching.look_at(JOB, 1.0).elections[0].candidates) == 3
    assert client.taken() == ["Sync job", "ListNames job", f"Get {C}"]


def test_a_watch_that_fires_before_its_answer_is_told_is_not_forgotten(client: StandIn) -> None:
    """They come by different threads of kazoo's; taken in the wrong order, the change would never be seen."""
    watching = Observer(ACCESS, watch=True)
    client.after = lambda: setattr(client, "after", lambda: client.tell(Touched(path=RECORD)))  # of the second batch
    watching.look_at(JOB, 1.0)
    client.taken()
    watching.look_at(JOB, 1.0)
    assert client.taken() == ["Sync job", "Get lease-0"]


def test_a_refusal_is_asked_again(client: StandIn) -> None:
    """It sets no watch: an election that is made, or opened to us, would never be seen."""
    client.znodes[f"{JOB}/lease-0"] = Refusal.NO_AUTH
    watching = Observer(ACCESS, watch=True)
    assert watching.look_at(JOB, 1.0).elections[0].state is State.NOT_PERMITTED
    client.taken()
    client.znodes[f"{JOB}/lease-0"] = record(GUIDS[0])
    assert watching.look_at(JOB, 1.0).elections[0].state is State.LED
    assert client.taken() == ["Sync job", "Get lease-0"]
    assert watching.look_at("/zkleader/none", 1.0).elections[0].state is State.ABSENT
    client.znodes |= {"/zkleader/none": b"", "/zkleader/none/lease-0": b""}
    assert watching.look_at("/zkleader/none", 1.0).elections[0].state is State.NOBODY


@pytest.mark.parametrize("over", [False, True])
def test_after_a_disconnect_everything_is_asked_anew(client: StandIn, over: bool) -> None:  # noqa: FBT001
    """No watch has survived it; nor a session that is over, after which there is another client."""
    watching = Observer(ACCESS, watch=True)
    watching.look_at(JOB, 1.0)
    client.taken()
    client.tell(Suspended())
    client.is_over = over
    watching.look_at(JOB, 1.0)
    assert len(client.taken()) == 5


def test_a_disconnect_in_the_middle_begins_the_look_again(client: StandIn) -> None:
    """Answers that were on their way have set watches that are gone."""
    watching = Observer(ACCESS, watch=True)
    client.after = lambda: client.tell(Suspended())
    watching.look_at(JOB, 1.0)
    assert client.taken()[:4] == ["Sync job", "ListNames job", "Sync job", "ListNames job"]
    watching.look_at(JOB, 1.0)
    assert client.taken() == ["Sync job"]


def test_no_answer_begins_it_again_too(client: StandIn) -> None:
    """The next server may answer."""
    client.silent = 3
    assert Observer(ACCESS).look_at(JOB, 5.0).elections[0].state is State.LED


def test_no_answer_in_time_is_told(client: StandIn) -> None:
    """Nothing hangs beyond its deadline."""
    client.silent = 1000
    with pytest.raises(UnreachableError, match=r"^no answer$"):
        Observer(ACCESS).look_at(JOB, 0.0)


def test_who_joins_and_claims_while_we_look_has_not_left_the_queue(client: StandIn) -> None:
    """Names were listed before; the record is younger.  Looked at again, its candidate is there."""

    def join() -> None:
        client.znodes[f"{JOB}/{C}"] = b"{}"
        client.znodes[f"{JOB}/lease-0"] = record(GUIDS[2])

    client.after = join
    [election] = Observer(ACCESS).look_at(JOB, 1.0).elections
    assert (election.slots[0].standing, election.slots[0].candidate) == (Standing.LEADS, C)


@pytest.mark.parametrize("watch", [False, True])
def test_who_has_left_the_queue_is_looked_for_twice(client: StandIn, watch: bool) -> None:  # noqa: FBT001
    """And no more often."""
    del client.znodes[f"{JOB}/{A}"]
    [election] = Observer(ACCESS, watch=watch).look_at(JOB, 1.0).elections
    assert election.slots[0].standing is Standing.LOST
    assert [asked for asked in client.taken() if asked == "Get lease-0"] == ["Get lease-0"] * 2


def test_below_a_path_elections_are_found_at_any_depth(client: StandIn) -> None:
    """A name may have slashes; what has neither a record nor a candidate is only part of others' names."""
    client.znodes |= {
        "/zkleader/dc": b"",
        "/zkleader/dc/1": b"",
        "/zkleader/dc/1/night": b"",
        "/zkleader/dc/1/night/lease-0": records.new_record(released=True),
        "/zkleader/hidden": Refusal.NO_AUTH,
        "/zkleader/empty": b"",
    }
    look = Observer(ACCESS).look_below("/zkleader", 1.0)
    assert [(election.path, election.state) for election in look.elections] == [
        ("/zkleader/dc/1/night", State.NOBODY),
        ("/zkleader/hidden", State.NOT_PERMITTED),
        ("/zkleader/job", State.LED),
    ]
    assert look.left_out == 0
    asked = client.taken()
    assert f"Get {A}" in asked, "the leader's candidate tells its session"
    assert f"Get {B}" not in asked


def test_of_very_many_znodes_the_first_are_looked_at(client: StandIn) -> None:
    """A look costs the same however many there are, and says how many it has left out."""
    for number in range(MOST_ZNODES + 50):
        client.znodes |= {f"/zkleader/{number:03d}": b"", f"/zkleader/{number:03d}/lease-0": b""}
    look = Observer(ACCESS).look_below("/zkleader", 1.0)
    assert len(look.elections) == MOST_ZNODES
    assert look.left_out == 51
    assert len(client.asked) == 2 + 2 * MOST_ZNODES


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (JOB, f"list {JOB}: quota exceeded"),
        (f"{JOB}/lease-0", f"read {JOB}/lease-0: quota exceeded"),
    ],
)
def test_what_nobody_could_foresee_is_told_as_such(client: StandIn, path: str, said: str) -> None:
    """A server that refuses was reached, and it is not a permission that is wanting: as for every other subcommand."""
    client.znodes[path] = Refused(refusal=Refusal.OTHER, text="quota exceeded")
    with pytest.raises(RefusedError, match=f"^{said}$"):
        Observer(ACCESS).look_at(JOB, 1.0)
    with pytest.raises(RefusedError, match=f"^{said}$"):
        Observer(ACCESS).look_below("/zkleader", 1.0)


def test_a_root_that_may_not_be_listed_is_told(client: StandIn) -> None:
    """There may be elections below."""
    client.znodes["/zkleader"] = Refusal.NO_AUTH
    with pytest.raises(NotPermittedError, match=r"^list the elections in /zkleader$"):
        Observer(ACCESS).look_below("/zkleader", 1.0)


def test_without_a_root_there_is_no_election(client: StandIn) -> None:
    """Nobody has run anything here yet."""
    client.znodes.clear()
    assert Observer(ACCESS).look_below("/zkleader", 1.0).elections == ()
