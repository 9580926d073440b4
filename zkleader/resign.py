"""Asking a leader to step down: what ``core.resignation`` wants, done; one session after another.

It owns the loop, in the caller's thread, and the sessions.  It must not know what is decided, nor what people are told.
It ends when the core concludes, and has no deadline of its own.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

from zkleader.core import resignation
from zkleader.core.actions import DropConnection, Send
from zkleader.core.events import Connected, Event, Tick
from zkleader.core.resign_state import BeginSession, Concluded, End, News, State, Wish
from zkleader.guard import system
from zkleader.sessions import AddressesKnown, FromSession, Sessions
from zkleader.zk.access import Access, UnreachableError
from zkleader.zk.client import TIMING

OnNews = Callable[[News | Connected, bool], None]
"""Is told of what people may want to know, and whether the leader that it tells of is one of several."""


def ask_to_resign(access: Access, wish: Wish, on_news: OnNews) -> tuple[Concluded, bool]:
    """Ask, and return how that ended, and whether the leader that was meant is one of several.

    Raises:
        UnreachableError: no server was reached.
    """
    arrived: queue.SimpleQueue[AddressesKnown | FromSession] = queue.SimpleQueue()
    sessions = Sessions(access, TIMING, arrived.put)
    sessions.begin()
    try:
        conclusion, is_one_of_several = _converse(arrived, sessions, wish, on_news)
        if conclusion.end is End.UNREACHABLE:
            raise UnreachableError.of(sessions.trouble)
        return conclusion, is_one_of_several
    finally:
        sessions.close()


def _converse(
    arrived: queue.SimpleQueue[AddressesKnown | FromSession],
    sessions: Sessions,
    wish: Wish,
    on_news: OnNews,
) -> tuple[Concluded, bool]:
    state = State(wish, TIMING, system.now())
    while True:
        event = _next_event(arrived, sessions, resignation.next_step_in(state, system.now()))
        if isinstance(event, Connected):
            on_news(event, False)
        state, actions = resignation.step(state, event, system.now())
        is_one_of_several = state.is_chosen or wish.slot is not None
        for action in actions:
            if isinstance(action, Send):
                sessions.present.submit(action.number, action.request)
            elif isinstance(action, DropConnection):
                sessions.present.drop_connection()
            elif isinstance(action, BeginSession):
                sessions.close()
                sessions.begin()
            elif isinstance(action, Concluded):
                return action, is_one_of_several
            else:
                on_news(action, is_one_of_several)


def _next_event(
    arrived: queue.SimpleQueue[AddressesKnown | FromSession], sessions: Sessions, within: float | None
) -> Event:
    try:
        item = arrived.get(timeout=within)
    except queue.Empty:
        return Tick()
    if isinstance(item, FromSession):
        return sessions.event_of(item) or Tick()
    sessions.on_addresses(item)
    return Tick()
