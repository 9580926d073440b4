"""The rehearsal: what is looked at in which order, and what is left out when something before it has failed.

It owns that.  It must not know how a finding is shown.  Each finding is handed out as soon as it is known; all of it
takes a second or two, and as long as ``--connect-timeout`` where servers do not answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from zkleader.check import host, security, servers
from zkleader.check.finding import Finding, fail
from zkleader.check.timing import judge_session, judge_timing
from zkleader.check.visit import Visit
from zkleader.config import ELECTIONS
from zkleader.core.lease import Timing
from zkleader.exit_status import ExitStatus
from zkleader.zk.access import Access, NotPermittedError, UnreachableError
from zkleader.zk.client import Client


def rehearse(access: Access, election: str | None, timing: Timing, connect_timeout: float) -> Iterator[Finding]:
    """Yield what is found, about the servers first."""
    asking = servers.Asking(access, timing, connect_timeout)
    with Client(access, timing) as client:
        trouble = _connect(client, connect_timeout)
        answers = asking.answers()
        yield from servers.judge(answers, timing, is_reached=trouble is None)
        granted = [client.granted, *(answer.granted for answer in answers)]
        if trouble is None:
            yield judge_session(granted, timing)
            yield from security.judge(access)
            yield from _visit(client, access.hosts.chroot, election, timing)
        else:
            yield trouble
            yield from host.judge(host.measure(), timing)
    yield from judge_timing(timing, len(access.hosts.servers), granted)
    yield host.judge_killing()


def _connect(client: Client, within: float) -> Finding | None:
    try:
        client.connect(within)
    except UnreachableError as error:
        return fail("session", f"no server can be reached: {error}", ExitStatus.UNREACHABLE)
    except NotPermittedError as error:
        return fail("session", f"cannot {error}: {error.why}", ExitStatus.NOT_PERMITTED)
    return None


def _visit(client: Client, chroot: str, election: str | None, timing: Timing) -> Iterator[Finding]:
    visit = Visit(client, chroot, election or ELECTIONS, timing, is_election=election is not None)
    measured = None
    try:
        yield from visit.look()
        yield from visit.begin()
        measured = host.measure()  # between two writes, which tell how the clock of the ensemble runs
        yield from visit.end()
    except UnreachableError as error:
        yield fail("session", f"{client.server} has been lost: {error}", ExitStatus.UNREACHABLE)
    except NotPermittedError as error:
        yield fail("session", f"cannot {error}: {error.why}", ExitStatus.NOT_PERMITTED)
    yield from host.judge(measured or host.measure(), timing)
    if len(visit.stamps) > 1:
        yield host.judge_rate(visit.stamps[0], visit.stamps[-1])
