"""Files that are named for reaching an ensemble: what is said of one that cannot be used, and who may read a secret.

It must not know what a file says, nor how it is opened (``named_file`` does).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from zkleader import named_file
from zkleader.named_file import FileProblem

_LONGEST = 64 * 1024
"""Bytes of a file that is read here; a longer one is not what it is taken for."""


class AccessProblem(ValueError):  # noqa: N818 # not an error of ours: the message is for the user
    """What was given for reaching an ensemble cannot be used (78); the message is one line, without any secret."""


@contextlib.contextmanager
def opened(path: str, what: str) -> Iterator[int]:
    """Open a regular file for reading; give its descriptor.

    Raises:
        AccessProblem: it cannot be opened, or is something else.
    """
    try:
        with named_file.opened(path) as descriptor:
            yield descriptor
    except FileProblem as reason:
        raise problem(what, path, str(reason)) from None


def read_secret(path: str, what: str) -> str:
    """Return the text of a file that is for us alone.

    Raises:
        AccessProblem: it cannot be read, others may read or write it, or it is no text.
    """
    try:
        return named_file.read(path, _LONGEST, _check_secret).decode()
    except FileProblem as reason:
        raise problem(what, path, str(reason)) from None
    except UnicodeDecodeError:
        raise problem(what, path, "not UTF-8 text") from None


def _check_secret(status: os.stat_result) -> None:
    """Refuse a file that is no secret.

    As ssh does, bits for the group are not held against a file that somebody else owns (root, say, who lets us read it
    through our group): its mode is not ours to mend.  Bits for others always are.
    """
    is_ours = status.st_uid == os.geteuid()
    if status.st_mode & (0o077 if is_ours else 0o007):
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise FileProblem(f"group or others have access to it (mode {mode}); chmod 600 it")


def problem(what: str, path: str, reason: str) -> AccessProblem:
    """Return the error that says so."""
    return AccessProblem(f"cannot use the {what} {path}: {reason}")
