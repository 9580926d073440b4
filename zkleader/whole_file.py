"""A file that others read while we write it: it is there whole or not at all, and an old one until then.

It owns the temporary file beside it, and the ways in which a name is refused.  It must not know what is written.  It
does not promise that writing is quick: a directory of another host may hang, and so may a disk.
"""

from __future__ import annotations

import contextlib
import os
import stat

from zkleader.config import ConfigurationProblem, UsageProblem

_MODE = 0o644
_TEMPORARY = ".zkleader-"
"""Hidden, and without an ending by which somebody might take it for the file."""


class WholeFile:
    """One file; ``what`` and ``option`` are the words by which its user knows it."""

    def __init__(self, path: str, *, what: str, option: str, takes_away: bool = False) -> None:
        """See whether it can be written, and perhaps take away what is there.

        Raises:
            UsageProblem: that is no name.
            ConfigurationProblem: it cannot be written.
        """
        self.path = path
        self._what = what
        if not path:
            raise UsageProblem("it is empty", option)
        try:
            # Never through a link, which might be somebody else's, and never in the place of a device.
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise ConfigurationProblem(f"cannot write the {what} {path}: not a regular file")
        except FileNotFoundError:
            pass  # nor is anything to be taken away
        except OSError as error:
            raise self._problem(error) from None
        try:
            if takes_away:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            descriptor, temporary = self._open()
            os.close(descriptor)
            os.unlink(temporary)
        except OSError as error:
            raise self._problem(error) from None

    def write(self, content: bytes, *, survives_a_crash: bool = False) -> None:
        """Write all of it or nothing.

        Raises:
            OSError: it was not written.
        """
        descriptor, temporary = self._open()
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if survives_a_crash:
                    # The race: the host dies after the rename.  Without this there may be an empty file then.
                    os.fsync(file.fileno())
            os.rename(temporary, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _open(self) -> tuple[int, str]:
        # Its own name in the same directory: what is renamed over FILE may be nobody else's, nor on another disk.
        temporary = os.path.join(os.path.dirname(self.path), _TEMPORARY + os.urandom(8).hex())
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), temporary

    def _problem(self, error: OSError) -> ConfigurationProblem:
        reason = (error.strerror or str(error)).lower()
        return ConfigurationProblem(f"cannot write the {self._what} {self.path}: {reason}")
