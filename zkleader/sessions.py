"""The sessions of one campaign, one after another: only the present one counts.

It owns the present session, its begin and end, and the addresses of its servers.  What other threads learn of a session
is put where the loop takes things from, with the session's number; the loop hands it back here, and is told what is
news.  It must not know candidacies, nor what an event means.  It does not promise that a session comes about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zkleader.core.events import Event
from zkleader.core.lease import Timing
from zkleader.core.value import Value
from zkleader.zk import hosts
from zkleader.zk.access import Access
from zkleader.zk.hosts import Server

if TYPE_CHECKING:
    from zkleader.zk.session import Session


class AddressesKnown(Value):
    """Host names were resolved for a session (``addresses`` may be empty); ``trouble`` says what could not be."""

    session: int
    addresses: tuple[Server, ...]
    trouble: str


class FromSession(Value):
    """An event of the session with this number: one that was replaced meanwhile no longer counts."""

    session: int
    event: Event


class Sessions:
    """Nothing is reset: a session that is over is followed by a new one."""

    def __init__(self, access: Access, timing: Timing, put: Callable[[AddressesKnown | FromSession], None]) -> None:
        """Prepare; ``put`` is called in any thread and must only enqueue."""
        self._access = access
        self._timing = timing
        self._put = put
        self._count = 0
        self._session: Session | None = None
        self._unresolved = ""

    @property
    def present(self) -> Session:
        """The session that was begun last."""
        assert self._session is not None
        return self._session

    @property
    def trouble(self) -> str:
        """Why ZooKeeper could not be reached, as far as that is known."""
        return (self._session.trouble if self._session is not None else "") or self._unresolved

    def begin(self) -> None:
        """Begin a session."""
        from zkleader.zk.session import Session  # noqa: PLC0415 # kazoo: while the guard starts

        self._count += 1
        number = self._count

        def deliver(event: Event) -> None:
            self._put(FromSession(session=number, event=event))

        def resolved(addresses: tuple[Server, ...], trouble: str) -> None:
            self._put(AddressesKnown(session=number, addresses=addresses, trouble=trouble))

        self._session = Session(self._access, self._timing, deliver)
        servers = self._access.hosts.servers
        if hosts.numeric(servers):
            self._session.start(servers)
        else:
            self._session.look_up(resolved)

    def close(self) -> bool:
        """Close the present session, if there is one; return whether that was done in order (else it will expire)."""
        return self._session is None or self._session.close()

    def event_of(self, item: FromSession) -> Event | None:
        """Return the event, if it is the present session's."""
        return item.event if item.session == self._count else None

    def on_addresses(self, item: AddressesKnown) -> str:
        """Connect to what was found; return what could not be resolved, once (it is tried again and again)."""
        if item.session != self._count:
            return ""
        is_news, self._unresolved = item.trouble != self._unresolved, item.trouble
        if item.addresses:
            self.present.start(item.addresses)
        return item.trouble if is_news else ""
