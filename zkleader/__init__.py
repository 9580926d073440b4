"""Run a command on one host of many: the one that ZooKeeper elected.  Or be that leader, in a program of one's own.

The names of the library are found here when they are asked for, and not before: the guard imports this package, so
nothing is imported here.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as type checkers know it, without importing typing
if TYPE_CHECKING:
    from zkleader.errors import ConfigurationError as ConfigurationError
    from zkleader.errors import ForkedError as ForkedError
    from zkleader.errors import InternalError as InternalError
    from zkleader.errors import LeadershipLostError as LeadershipLostError
    from zkleader.errors import NewerFormatError as NewerFormatError
    from zkleader.errors import NotElectedError as NotElectedError
    from zkleader.errors import RefusedError as RefusedError
    from zkleader.errors import ZkLeaderError as ZkLeaderError
    from zkleader.library.candidate import Candidate as Candidate
    from zkleader.library.election import Election as Election
    from zkleader.library.states import Failed as Failed
    from zkleader.library.states import Leading as Leading
    from zkleader.library.states import Lost as Lost
    from zkleader.library.states import ResignAsked as ResignAsked
    from zkleader.library.states import Resigned as Resigned
    from zkleader.library.states import State as State
    from zkleader.library.states import Suspected as Suspected
    from zkleader.library.states import Waiting as Waiting
    from zkleader.zk.access import NotPermittedError as NotPermittedError
    from zkleader.zk.access import UnreachableError as UnreachableError

_LIBRARY = {
    "Candidate": "zkleader.library.candidate",
    "ConfigurationError": "zkleader.errors",
    "Election": "zkleader.library.election",
    "Failed": "zkleader.library.states",
    "ForkedError": "zkleader.errors",
    "InternalError": "zkleader.errors",
    "Leading": "zkleader.library.states",
    "LeadershipLostError": "zkleader.errors",
    "Lost": "zkleader.library.states",
    "NewerFormatError": "zkleader.errors",
    "NotElectedError": "zkleader.errors",
    "NotPermittedError": "zkleader.zk.access",
    "RefusedError": "zkleader.errors",
    "ResignAsked": "zkleader.library.states",
    "Resigned": "zkleader.library.states",
    "State": "zkleader.library.states",
    "Suspected": "zkleader.library.states",
    "UnreachableError": "zkleader.zk.access",
    "Waiting": "zkleader.library.states",
    "ZkLeaderError": "zkleader.errors",
}
"""Where each name of the library stands."""


def __getattr__(name: str) -> object:
    """Return a name of the library, importing what it needs."""
    if name not in _LIBRARY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 # not for the guard

    return getattr(import_module(_LIBRARY[name]), name)


def __dir__() -> list[str]:
    """Return the names that there are, those of the library among them."""
    return sorted([*globals(), *_LIBRARY])
