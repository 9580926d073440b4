"""The log: events with facts, on standard error, written by a thread of its own.

Nothing that is logged may block or disturb the supervisor: events pass a bounded queue, what does not fit is counted
and told later; a standard error that cannot be written to is given up for that line.  structlog is imported by the
writer only, and only when there is something to write: a healthy job under cron needs none of it.  It must not know
what events mean, and does not promise that a line is written.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from zkleader.core.value import Value
from zkleader.harmless import harmless

_QUEUE_SIZE = 1000
"""Lines that may wait for a standard error that is slow."""

_WRITE_PATIENCE = 1.0
"""Seconds for which a line waits for a standard error that takes none, where that is non-blocking."""

_START_PATIENCE = 0.5
"""Seconds for which lines wait for `hurry`, so that importing structlog does not delay the start of the command."""

_RANKS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_JOURNAL_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}

Renderer = Callable[[Any, str, dict[str, Any]], Any]


class Format(Enum):
    """How lines look."""

    CONSOLE = "console"
    JSON = "json"
    LOGFMT = "logfmt"


class Loudness(Enum):
    """Which events are written; the value is the least of them."""

    QUIET = "error"
    CRON = "warning"
    NORMAL = "info"
    VERBOSE = "debug"


class _Line(Value):
    level: str
    event: str
    at: float
    facts: dict[str, Any]
    is_plain: bool = False


_END = _Line(level="debug", event="", at=0.0, facts={})


def is_journal(descriptor: int) -> bool:
    """Whether the journal reads this descriptor (systemd says which in JOURNAL_STREAM)."""
    try:
        stat = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def default_loudness(descriptor: int = 2) -> Loudness:
    """Return what suits the place: all changes of state where somebody looks, else only what is wrong."""
    is_watched = is_journal(descriptor) or "INVOCATION_ID" in os.environ or os.isatty(descriptor)
    return Loudness.NORMAL if is_watched else Loudness.CRON


def default_format(descriptor: int = 2) -> Format:
    """Return what suits the place."""
    return Format.CONSOLE if os.isatty(descriptor) else Format.LOGFMT


class Log:
    """Takes events from the main thread."""

    def __init__(self, form: Format, loudness: Loudness, descriptor: int = 2) -> None:
        self._form = form
        self._least = _RANKS[loudness.value]
        self._descriptor = descriptor
        self._is_journal = is_journal(descriptor)
        self._lines: queue.Queue[_Line] = queue.Queue(_QUEUE_SIZE)
        self._dropped = 0
        self._hurry = threading.Event()
        self._writer: threading.Thread | None = None
        self._bound: dict[str, Any] = {}

    def bind(self, **facts: Any) -> None:
        """Add facts to every line from now on."""
        self._bound |= facts

    def event(self, level: str, event: str, **facts: Any) -> None:
        """Log an event; ``level`` is debug, info, warning or error.  Never waits.  Facts that are None are left out."""
        if _RANKS[level] >= self._least:
            known = {name: fact for name, fact in facts.items() if fact is not None}
            self._put(_Line(level=level, event=event, at=time.time(), facts=self._bound | known))

    def say(self, text: str) -> None:
        """Write ``zkleader: <text>``, whatever the loudness: what ends us is always told."""
        self._put(_Line(level="error", event=f"zkleader: {text}", at=time.time(), facts={}, is_plain=True))

    def hurry(self) -> None:
        """Let the writer begin: the command runs, or is not about to."""
        self._hurry.set()

    def close(self, within: float) -> None:
        """Write what is waiting, for so many seconds at the most."""
        if self._writer is None:
            return
        self._hurry.set()
        with contextlib.suppress(queue.Full):
            self._lines.put(_END, timeout=within)
        self._writer.join(within)

    def _put(self, line: _Line) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1
            return
        if self._writer is None:
            writer = threading.Thread(target=self._write_all, daemon=True, name="log")
            # The command may have used up all processes that there may be; the next line tries again.
            with contextlib.suppress(RuntimeError):
                writer.start()
                self._writer = writer

    def _write_all(self) -> None:
        self._hurry.wait(_START_PATIENCE)
        renderer: Renderer | None = None
        while (line := self._lines.get()) is not _END:
            if self._dropped:
                count, self._dropped = self._dropped, 0
                line = _Line(level=line.level, event=line.event, at=line.at, facts=line.facts | {"dropped": count})
            if line.is_plain:
                self._write(line, harmless(line.event))
                continue
            try:
                renderer = renderer or _renderer(self._form, self._descriptor)
                text = self._render(renderer, line)
            except Exception as error:  # noqa: BLE001 # a fact that cannot be shown must not cost the lines after it
                text = harmless(f"zkleader: cannot log {line.event}: {type(error).__name__}: {error}")
            self._write(line, text)

    def _render(self, renderer: Renderer, line: _Line) -> str:
        facts = line.facts
        if self._form is not Format.JSON:  # which escapes by itself
            # Not of the whole line: the renderer's colours are to stay, and none that a name brings along.
            facts = {name: harmless(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        content: dict[str, Any] = {"timestamp": stamp(line.at), "level": line.level, "event": line.event} | facts
        return str(renderer(None, line.level, content))

    def _write(self, line: _Line, text: str) -> None:
        prefix = f"<{_JOURNAL_PRIORITIES[line.level]}>" if self._is_journal else ""
        rest = f"{prefix}{text}\n".encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):  # EPIPE, a full disk: the line is lost, the command is not disturbed
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    if not select.select([], [self._descriptor], [], _WRITE_PATIENCE)[1]:
                        return


def _renderer(form: Format, descriptor: int) -> Renderer:
    import structlog  # noqa: PLC0415 # it takes as long to import as everything else together

    if form is Format.JSON:
        return structlog.processors.JSONRenderer()
    if form is Format.LOGFMT:
        return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    has_colors = os.isatty(descriptor) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    # By place: the width of the event is pad_event_to since structlog 25.5, and was pad_event before.
    return structlog.dev.ConsoleRenderer(20, colors=has_colors)


def stamp(at: float) -> str:
    """Return an instant of the wall clock, the way logs and results show it (RFC 3339, UTC)."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 1000):03d}Z"


def say_at_once(text: str) -> None:
    """Write one line before there is a log."""
    with contextlib.suppress(OSError, AttributeError, ValueError):  # standard error may be closed, or full
        sys.stderr.write(f"zkleader: {harmless(text)}\n")
        sys.stderr.flush()
