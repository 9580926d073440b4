"""The library's log: the events of ``run``'s log as records of the standard ``logging``, by a thread of its own.

The program's handlers may take their time, or hang on a full pipe: no renewal waits for them.  It owns the logger's
name and the form of the records.  It must not know what events mean, and does not promise that every record is handed
on: what does not fit into the queue is counted and told later.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from typing import Any

LOGGER = logging.getLogger("zkleader")
LOGGER.addHandler(logging.NullHandler())  # a program that has not set logging up hears nothing from its libraries

_QUEUE_SIZE = 1000
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Writer:
    """Hands records to the program's handlers; one for a process, begun with the first record that somebody wants."""

    def __init__(self) -> None:
        self._records: queue.Queue[logging.LogRecord] = queue.Queue(_QUEUE_SIZE)
        self._dropped = 0
        self.pid = os.getpid()
        threading.Thread(target=self._write_all, daemon=True, name="zkleader-log").start()

    def put(self, record: logging.LogRecord) -> None:
        """Enqueue; never waits."""
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def _write_all(self) -> None:
        while True:
            record = self._records.get()
            if self._dropped:
                count, self._dropped = self._dropped, 0
                record.msg = f"{record.msg} dropped={count}"
            with contextlib.suppress(Exception):  # a handler of the program's that fails has told so, or wants no word
                LOGGER.handle(record)


_writer: _Writer | None = None


def tell(level: str, event: str, **facts: Any) -> None:
    """Log an event.  ``record.event`` and ``record.facts`` have it in parts; facts that are None are left out."""
    global _writer  # noqa: PLW0603 # one thread for all candidates of the process
    number = _LEVELS[level]
    if not LOGGER.isEnabledFor(number):
        return
    if _writer is None or _writer.pid != os.getpid():  # a fork has no thread of ours
        # The race: two candidates at once may begin two writers; both write what they were given.
        with contextlib.suppress(RuntimeError):  # no thread to be had: the next record tries again
            _writer = _Writer()
    known = {name: fact for name, fact in facts.items() if fact is not None}
    text = " ".join([event, *(f"{name}={fact}" for name, fact in known.items())])
    record = LOGGER.makeRecord(LOGGER.name, number, "", 0, text, (), None, extra={"event": event, "facts": known})
    if _writer is not None:
        _writer.put(record)
