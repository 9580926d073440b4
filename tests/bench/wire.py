"""ZooKeeper's protocol, as far as it takes to name what passes on one connection; pure.

Owns the framing (four bytes of length), which operation a request asks for, and which of what the server sends are
answers and which are events of watches. Pings are recognised and left out. Not everything is decoded: of what is asked
the path is, of answers only whether they are errors.
"""

import struct
from typing import NamedTuple

CREATE, DELETE, SET_DATA, CHECK, MULTI, PING, CLOSE = 1, 2, 5, 13, 14, 11, -11
OPERATIONS = {
    CREATE: "create",
    DELETE: "delete",
    3: "exists",
    4: "getData",
    SET_DATA: "setData",
    6: "getACL",
    7: "setACL",
    8: "getChildren",
    9: "sync",
    12: "getChildren2",
    CHECK: "check",
    MULTI: "multi",
    15: "create2",
    100: "auth",
    101: "setWatches",
    102: "sasl",
    CLOSE: "closeSession",
}
EVENTS = {1: "created", 2: "deleted", 3: "changed", 4: "children changed"}
WATCH_XID, PING_XID = -1, -2


class Seen(NamedTuple):
    """One thing that passed: a `request`, an `answer`, or an `event`, and of what."""

    kind: str
    what: str


class Frames:
    """One direction of a connection: bytes as they come, whole frames as they are complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames that are whole now."""
        self._rest += data
        frames = []
        while len(self._rest) >= 4:
            (length,) = struct.unpack_from(">i", self._rest)
            if length < 0:
                raise ValueError("this is not ZooKeeper's protocol")
            if len(self._rest) < 4 + length:
                break
            frames.append(self._rest[4 : 4 + length])
            self._rest = self._rest[4 + length :]
        return frames


class Dialogue:
    """One connection of a client's, from its first byte on: which answer belongs to which request."""

    def __init__(self) -> None:
        self._out, self._in = Frames(), Frames()
        self._is_greeted = False
        self._has_greeted = False
        self._asked: dict[int, str] = {}

    def sent(self, data: bytes) -> list[Seen]:
        """Take what the client sends."""
        seen = []
        for frame in self._out.feed(data):
            if not self._has_greeted:
                self._has_greeted = True
                seen.append(Seen("request", "connect"))
                continue
            xid, operation = struct.unpack_from(">ii", frame)
            if operation != PING:
                self._asked[xid] = named(operation, frame[8:])
                seen.append(Seen("request", self._asked[xid]))
        return seen

    def received(self, data: bytes) -> list[Seen]:
        """Take what the server sends."""
        seen = []
        for frame in self._in.feed(data):
            if not self._is_greeted:
                self._is_greeted = True
                seen.append(Seen("answer", "connect"))
                continue
            xid, _, error = struct.unpack_from(">iqi", frame)
            if xid == WATCH_XID:
                kind, _ = struct.unpack_from(">ii", frame, 16)
                path, _ = _text(frame, 24)
                seen.append(Seen("event", f"{short(path)} {EVENTS.get(kind, kind)}"))
            elif xid != PING_XID:
                refused = f" (error {error})" if error else ""
                seen.append(Seen("answer", self._asked.pop(xid, "?") + refused))
        return seen


def named(operation: int, body: bytes) -> str:
    """Return a request in words: the operation and the last part of its path; of a multi all of its operations."""
    name = OPERATIONS.get(operation, f"operation {operation}")
    if operation == MULTI:
        return f"multi[{', '.join(_parts(body))}]"
    if operation in (CLOSE, 100, 101, 102):
        return name
    return f"{name} {short(_text(body, 0)[0])}"


def short(path: str) -> str:
    """Return the last part of a path, with what tells one candidate from another left out."""
    last = path.rpartition("/")[2]
    return "candidate" if last[-10:].isdigit() else last or "/"


def _parts(body: bytes) -> list[str]:
    parts, at = [], 0
    while True:
        operation, is_done, _ = struct.unpack_from(">i?i", body, at)
        at += 9
        if is_done:
            return parts
        path, end = _text(body, at)
        parts.append(f"{OPERATIONS.get(operation, operation)} {short(path)}")
        if operation in (CREATE, SET_DATA, 15):
            end = _skip(body, end)
        if operation in (CREATE, 15):
            (entries,) = struct.unpack_from(">i", body, end)
            end += 4
            for _ in range(entries):
                end = _skip(body, _skip(body, end + 4))
        at = end + 4  # the version, or the flags of a create


def _text(body: bytes, at: int) -> tuple[str, int]:
    end = _skip(body, at)
    return body[at + 4 : end].decode(errors="replace"), end


def _skip(body: bytes, at: int) -> int:
    """Return where a string or buffer that begins here ends; one that is null has a length of -1."""
    (length,) = struct.unpack_from(">i", body, at)
    return at + 4 + max(length, 0)
