"""Many elections, each with a leader, on one ensemble of three: what their renewals cost, and how long they take.

Owns how many, and over how long. Leaders are candidates of `crowd`; what is counted is what the servers say of
themselves, and what the kernel says of the servers.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from zookeeper import Ensemble

from bench.counters import parse_processor_ticks
from bench.crowd import Crowd
from bench.figures import Figure
from bench.scale import traffic_of
from bench.stage import LEASE, fresh_path, progress

ELECTIONS = 500
SECONDS = 20.0


def measure(rounds: int | None) -> Iterator[Figure]:
    """Have each lead for a while; count over `SECONDS`. With rounds, ten elections a round."""
    number = ELECTIONS if rounds is None else min(ELECTIONS, 10 * rounds)
    with Ensemble(3) as ensemble, Crowd(ensemble.hosts, LEASE, {fresh_path(): 1 for _ in range(number)}) as crowd:
        progress(f"many: {number} elections, joining")
        crowd.wait_until_led(number)
        time.sleep(2)
        crowd.took()
        progress(f"many: {number} elections, renewing")
        servers = list(ensemble)
        before, ticks = traffic_of(servers[0]), [_ticks(server.pid) for server in servers]
        time.sleep(SECONDS)
        writes = traffic_of(servers[0]).since(before).writes / SECONDS
        spent = [_ticks(server.pid) - then for server, then in zip(servers, ticks, strict=True)]
        percent = [100 * one / os.sysconf("SC_CLK_TCK") / SECONDS for one in spent]
        yield Figure(f"elections-{number}-writes", "1/s", {"an ensemble": [writes]})
        yield Figure(f"elections-{number}-cpu", "%", {"a server": percent})
        yield Figure(f"elections-{number}-renewal", "ms", {"zkleader": [1000 * seconds for seconds in crowd.took()]})


def _ticks(pid: int | None) -> int:
    assert pid is not None, "a server has ended"
    return parse_processor_ticks(Path(f"/proc/{pid}/stat").read_text())
