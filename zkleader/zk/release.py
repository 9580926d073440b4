"""Release for a supervisor that is dead or frozen: a small program that the guard executes.

Its facts are JSON in the descriptor that the first argument names (never in arguments or environment, which
others can read).  It releases the lease record if that still bears the guid of the candidacy, and deletes the
candidates that bear it; any client may, with the right ACL, so no session has to be taken over.  It is executed only
when everything of the command is proven gone and the guard will never start anything again; that is what makes it safe
to release while the supervisor may only be frozen: what that one has under way fails by compare-and-set.

It bounds nothing by itself: the guard kills it when the lease ends.  Exit status 0: nothing is held in our name.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_TRIES = 5
"""How often the record may change under us: renewals that were still under way, at most a few."""


def main() -> int:
    """Run the program."""
    try:
        with os.fdopen(int(sys.argv[1]), "rb") as source:
            source.seek(0)  # the guard has just written it
            facts: dict[str, Any] = json.load(source)
        # Appended, never prepended: nothing there may shadow the standard library.
        sys.path.extend(path for path in facts["search_path"] if path not in sys.path)
        return 0 if _release(facts) else 1
    except Exception as error:  # noqa: BLE001 # whatever it is, it is one line and a status to the guard
        sys.stderr.write(f"zkleader: cannot release: {type(error).__name__}: {error}\n")
        return 1


def _release(facts: dict[str, Any]) -> bool:
    from kazoo.client import KazooClient  # noqa: PLC0415 # not before the path is set

    client = KazooClient(
        hosts=facts["hosts"],
        timeout=facts["lease"],
        connection_retry={"max_tries": -1, "delay": 0.05, "backoff": 1.5, "max_delay": 0.5},
    )
    client.start(timeout=facts["lease"])
    try:
        return any(_try(client, facts) for _ in range(_TRIES))
    finally:
        client.stop()


def _try(client: Any, facts: dict[str, Any]) -> bool:
    from kazoo import exceptions  # noqa: PLC0415 # as above

    from zkleader.core import queue, records  # noqa: PLC0415 # as above

    election, guid = facts["election"], facts["guid"]
    client.sync(election)
    path = f"{election}/{queue.RECORD_PREFIX}0"
    transaction = client.transaction()
    try:
        data, stat = client.get(path)
        record = records.parse_lease_record(data)
        if isinstance(record, records.LeaseRecord) and record.holder == guid and not record.released:
            seen = records.Stat(czxid=stat.czxid, mzxid=stat.mzxid, version=stat.version, mtime=stat.mtime)
            freed = records.released(record, seen, beat=record.beat, reason=facts["reason"], status=facts["status"])
            transaction.set_data(path, records.encode(freed), stat.version)
    except exceptions.NoNodeError:
        pass  # no record, nothing to release; there may be a candidate
    for name in queue.of_guid(guid, tuple(client.get_children(election))):
        transaction.delete(f"{election}/{name}")
    if not transaction.operations:
        return True
    results = transaction.commit()
    return not any(isinstance(result, Exception) for result in results)


if __name__ == "__main__":
    sys.exit(main())
