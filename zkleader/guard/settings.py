"""What a guard is given when it is executed: the command as it will be run, and what releasing for us takes.

It owns the form of that as bytes, and which signals are kept from a guard.  The bytes go through a memory file, never
through arguments or environment, because the release information holds secrets.  The form carries no version: both
sides are the same installed files.
"""

from __future__ import annotations

import json
import signal
from enum import Enum
from typing import Any

from zkleader.core.acts import Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.job import Place
from zkleader.core.lease import Timing
from zkleader.core.value import Value

SENT_BY_OTHERS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)
"""What a careless kill or a terminal sends: the guard ends by its own rules only.  Blocked from before its first
instruction until it ignores them, or a SIGINT in between would print Python's traceback."""


class Scope(Enum):
    """How the guard may find and kill what belongs to the command."""

    BEST = "best"
    """By a control group where we may have one, else by searching."""
    SEARCH = "search"
    """By searching only."""


class GuardSettings(Value):
    """All that a guard needs to know for its one tenure, or its one wait for it."""

    _hidden = ("release",)

    argv: tuple[bytes, ...]
    """The command's arguments, its own name first."""
    executable: bytes
    """The file to execute, resolved before campaigning."""
    environment: dict[bytes, bytes]
    """The command's, complete but for what a start adds."""
    timing: Timing
    stop_signal: int
    supervisor_pid: int
    place: Place = Place.APART
    supervisor_group: int = 0
    """The supervisor's process group; it matters where there is a terminal."""
    ignored_signals: tuple[int, ...] = ()
    """Signals that the supervisor was started with as ignored; the command gets the same."""
    signal_mask: tuple[int, ...] = ()
    """Signals that the supervisor was started with as blocked; the command gets the same."""
    search_path: tuple[str, ...] = ()
    """Directories to append to the import path, for psutil and for what the release program imports."""
    release: dict[str, Any]
    """JSON for the release program; the guard adds ``guid``, ``timing`` and ``search_path``."""
    release_program: str = ""
    """Its file; the installed one when empty."""
    on_elected: bytes | None = None
    """A shell's command line, run before the command; None: there is none."""
    on_lost: bytes | None = None
    """The same, run after it."""
    hook_timeout: float = 10.0
    """Seconds that each of them may take."""
    scope: Scope = Scope.BEST
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE

    def to_bytes(self) -> bytes:
        """Return the form that `from_bytes` reads."""
        content = {
            "argv": [to_text(argument) for argument in self.argv],
            "executable": to_text(self.executable),
            "environment": {to_text(name): to_text(value) for name, value in self.environment.items()},
            "timing": {
                "lease": self.timing.lease,
                "grace": self.timing.grace,
                "stop_timeout": self.timing.stop_timeout,
            },
            "stop_signal": self.stop_signal,
            "supervisor_pid": self.supervisor_pid,
            "place": self.place.value,
            "supervisor_group": self.supervisor_group,
            "ignored_signals": self.ignored_signals,
            "signal_mask": self.signal_mask,
            "search_path": self.search_path,
            "release": self.release,
            "release_program": self.release_program,
            "scope": self.scope.value,
            "on_elected": None if self.on_elected is None else to_text(self.on_elected),
            "on_lost": None if self.on_lost is None else to_text(self.on_lost),
            "hook_timeout": self.hook_timeout,
            "on_disconnect": self.on_disconnect.value,
        }
        return json.dumps(content).encode("ascii")

    @classmethod
    def from_bytes(cls, packed: bytes) -> GuardSettings:
        """Return what `to_bytes` has packed.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        content = json.loads(packed)
        return cls(
            argv=tuple(to_raw(argument) for argument in content["argv"]),
            executable=to_raw(content["executable"]),
            environment={to_raw(name): to_raw(value) for name, value in content["environment"].items()},
            timing=Timing(**content["timing"]),
            stop_signal=content["stop_signal"],
            supervisor_pid=content["supervisor_pid"],
            place=Place(content["place"]),
            supervisor_group=content["supervisor_group"],
            ignored_signals=tuple(content["ignored_signals"]),
            signal_mask=tuple(content["signal_mask"]),
            search_path=tuple(content["search_path"]),
            release=content["release"],
            release_program=content["release_program"],
            scope=Scope(content["scope"]),
            on_elected=None if content["on_elected"] is None else to_raw(content["on_elected"]),
            on_lost=None if content["on_lost"] is None else to_raw(content["on_lost"]),
            hook_timeout=content["hook_timeout"],
            on_disconnect=OnDisconnect(content["on_disconnect"]),
        )

    @property
    def hooks(self) -> Hooks:
        """Which hooks there are."""
        has_elected, has_lost = self.on_elected is not None, self.on_lost is not None
        return Hooks(on_elected=has_elected, on_lost=has_lost, timeout=self.hook_timeout)


def to_text(raw: bytes) -> str:
    """Return bytes of any content as text that JSON can carry."""
    return raw.decode("utf-8", "surrogateescape")


def to_raw(text: str) -> bytes:
    """Return the bytes behind such a text.

    Not `os.fsencode`: supervisor and guard may differ in their locale (``-I`` ignores ``PYTHONUTF8``), and then one
    would not give back what the other has taken.
    """
    return text.encode("utf-8", "surrogateescape")
