"""The core's requests as calls of kazoo's, and kazoo's results as the core's answers.

It owns that translation, both ways.  It must not know what a request is for, and keeps nothing between two of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.protocol.states import WatchedEvent, ZnodeStat

from zkleader.core.actions import Check, Create, Delete, Exists, Get, GetAcl, ListNames, Multi, Request, SetData, Sync
from zkleader.core.events import Acl, AclEntry, Answer, Applied, Content, Created, Names, Refusal, Refused, Unanswered
from zkleader.core.records import Stat
from zkleader.zk.connecting import BUSY, UNANSWERED

_REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (exceptions.NoNodeError, Refusal.NO_NODE),
    (exceptions.NodeExistsError, Refusal.NODE_EXISTS),
    (exceptions.BadVersionError, Refusal.BAD_VERSION),
    (exceptions.NoAuthError, Refusal.NO_AUTH),
    (exceptions.SessionClosedRequireSaslError, Refusal.NOT_AUTHENTICATED),  # whatever scheme the server requires
    (exceptions.InvalidACLError, Refusal.INVALID_ACL),
)
_CONSEQUENCES = (exceptions.RolledBackError, exceptions.RuntimeInconsistency)
"""What the other operations of a multi get when one fails."""


def submit(client: KazooClient, request: Request, on_watch: Callable[[WatchedEvent], None]) -> Any:
    """Hand a request to kazoo; return its asynchronous result.  ``on_watch`` is called in the watch thread."""
    if isinstance(request, Create):
        return client.create_async(request.path, request.data, ephemeral=request.ephemeral, sequence=request.sequence)
    if isinstance(request, Delete):
        return client.delete_async(request.path)
    if isinstance(request, ListNames):
        return client.get_children_async(request.path, watch=on_watch if request.watch else None)
    if isinstance(request, Get):
        return client.get_async(request.path, watch=on_watch if request.watch else None)
    if isinstance(request, GetAcl):
        return client.get_acls_async(request.path)
    if isinstance(request, Exists):
        return client.exists_async(request.path, watch=on_watch)
    if isinstance(request, Sync):
        return client.sync_async(request.path)
    transaction = client.transaction()
    for operation in request.operations:
        if isinstance(operation, Create):
            transaction.create(operation.path, operation.data)
        elif isinstance(operation, Check):
            transaction.check(operation.path, operation.version)
        elif isinstance(operation, SetData):
            transaction.set_data(operation.path, operation.data, operation.version)
        else:
            transaction.delete(operation.path)
    return transaction.commit_async()


def answer_of(request: Request, result: Any) -> Answer:
    """Return what an asynchronous result that is there says of the request."""
    error = result.exception
    if error is not None:
        return _refusal_of(error, 0)
    value = result.value
    if isinstance(request, Multi):
        errors = [(index, part) for index, part in enumerate(value) if isinstance(part, Exception)]
        causes = [(index, part) for index, part in errors if not isinstance(part, _CONSEQUENCES)]
        if errors:
            index, part = (causes or errors)[0]  # consequences without a cause: not applied either
            return _refusal_of(part, index)
        return Applied(stats=tuple(_stat_of(part) if isinstance(part, ZnodeStat) else None for part in value))
    if isinstance(request, Create):
        return Created(path=value)
    if isinstance(request, ListNames):
        return Names(names=tuple(value))
    if isinstance(request, Get):
        data, stat = value
        return Content(data=data or b"", stat=_stat_of(stat))
    if isinstance(request, GetAcl):
        entries, _ = value
        return Acl(entries=tuple(AclEntry(entry.id.scheme, entry.id.id, entry.perms) for entry in entries))
    if isinstance(request, Exists) and value is None:
        return Refused(refusal=Refusal.NO_NODE)
    return Applied()


def is_no_answer(error: Exception) -> bool:
    """Whether this comes from a server too busy to answer, or from kazoo, which could not make sense of the answer."""
    return isinstance(error, BUSY) or not isinstance(error, exceptions.ZookeeperError)


def _refusal_of(error: Exception, index: int) -> Answer:
    if isinstance(error, UNANSWERED) or is_no_answer(error):
        return Unanswered()
    for kind, refusal in _REFUSALS:
        if isinstance(error, kind):
            return Refused(refusal=refusal, index=index)
    # kazoo names ZooKeeper's error codes by classes: NoChildrenForEphemeralsError.
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
    return Refused(refusal=Refusal.OTHER, index=index, text=words)


def _stat_of(stat: ZnodeStat) -> Stat:
    return Stat(
        czxid=stat.czxid,
        mzxid=stat.mzxid,
        version=stat.version,
        mtime=stat.mtime,
        ctime=stat.ctime,
        owner=stat.ephemeralOwner or 0,
    )
