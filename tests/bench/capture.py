"""What passes between candidates and their server at a clean hand-over: counted, and written down in its order.

Owns a proxy that reads along. Knows nothing of what any of it is good for.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Self

from bench.figures import Figure
from bench.stage import Stage, Start
from bench.times import MS, hand_over
from bench.wire import Dialogue, Seen


class Passed(NamedTuple):
    """What passed, and when (CLOCK_REALTIME, nanoseconds, as the acts are)."""

    at_ns: int
    who: str
    seen: Seen


class Tap:
    """A port in front of a server; what passes there is handed to `note`."""

    def __init__(self, target: str, note: Callable[[Seen], None]) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._note = note
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.hosts = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                dialogue = Dialogue()
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for source, sink, take in ((client, server, dialogue.sent), (server, client, dialogue.received)):
                    threading.Thread(target=self._pump, args=(source, sink, take), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, take: Callable[[bytes], list[Seen]]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                # Noted before it is passed on, or its answer might be noted first.
                for seen in take(data):
                    self._note(seen)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Handover(NamedTuple):
    """One that was listened to: the acts of the two COMMANDs, and what passed."""

    last_act_ns: int
    first_act_ns: int
    passed: list[Passed]

    @property
    def before_first_act(self) -> list[Passed]:
        """What passed until the new COMMAND acted; what comes after it keeps nobody waiting."""
        return [one for one in self.passed if self.last_act_ns <= one.at_ns <= self.first_act_ns]


def listen(stage: Stage, run: Start) -> Handover:
    """Listen to a clean hand-over."""
    passed: list[Passed] = []

    def noting(who: str) -> Callable[[Seen], None]:
        return lambda seen: passed.append(Passed(time.time_ns(), who, seen))

    with Tap(stage.server.hosts, noting("old")) as first, Tap(stage.server.hosts, noting("new")) as second:
        acts = hand_over(stage, partial(run, hosts=first.hosts), partial(run, hosts=second.hosts))
    return Handover(*acts, sorted(passed))


def sequence(handover: Handover) -> list[str]:
    """Return it as lines, in milliseconds from the old COMMAND's last act."""

    def at(instant: int) -> str:
        return f"{(instant - handover.last_act_ns) / MS:7.1f}"

    arrows = {"request": "->", "answer": "<-", "event": "<<"}
    lines = [f"{at(handover.last_act_ns)}  old   its COMMAND acts for the last time"]
    lines += [
        f"{at(one.at_ns)}  {one.who}   {arrows[one.seen.kind]} {one.seen.what}" for one in handover.before_first_act
    ]
    return [*lines, f"{at(handover.first_act_ns)}  new   its COMMAND acts for the first time"]


def measure(stage: Stage, rounds: int | None) -> Iterator[Figure]:
    """Count what passes until the new COMMAND acts, and print one of ours in full."""
    samples: dict[str, dict[str, list[float]]] = {"request": {}, "event": {}}
    shown: list[str] = []
    for tool, run in stage.tools("zkleader", "kazoo").items():
        handovers = [listen(stage, run) for _ in range(rounds or 5)]
        for kind, counts in samples.items():
            counts[tool] = [float(sum(one.seen.kind == kind for one in h.before_first_act)) for h in handovers]
        shown += ["", f"a hand-over of {tool} on the wire (ms):", *sequence(handovers[-1])]
    yield Figure("handover-requests", "", samples["request"])
    yield Figure("handover-events", "", samples["event"])
    print(*shown[1:], "", sep="\n")
