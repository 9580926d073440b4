"""An election as a candidate would find it, and a rehearsal of what it would do there, with a znode of our own.

It owns the requests, their order, and the judgement of the answers.  The znode is ephemeral, has a name that nobody can
take for a candidate or a lease record, and is deleted at the end; should we die before, ZooKeeper deletes it.  A
living election's record and queue are only read; whether the record may be written is found out by a write that can
only fail.  It does not promise that what is permitted now will be.
"""

from __future__ import annotations

import statistics
import time
import uuid

from zkleader.check.finding import Finding, fail, in_words, ok, warn
from zkleader.check.host import Stamp
from zkleader.core import queue, records
from zkleader.core.actions import Create, Delete, Exists, Get, GetAcl, ListNames, Multi, Request, SetData
from zkleader.core.events import Acl, Answer, Applied, Content, Names, Refusal, Refused, Unanswered
from zkleader.core.lease import Timing
from zkleader.core.records import KNOWN, LeaseRecord, NewerFormat, Unreadable
from zkleader.exit_status import ExitStatus
from zkleader.guard import system
from zkleader.status.text import printable
from zkleader.zk.access import UnreachableError
from zkleader.zk.client import Client

_WRITES = 5
"""So many writes are timed; the median of them is told."""

_NEVER = -2
"""No version is ever this one, and it does not mean any, as -1 does."""

_WRITING = 0b11110
"""Permissions beyond reading: write, create, delete, admin."""

_DATA = b'{"zkleader": "check"}'


class Visit:
    """One election, or where elections are, seen through one client."""

    def __init__(self, client: Client, chroot: str, path: str, timing: Timing, *, is_election: bool) -> None:
        """``path`` is below the chroot."""
        self._client = client
        self._chroot = chroot
        self._path = chroot + path
        self._timing = timing
        self._is_election = is_election
        self._place = "/"
        """The znode nearest to it, or itself, that exists."""
        self._own = ""
        """The path of our znode."""
        self._version = 0
        self.stamps: list[Stamp] = []
        """The writes so far, in order."""

    def look(self) -> list[Finding]:
        """Find out what is there.

        Raises:
            UnreachableError: something was not answered.
        """
        self._place = self._nearest()
        found: list[Finding] = []
        if len(self._place) < len(self._chroot):
            found.append(warn("chroot", f"{self._chroot} does not exist: `run` would create it"))
        if self._place == self._path and self._is_election:
            found.extend(self._look_at_record())
        elif self._place != self._path:
            text = f"{self._name(self._path)} does not exist yet; what follows is tried in {self._name(self._place)}"
            found.append(ok("election", text))
        return found

    def _name(self, path: str) -> str:
        """Return a path as the user knows it: below the chroot, if it is."""
        is_above = len(path) < len(self._chroot)
        return f"{path} (above the chroot)" if is_above else path.removeprefix(self._chroot) or "/"

    def _nearest(self) -> str:
        path = self._path
        while path and isinstance(self._ask(Exists(path=path)), Refused):
            path = path.rpartition("/")[0]
        return path or "/"

    def _look_at_record(self) -> list[Finding]:
        path = f"{self._path}/{queue.RECORD_PREFIX}0"
        content, names = self._ask(Get(path=path, watch=False)), self._ask(ListNames(path=self._path))
        if _is_forbidden(content) or _is_forbidden(names):
            return [fail("election", f"{self._name(self._path)} may not be read", ExitStatus.NOT_PERMITTED)]
        candidates = queue.in_order(names.names) if isinstance(names, Names) else ()
        count = f"{len(candidates)} candidate{'' if len(candidates) == 1 else 's'}"
        found = [self._judge_record(content, candidates, count)]
        if isinstance(content, Content):
            write = SetData(path=path, data=content.data, version=_NEVER)
            if _is_forbidden(self._ask(Multi(operations=(write,)))):
                found.append(fail("election", "its lease record may not be written", ExitStatus.NOT_PERMITTED))
        if candidates:
            ahead = self._ask(Get(path=f"{self._path}/{candidates[-1]}", watch=False))
            told = records.parse_candidate(ahead.data) if isinstance(ahead, Content) else None
            if isinstance(told, NewerFormat):
                text = f"its last candidate has format {told.format}, and this version knows {KNOWN}"
                found.append(fail("election", text, ExitStatus.CONFIGURATION))
        return found

    def _judge_record(self, content: Answer, candidates: tuple[str, ...], count: str) -> Finding:
        if not isinstance(content, Content):
            text = f"{self._name(self._path)} has no lease record: it will be made anew, and waited out for 60 s"
            return warn("election", text)
        record = records.parse_lease_record(content.data, content.stat)
        if isinstance(record, NewerFormat):
            text = f"its lease record has format {record.format}, and this version knows {KNOWN}"
            return fail("election", text, ExitStatus.CONFIGURATION)
        if isinstance(record, Unreadable):
            text = f"its lease record cannot be read ({record.reason}): it is waited out for 60 s, and written over"
            return warn("election", text)
        return ok("election", f"{self._name(self._path)}: {_state_of(record, candidates)}, {count}")

    def begin(self) -> list[Finding]:
        """Create our znode, and see who may do what with it.

        Raises: as above.
        """
        path = f"{self._place.rstrip('/')}/zkleader-check-{uuid.uuid4()}.tmp"
        answer = self._ask(Create(path=path, data=_DATA, ephemeral=True))
        if isinstance(answer, Refused):
            return [self._refused("create", answer)]
        self._own = path
        if refused := self._set():
            self._own = ""  # it goes with the session
            return refused
        return [self._judge_acls()]

    def end(self) -> list[Finding]:
        """Compare and set our znode, and delete it.

        Raises: as above.
        """
        if not self._own:
            return []
        taken = []
        for _ in range(_WRITES):
            began = time.monotonic()
            if refused := self._set():
                return refused
            taken.append(time.monotonic() - began)
        stale = self._ask(Multi(operations=(SetData(path=self._own, data=_DATA, version=self._version - 1),)))
        gone = self._ask(Delete(path=self._own))
        if isinstance(gone, Refused):
            return [self._refused("delete", gone)]
        if not isinstance(stale, Refused) or stale.refusal is not Refusal.BAD_VERSION:
            text = "a write over a version that has passed was not refused: this is no ZooKeeper to elect with"
            return [fail("writes", text, ExitStatus.INTERNAL)]
        return [self._judge_writes(statistics.median(taken))]

    def _judge_writes(self, seconds: float) -> Finding:
        text = f"created, compared and set, deleted in {self._name(self._place)}; {in_words(seconds)} a write"
        if seconds > self._timing.renewal_interval / 2:
            return warn("writes", f"{text}, of which a leader needs one every {self._timing.renewal_interval:g} s")
        return ok("writes", text)

    def _set(self) -> list[Finding]:
        """Write our znode over its present version; return what is wrong with that."""
        sent = system.now()
        answer = self._ask(Multi(operations=(SetData(path=self._own, data=_DATA, version=self._version),)))
        if isinstance(answer, Refused):
            return [self._refused("write", answer)]
        assert isinstance(answer, Applied)
        stat = answer.stats[0]
        assert stat is not None
        self._version = stat.version
        self.stamps.append(Stamp(sent=sent, answered=system.now(), time=stat.mtime, zxid=stat.mzxid))
        return []

    def _refused(self, what: str, answer: Refused) -> Finding:
        if answer.refusal.is_for_lack_of_rights:
            text = f"may not {what} in {self._name(self._place)}{answer.refusal.lacking}"
            return fail("writes", text, ExitStatus.NOT_PERMITTED)
        reason = answer.text or answer.refusal.value
        return fail("writes", f"cannot {what} in {self._name(self._place)}: {reason}", ExitStatus.INTERNAL)

    def _judge_acls(self) -> Finding:
        record = f"{self._path}/{queue.RECORD_PREFIX}0"
        wanted = {self._own: "what `run` creates"}
        if self._place == self._path and self._is_election:
            wanted |= {self._path: "the election", record: "its lease record"}
        answers = {what: self._ask(GetAcl(path=path)) for path, what in wanted.items()}
        if open_ones := [what for what, answer in answers.items() if _is_open(answer)]:
            return warn("acl", f"everybody who reaches ZooKeeper may write: {', '.join(open_ones)}")
        return ok("acl", "not everybody may write")

    def _ask(self, request: Request) -> Answer:
        [answer] = self._client.ask(request)
        if isinstance(answer, Unanswered):
            raise UnreachableError("no answer")
        return answer


def _state_of(record: LeaseRecord, candidates: tuple[str, ...]) -> str:
    where = "" if (record.stated or 1) == 1 else f" in slot 0 of {record.stated}"
    if record.released or not record.holder:
        return f"nobody leads{where}"
    who = printable(record.holder_id)
    is_queued = queue.of_guid(record.holder, candidates)
    return f"{who} leads{where}" if is_queued else f"{who} is gone without having released{where}"


def _is_forbidden(answer: Answer) -> bool:
    return isinstance(answer, Refused) and answer.refusal is Refusal.NO_AUTH


def _is_open(answer: Answer) -> bool:
    entries = answer.entries if isinstance(answer, Acl) else ()
    return any(entry.scheme == "world" and entry.bits & _WRITING for entry in entries)
