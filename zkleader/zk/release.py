"""Release for a supervisor that is dead or frozen: a small program that the guard executes.

Its facts are JSON in the descriptor that the first argument names (never in arguments or environment, which
others can read).  It releases the lease record if that still bears the guid of the candidacy, and deletes the
candidates that bear it; any client may, with the right ACL, so no session has to be taken over.  It is executed only
when everything of the command is proven gone and the guard will never start anything again; that is what makes it safe
to release while the supervisor may only be frozen: what that one has under way fails by compare-and-set.

It does not promise to succeed: then the lease is waited out.  One server and one request may take no longer than they
may with the supervisor; looking up names and reaching any server may each take the lease, after which there is
nothing to gain; and the guard, which knows when the lease ends, kills it then, after ten seconds at the most.  It is
given names as the user has given them, not the addresses that the supervisor knew, so a name service that is down
costs the release.  Exit status 0: nothing is held in our name.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from typing import Any

_TRIES = 5
"""How often to look: one look releases, one finds nothing left, and the rest are for what happens meanwhile:
renewals or a claim that were still under way, a connection that is lost."""


def main() -> int:
    """Run the program."""
    gc.disable()  # it lives for moments, and a successor waits while it imports
    try:
        with os.fdopen(int(sys.argv[1]), "rb") as source:
            source.seek(0)  # the guard has just written it
            facts: dict[str, Any] = json.load(source)
        # Appended, never prepended: nothing there may shadow the standard library.
        sys.path.extend(path for path in facts["search_path"] if path not in sys.path)
        _release(facts)
    except _NotReleasedError as error:
        sys.stderr.write(f"zkleader: cannot release: {error}\n")
        return 1
    except Exception as error:  # noqa: BLE001 # whatever it is, it is one line and a status to the guard
        sys.stderr.write(f"zkleader: cannot release: {type(error).__name__}: {error}\n")
        return 1
    return 0


class _NotReleasedError(Exception):
    """Something may still be held in our name; the message says why."""


def _release(facts: dict[str, Any]) -> None:
    from zkleader.core.lease import Timing  # noqa: PLC0415 # not before the path is set
    from zkleader.zk.access import Access  # noqa: PLC0415 # as above
    from zkleader.zk.connecting import Connection, silence_kazoo  # noqa: PLC0415 # as above

    silence_kazoo()
    timing = Timing(**facts["timing"])
    access = Access.from_json(facts["access"])
    connection = Connection(access, timing)
    connection.start(_addresses_of(access.hosts, timing.lease))
    try:
        if not connection.wait(timing.lease):
            raise _NotReleasedError(connection.trouble or "no server answers")
        _release_through(connection, facts, timing.request_timeout)
    finally:
        connection.close()


def _addresses_of(wanted: Any, patience: float) -> Any:
    from zkleader.zk import hosts  # noqa: PLC0415 # as above
    from zkleader.zk.resolver import Resolver  # noqa: PLC0415 # as above

    if hosts.numeric(wanted.servers):
        return wanted.servers
    known: list[hosts.Server] = []
    are_known = threading.Event()

    def done(addresses: tuple[hosts.Server, ...], _trouble: str) -> None:
        if addresses:
            known.extend(addresses)
            are_known.set()

    resolver = Resolver(wanted.servers)
    resolver.look_up(done)
    if not are_known.wait(patience):
        resolver.stop()
        raise _NotReleasedError(f"no address of {wanted} is known")
    return tuple(known)


def _release_through(connection: Any, facts: dict[str, Any], patience: float) -> None:
    from kazoo.exceptions import NoAuthError  # noqa: PLC0415 # as above

    from zkleader.zk.connecting import BUSY, UNANSWERED, PatienceError  # noqa: PLC0415 # as above

    trouble = "what is held in our name changes all the time"
    for _ in range(_TRIES):
        # Nothing is asked twice: each look reads again, and writes by compare-and-set what it has read.
        try:
            if connection.wait(patience) and _nothing_is_left(connection.client, facts, patience):
                return
        except (PatienceError, *BUSY):
            trouble = "no answer"
            connection.drop()
        except UNANSWERED as error:
            trouble = f"no answer ({type(error).__name__})"
        except NoAuthError:
            raise _NotReleasedError("not permitted") from None
    raise _NotReleasedError(trouble)


def _nothing_is_left(client: Any, facts: dict[str, Any], patience: float) -> bool:
    """Look for what is held in our name; release it if there is any, and return whether there was none.

    One that has released cannot know that nothing is left: a claim of a frozen supervisor's may have been applied
    between the look at the records and the deletion of the candidate that it checks.  After that none can be.
    """
    from kazoo import exceptions  # noqa: PLC0415 # as above

    from zkleader.core import queue, records  # noqa: PLC0415 # as above

    election, guid = facts["election"], facts["guid"]
    client.sync_async(election).get(timeout=patience)
    # The candidates first: while there is none nothing can be claimed, so what the record says after that is final.
    try:
        names = client.get_children_async(election).get(timeout=patience)
    except exceptions.NoNodeError:
        return True  # the election does not exist (yet): then it holds nothing
    transaction = client.transaction()
    # In whichever slot it is: of a claim that was under way nobody but its supervisor knew.
    paths = [f"{election}/{name}" for name in names if queue.slot_of(name) is not None]
    asked = [(path, client.get_async(path)) for path in paths]
    for path, answer in asked:
        try:
            data, stat = answer.get(timeout=patience)
        except exceptions.NoNodeError:
            continue  # no record, nothing to release
        seen = records.Stat(
            czxid=stat.czxid, mzxid=stat.mzxid, version=stat.version, mtime=stat.mtime, ctime=stat.ctime
        )
        record = records.parse_lease_record(data or b"", seen)
        if isinstance(record, records.LeaseRecord) and record.holder == guid and not record.released:
            freed = records.released(record, seen, beat=record.beat, reason=facts["reason"], status=facts["status"])
            transaction.set_data(path, records.encode(freed), stat.version)
    for name in queue.of_guid(guid, tuple(names)):
        transaction.delete(f"{election}/{name}")
    if not transaction.operations:
        return True
    for result in transaction.commit_async().get(timeout=patience):
        if isinstance(result, exceptions.NoAuthError):
            raise result
    return False


if __name__ == "__main__":
    sys.exit(main())
