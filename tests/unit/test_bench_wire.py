"""What passes between a candidate and its server, as the benchmark names it: by kazoo's own bytes."""

import struct

import pytest
from bench.wire import Dialogue, Seen
from kazoo.protocol import serialization as kazoo
from kazoo.security import OPEN_ACL_UNSAFE

PATH = "/bench/x"
CANDIDATE = f"{PATH}/0b6f8a0e-n_0000000007"


def framed(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


def request(xid: int, what: object) -> bytes:
    return framed(struct.pack(">ii", xid, what.type) + bytes(what.serialize()))  # type: ignore[attr-defined]


def answer(xid: int, error: int = 0) -> bytes:
    return framed(struct.pack(">iqi", xid, 77, error))


def event(kind: int, path: str) -> bytes:
    text = path.encode()
    return framed(struct.pack(">iqi", -1, -1, 0) + struct.pack(">iii", kind, 3, len(text)) + text)


def greeted() -> Dialogue:
    dialogue = Dialogue()
    dialogue.sent(framed(b"\0" * 44))
    dialogue.received(framed(b"\0" * 36))
    return dialogue


def test_a_connection_begins_with_its_greeting() -> None:
    """Which has no number, and is no request of anybody's."""
    dialogue = Dialogue()
    assert dialogue.sent(framed(b"\0" * 44)) == [Seen("request", "connect")]
    assert dialogue.received(framed(b"\0" * 36)) == [Seen("answer", "connect")]


def test_answers_are_named_by_their_requests_and_errors_are_told() -> None:
    """They come in the order of the requests, but the number is what tells."""
    dialogue = greeted()
    assert dialogue.sent(request(1, kazoo.GetData(f"{PATH}/lease-0", None))) == [Seen("request", "getData lease-0")]
    assert dialogue.sent(request(2, kazoo.Delete(CANDIDATE, -1))) == [Seen("request", "delete candidate")]
    assert dialogue.received(answer(2, -101)) == [Seen("answer", "delete candidate (error -101)")]
    assert dialogue.received(answer(1)) == [Seen("answer", "getData lease-0")]


def test_a_multi_is_named_by_all_of_its_operations() -> None:
    """Whatever they carry is skipped by its length: data, ACLs, versions."""
    operations = [
        kazoo.CheckVersion(CANDIDATE, -1),
        kazoo.SetData(f"{PATH}/lease-0", b'{"beat": 3}', 4),
        kazoo.Create(f"{PATH}/new", b"x" * 30, OPEN_ACL_UNSAFE, 0),
        kazoo.SetData(PATH, None, 1),
        kazoo.Delete(CANDIDATE, -1),
    ]
    whole = kazoo.Transaction(operations)
    named = "multi[check candidate, setData lease-0, create new, setData x, delete candidate]"
    assert greeted().sent(request(3, whole)) == [Seen("request", named)]


def test_events_are_no_answers() -> None:
    """A thousand of them would be a herd; they are counted apart."""
    dialogue = greeted()
    got = dialogue.received(event(2, CANDIDATE) + event(3, f"{PATH}/lease-0"))
    assert got == [Seen("event", "candidate deleted"), Seen("event", "lease-0 changed")]


def test_pings_are_left_out() -> None:
    """They come by the clock, whatever happens."""
    dialogue = greeted()
    assert dialogue.sent(framed(struct.pack(">ii", -2, 11))) == []
    assert dialogue.received(answer(-2)) == []


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_bytes_may_come_in_any_pieces(size: int) -> None:
    """TCP promises their order and nothing else."""
    dialogue = greeted()
    whole = request(1, kazoo.GetData(PATH, None)) + request(2, kazoo.Sync(PATH))
    pieces = (whole[start : start + size] for start in range(0, len(whole), size))
    assert [seen.what for piece in pieces for seen in dialogue.sent(piece)] == ["getData x", "sync x"]


def test_what_is_not_zookeepers_protocol_is_refused() -> None:
    """A length below zero is nobody's."""
    with pytest.raises(ValueError, match="protocol"):
        greeted().received(b"\xff\xff\xff\xff")
