"""What ZooKeeper stores, and what its transactions do to it: pure, one tree for each zxid.

Owns the semantics of znodes (versions, czxid and mzxid, ephemerals, sequence numbers, all or nothing).  It must
not know servers, sessions' lives or time.
"""

from dataclasses import dataclass, replace

from zkleader.core import actions
from zkleader.core.events import Answer, Applied, Created, Refusal, Refused
from zkleader.core.records import Stat

ANY_VERSION = -1


@dataclass(frozen=True)
class Znode:
    """A znode; ``owner`` is the session of an ephemeral, ``sequence`` the next number for its children."""

    data: bytes
    stat: Stat
    owner: int | None = None
    sequence: int = 0


Tree = dict[str, Znode]


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


def empty() -> Tree:
    """Return the tree of an ensemble that was just set up."""
    return {"/": Znode(data=b"", stat=Stat(czxid=0, mzxid=0, version=0, mtime=0, ctime=0))}


def children(tree: Tree, path: str) -> tuple[str, ...]:
    """Return the names of a znode's children."""
    prefix = path.rstrip("/") + "/"
    return tuple(name[len(prefix) :] for name in tree if name.startswith(prefix) and "/" not in name[len(prefix) :])


def apply(tree: Tree, request: actions.Request, *, zxid: int, mtime: int, session: int) -> tuple[Tree, Answer]:
    """Return the tree after a write, and its answer; a refused one leaves the tree as it is."""
    operations = request.operations if isinstance(request, actions.Multi) else (request,)
    made, results = dict(tree), []
    for index, operation in enumerate(operations):
        try:
            results.append(_one(made, operation, zxid, mtime, session))
        except _RefusedError as error:
            return tree, Refused(refusal=error.refusal, index=index)
    if isinstance(request, actions.Create):
        return made, Created(path=str(results[0]))
    return made, Applied(stats=tuple(result if isinstance(result, Stat) else None for result in results))


def without_session(tree: Tree, session: int) -> Tree:
    """Return the tree after the end of a session."""
    return {path: znode for path, znode in tree.items() if znode.owner != session}


def changed(before: Tree, after: Tree) -> list[str]:
    """Return the paths whose watches fire, in an order that is the same in every process."""
    return [path for path in sorted(before.keys() | after.keys()) if _stat(before, path) != _stat(after, path)]


def _stat(tree: Tree, path: str) -> Stat | None:
    znode = tree.get(path)
    return None if znode is None else znode.stat


def _one(tree: Tree, operation: object, zxid: int, mtime: int, session: int) -> Stat | str | None:
    match operation:
        case actions.Create():
            return _create(tree, operation, zxid, mtime, session)
        case actions.Check(path=path, version=version):
            _existing(tree, path, version)
            return None
        case actions.SetData(path=path, data=data, version=version):
            old = _existing(tree, path, version)
            stat = old.stat._replace(mzxid=zxid, version=old.stat.version + 1, mtime=mtime)
            tree[path] = replace(old, data=data, stat=stat)
            return stat
        case actions.Delete(path=path):
            _existing(tree, path, ANY_VERSION)
            del tree[path]
            return None
        case _:
            raise TypeError(f"no write: {operation!r}")


def _create(tree: Tree, operation: actions.Create, zxid: int, mtime: int, session: int) -> str:
    parent = operation.path.rpartition("/")[0] or "/"
    if parent not in tree:
        raise _RefusedError(Refusal.NO_NODE)
    path = operation.path
    if operation.sequence:
        path += f"{tree[parent].sequence:010d}"
        tree[parent] = replace(tree[parent], sequence=tree[parent].sequence + 1)
    if path in tree:
        raise _RefusedError(Refusal.NODE_EXISTS)
    stat = Stat(czxid=zxid, mzxid=zxid, version=0, mtime=mtime, ctime=mtime)
    tree[path] = Znode(data=operation.data, stat=stat, owner=session if operation.ephemeral else None)
    return path


def _existing(tree: Tree, path: str, version: int) -> Znode:
    if path not in tree:
        raise _RefusedError(Refusal.NO_NODE)
    if version not in (ANY_VERSION, tree[path].stat.version):
        raise _RefusedError(Refusal.BAD_VERSION)
    return tree[path]
