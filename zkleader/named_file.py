"""Files that the user names: opened once, and judged by what was opened.

It owns that a name is looked up once only, so that nobody can put another file there between a look and the use, that
nothing but a regular file is waited for, and the words for what is wrong with that.  It must not know what a file is
for, nor who may have access to it: whoever reads it does.  It does not promise that the file stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator


class FileProblem(Exception):  # noqa: N818 # not an error of ours: the message is for the user
    """A file cannot be used; the message is the reason, ``is_missing`` whether there is none of that name."""

    def __init__(self, reason: str, *, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_missing = is_missing


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a regular file for reading; give its descriptor.

    Raises:
        FileProblem: it cannot be opened, or is something else.
    """
    try:
        # Not waiting for whoever may write into a FIFO some day, nor taking a terminal for ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _problem(error) from None
    except ValueError as error:  # a name with a null byte
        raise FileProblem(str(error)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileProblem("not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def read(path: str, longest: int, check: Callable[[os.stat_result], None]) -> bytes:
    """Return what is in a file of so many bytes at the most; ``check`` raises what is to be said against its status.

    Raises:
        FileProblem: it cannot be read, or is longer.
    """
    with opened(path) as descriptor:
        check(os.fstat(descriptor))
        try:
            with open(descriptor, "rb", closefd=False) as source:
                content = source.read(longest + 1)  # it may grow meanwhile
        except OSError as error:
            raise _problem(error) from None
    if len(content) > longest:
        raise FileProblem(f"longer than {longest // 1024} KiB")
    return content


def _problem(error: OSError) -> FileProblem:
    return FileProblem(os.strerror(error.errno or 0).lower(), is_missing=isinstance(error, FileNotFoundError))
