"""Each server by itself: whether it accepts a connection and a session, how fast it answers, and what it says it is.

It owns the asking, one thread for each address, and the judgement of the answers.  It must not know elections.  A
server that cannot be reached is a warning where others can: what ``run`` needs is the ensemble.  It does not promise
that a server that answered will answer a candidate.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import re
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from zkleader.check.finding import Finding, fail, in_words, ok, warn
from zkleader.core.actions import Exists
from zkleader.core.events import Unanswered
from zkleader.core.lease import Timing
from zkleader.core.value import Value
from zkleader.exit_status import ExitStatus
from zkleader.status.text import printable
from zkleader.zk import hosts, tls
from zkleader.zk.access import Access, NotPermittedError, Tls, UnreachableError
from zkleader.zk.client import Client
from zkleader.zk.files import AccessProblem
from zkleader.zk.hosts import Server
from zkleader.zk.resolver import Resolver

_ROUNDS = 5
"""So many answers are timed; the median of them is told."""

_TRIES = 2
"""So many times as long as a leader waits for an answer a server may take to accept a session."""

_WORD_PATIENCE = 1.0
"""Seconds for the answer to a four-letter word, which a server need not give."""

_MOST_BYTES = 4096
"""More than any server tells of itself."""


class Answered(Value):
    """What became of asking one server: a ``trouble``, or how long it took."""

    name: str
    """As the user has given it."""
    address: str
    trouble: str = ""
    is_refused: bool = False
    """Authentication was refused."""
    round_trip: float = 0.0
    """Seconds from a request to its answer, the median."""
    granted: float | None = None
    """The session timeout, in seconds."""
    version: str = ""
    """Empty if it does not say."""
    role: str = ""


class Asking:
    """The asking under way: a thread for each name, which looks it up, and one for each address that it has."""

    def __init__(self, access: Access, timing: Timing, within: float) -> None:
        """Begin; looking a name up may take so many seconds, and so may connecting to an address."""
        self._access = access
        self._timing = timing
        self._within = within
        names = access.hosts.servers
        pool = ThreadPoolExecutor(len(names))
        self._under_way = [pool.submit(self._ask_name, name) for name in names]

    def answers(self) -> list[Answered]:
        """Return what became of it, in the order of the servers."""
        return [answer for asking in self._under_way for answer in asking.result()]

    def _ask_name(self, server: Server) -> list[Answered]:
        addresses, trouble = _addresses_of(server, self._within)
        if not addresses:
            return [Answered(name=str(server), address="", trouble=trouble)]
        with ThreadPoolExecutor(len(addresses)) as pool:
            return list(pool.map(functools.partial(self._ask, server), addresses))

    def _ask(self, server: Server, address: Server) -> Answered:
        known = Answered(name=str(server), address=str(address))
        patience = min(self._within, self._timing.request_timeout)
        try:
            with socket.create_connection((address.host, address.port), patience) as connection:
                # Where somebody listens at all, it is worth waiting for more than a candidate's first attempt does.
                answer = self._converse(known, address)
                return answer if answer.trouble else answer.but(**_describe(connection, address, self._access.tls))
        except TimeoutError:
            return known.but(trouble=f"does not accept a connection within {patience:g} s")
        except OSError as error:
            return known.but(trouble=(error.strerror or str(error)).lower())

    def _converse(self, known: Answered, address: Server) -> Answered:
        with Client(self._access, self._timing) as client:
            try:
                client.connect(min(self._within, _TRIES * self._timing.request_timeout), (address,))
                round_trip = _round_trip(client)
            except UnreachableError as error:
                return known.but(trouble=f"accepts connections, and no session: {error}")
            except NotPermittedError as error:
                return known.but(trouble=f"cannot {error}: {error.why}", is_refused=True)
            if round_trip is None:
                return known.but(trouble="accepts a session, and does not answer")
            return known.but(round_trip=round_trip, granted=client.granted)


def _addresses_of(server: Server, within: float) -> tuple[tuple[Server, ...], str]:
    if hosts.numeric((server,)):
        return (server,), ""
    found: queue.SimpleQueue[tuple[tuple[Server, ...], str]] = queue.SimpleQueue()
    resolver = Resolver((server,))
    resolver.look_up(lambda addresses, trouble: found.put((addresses, trouble)))
    try:
        return found.get(timeout=within)
    except queue.Empty:
        return (), f"no name service answers within {within:g} s"
    finally:
        resolver.stop()


def _round_trip(client: Client) -> float | None:
    taken = []
    for _ in range(_ROUNDS):
        sent = time.monotonic()
        [answer] = client.ask(Exists(path="/"))
        if isinstance(answer, Unanswered):
            return None
        taken.append(time.monotonic() - sent)
    return statistics.median(taken)


def _describe(connection: socket.socket, address: Server, wanted: Tls | None = None) -> dict[str, str]:
    """Ask a server for its version and role, which it need not tell: most permit ``srvr`` and nothing else."""
    told = b""
    try:
        connection.settimeout(_WORD_PATIENCE)
        with contextlib.ExitStack() as stack:
            if wanted is not None:
                connection = secured = stack.enter_context(tls.secure(connection, wanted, address))
                tls.shake_hands(secured, _WORD_PATIENCE)
            connection.sendall(b"srvr")
            while len(told) < _MOST_BYTES and (part := connection.recv(_MOST_BYTES)):
                told += part
    except (OSError, AccessProblem):
        return {}
    text = told.decode("ascii", "replace")
    version = re.search(r"^Zookeeper version: ([^\s,-]+)", text)
    role = re.search(r"^Mode: (\S+)", text, re.MULTILINE)
    return {"version": printable(version[1]) if version else "", "role": printable(role[1]) if role else ""}


def judge(answers: list[Answered], timing: Timing, *, is_reached: bool) -> list[Finding]:
    """Return a finding for each address; ``is_reached``: the ensemble was, through one server or another."""
    return [_judge_one(answer, timing, is_reached=is_reached) for answer in answers]


def _judge_one(answer: Answered, timing: Timing, *, is_reached: bool) -> Finding:
    address = f"{answer.address}: " if answer.address not in ("", answer.name) else ""
    topic = f"server {answer.name}"
    if answer.is_refused:
        return fail(topic, f"{address}{answer.trouble}", ExitStatus.NOT_PERMITTED)
    if answer.trouble and is_reached:
        return warn(topic, f"{address}{answer.trouble}")
    if answer.trouble:
        return fail(topic, f"{address}{answer.trouble}", ExitStatus.UNREACHABLE)
    what = ", ".join(part for part in (answer.version, answer.role) if part) or "it does not tell version and role"
    text = f"{address}{what}; round trip {in_words(answer.round_trip)}"
    if answer.round_trip > timing.connect_cap:
        return warn(topic, f"{text}, more than the {timing.connect_cap:g} s that a candidate gives it at first")
    return ok(topic, text)
