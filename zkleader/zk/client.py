"""A short visit to an ensemble: connect, ask, be answered or be told why not, leave.

For subcommands that look at elections or steer them, from one thread, where waiting for an answer is all there is to
do.  It is a session whose events are waited for.  It must not know elections.  It does not promise that what it was
told is still true, nor, where no answer came, whether a write was applied.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Self

from zkleader.core.actions import AUTHENTICATE, Request
from zkleader.core.events import (
    Answer,
    Answered,
    Connected,
    Event,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Unanswered,
)
from zkleader.core.lease import Timing
from zkleader.zk import hosts
from zkleader.zk.access import Access, NotPermittedError, UnreachableError
from zkleader.zk.connecting import silence_kazoo
from zkleader.zk.hosts import Server
from zkleader.zk.session import Session

TIMING = Timing(lease=20.0, grace=0.0, stop_timeout=0.0)
"""For the limits on connecting and answering, and the session timeout asked for; nothing is led here."""


class Client:
    """One session, from its start to its end.

    Used as a context manager it is closed at the end.  ``on_news`` is told, in the caller's own thread and only while
    that waits for something, each event that is no answer: a watch that fires, the connection's loss and its return.
    """

    def __init__(
        self, access: Access, timing: Timing = TIMING, on_news: Callable[[Event], None] = lambda _event: None
    ) -> None:
        self._access = access
        self._timing = timing
        self._on_news = on_news
        self._is_started = False
        self._events: queue.SimpleQueue[Event | tuple[Server, ...]] = queue.SimpleQueue()
        silence_kazoo()
        self._session = Session(access, timing, self._events.put)
        self._trouble = ""
        self._last_number = 0
        self._answers: dict[int, Answer] = {}
        self.server = ""
        """The server that we are, or were last, connected to."""
        self.granted: float | None = None
        """The session timeout granted, in seconds, if it is known."""
        self.is_connected = False
        """Whether we are, as far as events were taken."""
        self.is_over = False
        """Whether the session is lost: another client may connect, this one never again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, within: float, to: tuple[Server, ...] = ()) -> None:
        """Connect, or wait until we are connected again, within so many seconds; to these addresses, if there are any.

        Raises:
            UnreachableError: no server could be reached.
            NotPermittedError: authentication was refused.
        """
        servers = to or self._access.hosts.servers
        if not self._is_started:
            self._is_started = True
            if hosts.numeric(servers):
                self._session.start(servers)
            else:
                self._session.look_up(self._on_resolved)
        until = time.monotonic() + within
        while not self.is_connected:
            if self.is_over or not self._take(until):
                raise UnreachableError.of(self._session.trouble or self._trouble)

    def ask(self, *requests: Request, within: float | None = None) -> tuple[Answer, ...]:
        """Send requests together and return their answers, in order; `Unanswered` where none came in time.

        A server that is silent is left, so that `connect` brings us to the next one.

        Raises:
            NotPermittedError: authentication was refused meanwhile, or is required.
        """
        until = time.monotonic() + (self._timing.request_timeout if within is None else within)
        numbers = range(self._last_number + 1, self._last_number + 1 + len(requests))
        self._last_number += len(requests)
        for number, request in zip(numbers, requests, strict=True):
            self._session.submit(number, request)
        while not all(number in self._answers for number in numbers):
            if not self._take(until):
                self._session.drop_connection()
                self.is_connected = False
                break
        answers = tuple(self._answers.pop(number, Unanswered()) for number in numbers)
        self._answers.clear()  # what comes after its time is nobody's
        if any(isinstance(answer, Refused) and answer.refusal is Refusal.NOT_AUTHENTICATED for answer in answers):
            raise NotPermittedError("ask ZooKeeper anything without authentication")
        return answers

    def wait(self, within: float) -> None:
        """Wait for news, so many seconds at the most.

        Raises:
            NotPermittedError: authentication was refused meanwhile.
        """
        self._take(time.monotonic() + within)

    def close(self) -> None:
        """Close the session, which may take a second."""
        self._session.close()

    def _take(self, until: float) -> bool:
        """Take one event, waiting for it; return whether there was one before the time was over."""
        try:
            event = self._events.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return False
        if isinstance(event, tuple):
            self._session.start(event)
            return True
        if isinstance(event, Answered):
            self._answers[event.number] = event.answer
            return True
        if isinstance(event, Connected):
            self.server, self.granted, self.is_connected = event.server, event.granted, True
        elif isinstance(event, Suspended):
            self.is_connected = False
        elif isinstance(event, SessionLost):
            self.is_connected, self.is_over = False, True
            if event.reason == "authentication_failed":
                raise NotPermittedError.of(AUTHENTICATE, self._session.trouble)
        self._on_news(event)
        return True

    def _on_resolved(self, addresses: tuple[Server, ...], trouble: str) -> None:
        """Take what was looked up (in the resolver's thread)."""
        self._trouble = trouble
        if addresses:
            self._events.put(addresses)
