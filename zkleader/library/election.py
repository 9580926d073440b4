"""An election as a program names it: where it is, and how this program takes part.

It owns the arguments, and says at once which of them cannot work.  It must not know threads.  It does not promise that
a server exists: nothing is connected before a campaign.
"""

from __future__ import annotations

import os
import re
import sys

from zkleader import __version__
from zkleader.config import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_GRACE,
    DEFAULT_LEASE,
    ConfigurationProblem,
    UsageProblem,
    check_identity,
    check_timing,
    election_path,
)
from zkleader.core.lease import Timing
from zkleader.core.records import MOST_LEADERS, Identity
from zkleader.core.rules import Rules
from zkleader.errors import ConfigurationError
from zkleader.library.candidate import Candidate
from zkleader.library.loop import Loop
from zkleader.reaching import reach


class Election:
    """An election that programs may lead, by themselves (`campaign`) or under ``zkleader run``: it is the same one.

    Nobody stops a program that leads by itself: see ``zkleader.library`` for what that cannot promise.
    """

    def __init__(
        self,
        hosts: str,
        path: str,
        *,
        id: str | None = None,  # noqa: A002 # it is called so everywhere else
        leaders: int = 1,
        lease: float = DEFAULT_LEASE,
        grace: float = DEFAULT_GRACE,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        auth_file: str | None = None,
        acl: str | None = None,
        tls: bool = False,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        tls_no_verify: bool = False,
    ) -> None:
        """Name an election.  Durations in seconds.

        ``hosts`` is ``HOST:PORT[,...][/CHROOT]``.  ``path`` is put below ``/zkleader`` if it is a name, and taken as it
        is if it begins with a slash.  ``id`` is how the candidate is shown (default: the host's name).  So many
        ``leaders`` may lead at once, 1 to 100, and all candidates have to say the same.  ``lease`` is what others wait
        out when we vanish, 2 to 60; ``grace`` is how much of it is left, when leadership is lost because nothing could
        be renewed, for the work to stop.  A campaign that reaches no server within ``connect_timeout`` has failed.  The
        others are the options of the same names: who we are, what others may do to the znodes that are created, and how
        TLS is spoken.

        Raises:
            ConfigurationError: that cannot work.
        """
        timing = Timing(lease=_seconds("lease", lease), grace=_seconds("grace", grace), stop_timeout=0.0)
        patience = _seconds("connect_timeout", connect_timeout)
        try:
            self._access = reach(
                hosts=hosts,
                auth_file=auth_file,
                acl=acl,
                tls=tls,
                tls_ca=tls_ca,
                tls_cert=tls_cert,
                tls_key=tls_key,
                tls_no_verify=tls_no_verify,
            )
            check_timing(timing)
            self._path = election_path(path, "")
            self._id = check_identity(os.uname().nodename if id is None else id)
        except UsageProblem as problem:
            raise ConfigurationError(_as_arguments(f"{problem.option}: {problem}")) from None
        except ConfigurationProblem as problem:
            raise ConfigurationError(_as_arguments(str(problem))) from None
        if not (timing.grace >= 0 and patience > 0):
            raise ConfigurationError("grace must not be negative, and connect_timeout must be more than zero")
        if type(leaders) is not int or not 1 <= leaders <= MOST_LEADERS:
            raise ConfigurationError(f"leaders: {leaders!r} is not a number from 1 to {MOST_LEADERS}")
        self._leaders = leaders
        self._timing = timing
        self._connect_timeout = patience

    def __repr__(self) -> str:
        return f"<Election {self._path} at {self._access.hosts}>"

    def campaign(self) -> Candidate:
        """Join the queue; return the candidate at once.

        It goes on by itself, in threads of its own, until it has resigned or leadership is lost: also when the place in
        the queue is lost while waiting, which is taken again.

        Raises:
            InternalError: there is no thread to be had.
        """
        program = os.path.basename(sys.argv[0]) if sys.argv else ""
        identity = Identity(
            id=self._id,
            host=os.uname().nodename,
            pid=os.getpid(),
            command=program if program and not program.startswith("-") else "python",
            version=__version__,
        )
        rules = Rules(
            election=self._access.hosts.chroot + self._path,
            identity=identity,
            timing=self._timing,
            connect_timeout=self._connect_timeout,
            leaders=self._leaders,
        )
        loop = Loop(rules, self._access)
        loop.start()
        return Candidate(loop, self._timing)


def _seconds(name: str, value: object) -> float:
    """Return a duration; what is none, or not a finite one, would be found out by a candidate that leads, or never.

    Raises:
        ConfigurationError: it is none.
    """
    if not (isinstance(value, int | float) and abs(value) <= sys.float_info.max):
        raise ConfigurationError(f"{name}: {value!r} is no finite number of seconds")
    return float(value)


def _as_arguments(message: str) -> str:
    """Return what was said of options, of arguments: but for one they are called alike."""
    named = message.replace("--election", "path")
    return re.sub("--([a-z-]+)", lambda option: option[1].replace("-", "_"), named)
