"""Looking at elections: a bounded number of requests, which only read.

It owns what is asked in which order, the limits, and, for whoever watches, what need not be asked again: as long as a
watch stands.  What the answers say is ``core.judgement``'s.  It must not know how a view is shown.  It does not promise
that a view is of one instant: names are read first, and what they stand for within the next round trips.

Each look begins with a `sync`, so that a server that lags behind catches up first; its answer also says that whatever
has changed before has made its watch fire.  (A leader of the ensemble that was deposed answers it by itself, for
seconds.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

from zkleader.core.actions import Get, ListNames, Sync
from zkleader.core.events import (
    Answer,
    Content,
    Event,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
    Unanswered,
)
from zkleader.core.judgement import view_of
from zkleader.core.reading import MOST_CANDIDATES, Reading, children_of, holders, worth_reading
from zkleader.core.sights import NOTHING_SEEN
from zkleader.core.view import Look
from zkleader.errors import RefusedError
from zkleader.zk.access import Access, NotPermittedError, UnreachableError
from zkleader.zk.client import Client

MOST_ZNODES = 100
"""So many znodes are listed in search of elections, those nearest to the top first."""

_MOST_TOGETHER = 100
"""Requests that are under way at once; kazoo's queue takes less than three hundred before it blocks."""

_PAUSE = 0.05
"""Seconds to wait for news of a connection that has just broken."""


_Read = Get | ListNames | Sync


class _UnansweredError(Exception):
    """Something that was asked has not been answered."""


class Observer:
    """Looks at elections of one ensemble; with ``watch`` again and again, asking only for what has changed."""

    def __init__(self, access: Access, *, watch: bool = False) -> None:
        self._access = access
        self._chroot = access.hosts.chroot
        self._watch = watch
        self._client = self._new_client()
        self._known: dict[_Read, Answer] = {}
        self._touched: set[str] = set()
        self._is_interrupted = False
        self._has_news = False
        self._left_out = 0
        self._sights = NOTHING_SEEN

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def session_timeout(self) -> float | None:
        """The session timeout granted, in seconds, if it is known."""
        return self._client.granted

    def look_at(self, path: str, within: float, *, candidates: int = MOST_CANDIDATES) -> Look:
        """Look at one election, and so many of its candidates.  ``within``: seconds for reaching a server that answers.

        Raises:
            UnreachableError: none has.
            NotPermittedError: authentication was refused.
            RefusedError: the election or a lease record was refused for another reason than permissions.
        """
        return self._look(path, within, lambda: self._read([path], candidates))

    def look_below(self, path: str, within: float) -> Look:
        """Look at every election below a path; of candidates only the names and the leaders' are read.

        Raises: as above; also NotPermittedError when the path itself may not be read.
        """

        def read() -> list[Reading]:
            # The race: one that was found may have been deleted before it is read.
            return [found for found in self._read(self._search(path), 0) if found.is_election or found.is_hidden]

        return self._look(path, within, read)

    def wait(self, within: float) -> None:
        """Wait until something has changed, so many seconds at the most.

        Raises:
            NotPermittedError: authentication was refused meanwhile.
        """
        until = time.monotonic() + within
        was_connected = self._client.is_connected
        while not self._has_news and self._client.is_connected == was_connected and time.monotonic() < until:
            self._client.wait(until - time.monotonic())

    def _look(self, path: str, within: float, read: Callable[[], list[Reading]]) -> Look:
        until = time.monotonic() + within
        while True:
            self._connect(until)
            try:
                return self._try(path, read)
            except _UnansweredError:
                if time.monotonic() >= until:
                    raise UnreachableError("no answer") from None
                self._client.wait(_PAUSE)

    def _connect(self, until: float) -> None:
        while True:
            if self._client.is_over:
                self._client.close()
                self._client = self._new_client()
            try:
                self._client.connect(max(0.0, until - time.monotonic()))
            except UnreachableError:
                # A session that is over may be followed by another one, if there is time.
                if not self._client.is_over or time.monotonic() >= until:
                    raise
            else:
                return

    def _try(self, path: str, read: Callable[[], list[Reading]]) -> Look:
        kept = self._known.items() if self._watch else ()
        # A refusal has set no watch, and a `sync` is to be answered now.
        self._known = {request: answer for request, answer in kept if isinstance(answer, Names | Content)}
        self._has_news, self._left_out = False, 0
        confirmed = time.monotonic()
        self._ask([Sync(path=self._chroot + path), ListNames(path=self._chroot + path, watch=self._watch)])
        found = read()
        stats = {path: stat for findings in found for path, stat in findings.stats.items()}
        self._sights = self._sights.after(stats, time.monotonic())
        return Look(
            server=self._client.server,
            elections=tuple(view_of(findings, self._sights, confirmed) for findings in found),
            left_out=self._left_out,
            time=self._sights.time(confirmed),
        )

    def _search(self, root: str) -> list[str]:
        """Return the paths of elections below a path, and count the znodes that are not looked at."""
        [top] = self._list([root])
        if top.is_hidden:
            raise NotPermittedError(f"list the elections in {root}")
        level = [f"{root}/{name}" for name in top.children.others]
        paths: list[str] = []
        budget = MOST_ZNODES
        while level:
            self._left_out += max(0, len(level) - budget)
            listed = self._list(level[:budget])
            budget -= len(listed)
            paths += [found.path for found in listed if found.is_election or found.is_hidden]
            # What is no election may be the first part of the names of some; and so may be what is one.
            level = [f"{found.path}/{name}" for found in listed for name in found.children.others]
        return sorted(paths)

    def _read(self, paths: Sequence[str], candidates: int) -> list[Reading]:
        """Read elections."""
        found = self._read_once(paths, candidates)
        alone = [findings.path for findings in found if None in holders(findings).values()]
        if alone:
            # The race: who has joined and claimed after the names were listed would be said to have left the queue.
            for findings in found:
                if findings.path in alone:
                    self._forget(findings.path, *findings.stats)
            again = {findings.path: findings for findings in self._read_once(alone, candidates)}
            found = [again.get(findings.path, findings) for findings in found]
        return found

    def _read_once(self, paths: Sequence[str], candidates: int) -> list[Reading]:
        found = self._list(paths)
        found = self._with_answers(found, [worth_reading(findings, candidates) for findings in found])
        for findings in found:
            for name in findings.children.records:
                _raise_unforeseen("read", f"{findings.path}/{name}", findings.answers.get(name))
        return self._with_answers(found, [tuple(filter(None, holders(findings).values())) for findings in found])

    def _list(self, paths: Sequence[str]) -> list[Reading]:
        """Read the names of what is below these paths."""
        answers = self._ask([ListNames(path=self._chroot + path, watch=self._watch) for path in paths])
        return [_listed(path, answer) for path, answer in zip(paths, answers, strict=True)]

    def _with_answers(self, found: Sequence[Reading], wanted: Sequence[Sequence[str]]) -> list[Reading]:
        """Read children of elections, for each of them those that are wanted and were not read before."""
        missing = [
            [name for name in names if name not in findings.answers]
            for findings, names in zip(found, wanted, strict=True)
        ]
        answers = iter(
            self._ask(
                [
                    Get(path=f"{self._chroot}{findings.path}/{name}", watch=self._watch)
                    for findings, names in zip(found, missing, strict=True)
                    for name in names
                ]
            )
        )
        return [
            findings.but(answers={**findings.answers, **{name: next(answers) for name in names}})
            for findings, names in zip(found, missing, strict=True)
        ]

    def _ask(self, requests: Sequence[_Read]) -> list[Answer]:
        """Return the answers to requests, those that are known from memory.

        Raises:
            _UnansweredError: there is none to some of them.
        """
        found = {request: self._known[request] for request in requests if request in self._known}
        missing = [request for request in requests if request not in found]
        for begin in range(0, len(missing), _MOST_TOGETHER):
            together = missing[begin : begin + _MOST_TOGETHER]
            self._touched.clear()
            self._is_interrupted = False
            answers = self._client.ask(*together)
            if Unanswered() in answers or self._is_interrupted:  # the latter: no watch stands that they have set
                raise _UnansweredError
            found.update(zip(together, answers, strict=True))
            for request, answer in zip(together, answers, strict=True):
                if request.path not in self._touched:  # the race: the watch has fired, and that was told first
                    self._known[request] = answer
        return [found[request] for request in requests]

    def _new_client(self) -> Client:
        return Client(self._access, on_news=self._on_news)

    def _on_news(self, event: Event) -> None:
        if isinstance(event, Touched):
            self._has_news = True
            self._touched.add(event.path)
            self._forget(event.path.removeprefix(self._chroot))
        elif isinstance(event, Suspended | SessionLost):
            self._is_interrupted = True
            self._known.clear()  # no watch survives that

    def _forget(self, *paths: str) -> None:
        for path in paths:
            self._known.pop(ListNames(path=self._chroot + path, watch=self._watch), None)
            self._known.pop(Get(path=self._chroot + path, watch=self._watch), None)


def _raise_unforeseen(verb: str, path: str, answer: Answer | None) -> None:
    """Raise what is neither an answer nor a lack of rights."""
    if isinstance(answer, Refused) and answer.refusal is Refusal.OTHER:
        raise RefusedError(f"{verb} {path}: {answer.text}")


def _listed(path: str, answer: Answer) -> Reading:
    if isinstance(answer, Names):
        return Reading(path=path, children=children_of(answer.names))
    assert isinstance(answer, Refused)
    _raise_unforeseen("list", path, answer)
    return Reading(path=path, is_hidden=answer.refusal is Refusal.NO_AUTH)
