"""The file of ``--metrics-textfile``: what has changed is written, by a thread of its own.

It owns that thread and when a file is due.  Nothing waits for it: a disk may be full, a directory hang; what could not
be written meanwhile is replaced by what is new.  It does not promise that the file is up to date: that of a supervisor
which was killed stays as it was.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque

from zkleader.config import UsageProblem
from zkleader.core.candidacy_state import State
from zkleader.core.lease import Instant
from zkleader.core.measures import Figures, Measures, measure
from zkleader.metrics import Labels, render
from zkleader.whole_file import WholeFile

_OPTION = "--metrics-textfile"
_ENDING = ".prom"
"""node exporter reads no others."""

_SLOW = 10.0
"""Seconds after which a write that hangs is told."""


def file_of(path: str) -> WholeFile:
    """Return the file of that name; see whether it can be written.

    Raises:
        UsageProblem: that is no name for it.
        ConfigurationProblem: it cannot be written.
    """
    if path and not path.endswith(_ENDING):
        raise UsageProblem(f"'{path}' does not end in {_ENDING}, and node exporter would not read it", _OPTION)
    return WholeFile(path, what="metrics", option=_OPTION)


class MetricsFile:
    """The file of one run, over all its candidacies."""

    def __init__(self, path: str, labels: Labels) -> None:
        """See whether it can be written; begin nothing yet.

        Raises: as above.
        """
        self._file = file_of(path)
        self._labels = labels
        self._measures = Measures()
        self._shown: Figures | None = None
        self._renewed_at = 0.0
        self._due: deque[bytes] = deque(maxlen=1)
        self._is_due = threading.Event()
        self._is_ending = False
        self._writer: threading.Thread | None = None
        self._writing_since: float | None = None
        self._trouble = ""
        self._has_told = False

    @property
    def path(self) -> str:
        """Where it is."""
        return self._file.path

    def observe(self, state: State, now: Instant) -> str:
        """Take note of a step of a candidacy.  Return why the file could not be written, the first time; never wait."""
        before = self._measures.figures.lease_start
        self._measures = measure(self._measures, state, now)
        figures = self._measures.figures
        if figures.lease_start is not None and figures.lease_start != before:
            self._renewed_at = time.time() - now.held_since(figures.lease_start)
        if figures != self._shown:
            self._show(figures)
        return self._news(now)

    def end(self, within: float) -> None:
        """Write for the last time that nobody leads here; wait for that, so many seconds at the most."""
        self._show(self._measures.figures.but(is_leading=False, is_paused=False))
        # After that, or the race: a writer that is just done would find nothing due, and leave.
        self._is_ending = True
        self._is_due.set()
        if self._writer is not None:
            self._writer.join(within)

    def _show(self, figures: Figures) -> None:
        self._shown = figures
        self._due.append(render(figures, self._labels, self._renewed_at))
        self._is_due.set()
        if self._writer is None:
            writer = threading.Thread(target=self._write_all, daemon=True, name="metrics")
            with contextlib.suppress(RuntimeError):  # no thread to be had: the next change tries again
                writer.start()
                self._writer = writer

    def _news(self, now: Instant) -> str:
        since = self._writing_since
        trouble = self._trouble
        if since is not None and now.monotonic - since > _SLOW:
            trouble = f"it takes longer than {_SLOW:g} s"
        if not trouble or self._has_told:
            return ""
        self._has_told = True
        return trouble

    # ---- the thread

    def _write_all(self) -> None:
        while not (self._is_ending and not self._due):
            self._is_due.wait()
            self._is_due.clear()
            # The race: what is put between the two lines is taken by the next, and the wake-up for it finds nothing.
            if self._due:
                self._write(self._due.pop())

    def _write(self, content: bytes) -> None:
        self._writing_since = time.monotonic()
        try:
            # Not forced to the disk: it is about the present, and there is another one soon.
            self._file.write(content)
        except OSError as error:
            self._trouble = os.strerror(error.errno or 0).lower()
        self._writing_since = None
