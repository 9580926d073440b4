"""One election with more and more candidates: what a takeover asks of the server, by the server's own counters.

Owns the numbers of candidates, and what is counted between which instants. Each number has a server of its own, so
that nothing that ended before is counted.

A takeover is counted from the leader's resigning until its successor leads and all is quiet again: the release, what
the successor reads, its claim, and what it then costs the next one in line to learn that it is. Renewals that fall into
it count too, so the middle one of several is taken.
"""

import time
from collections.abc import Iterator
from statistics import median

from zookeeper import Server

from bench.counters import Traffic, parse_mntr, traffic_in
from bench.crowd import Crowd
from bench.figures import Figure
from bench.stage import LEASE, NAMESPACE, fresh_path, operator_of, progress

WAITING = (1, 10, 100, 1000)
TAKEOVERS = 7
QUIET = 0.4  # seconds after a takeover, in which whatever it has set off is over
INTERVALS = 3  # renewal intervals over which renewals are counted
BAR = 20


def traffic_of(server: Server) -> Traffic:
    """Ask a server what it has done for the elections of the benchmark."""
    answer = server.ask("mntr", timeout=10)
    assert answer is not None, "the server does not answer"
    return traffic_in(parse_mntr(answer), NAMESPACE)


def take(waiting: int) -> tuple[list[Traffic], Traffic, float]:
    """Return each takeover's traffic, that of renewals over `INTERVALS`, and the bytes of a name in a listing."""
    path = fresh_path()
    takeovers = []
    with Server(jvm_options=("-Xmx512m",)) as server, operator_of(server.hosts) as operator:
        number = waiting + TAKEOVERS  # the last takeover leaves so many behind the leader as it says, less one
        with Crowd(server.hosts, LEASE, {path: number}) as crowd:
            progress(f"scale: {waiting} waiting, joining")
            crowd.wait_until_led(1)
            time.sleep(2)
            before = traffic_of(server)
            operator.get_children(path)
            listing = traffic_of(server).since(before).bytes_read
            for turn in range(TAKEOVERS):
                progress(f"scale: {waiting} waiting, takeover {turn + 1}")
                before = traffic_of(server)
                crowd.resign()
                crowd.wait_until_led(turn + 2)
                time.sleep(QUIET)
                takeovers.append(traffic_of(server).since(before))
            progress(f"scale: {waiting} waiting, renewals")
            time.sleep(1)
            before = traffic_of(server)
            time.sleep(INTERVALS * LEASE / 10)
            return takeovers, traffic_of(server).since(before), listing / (number + 1)


def measure(rounds: int | None) -> Iterator[Figure]:
    """Count takeovers and renewals, from one candidate waiting to a thousand; print the chart."""
    numbers = WAITING if rounds is None else WAITING[:rounds]
    chart = []
    for waiting in numbers:
        takeovers, renewals, listed = take(waiting)
        middle = Traffic(*(round(median(values)) for values in zip(*takeovers, strict=True)))
        yield Figure(f"takeover-{waiting}-reads", "", {"zkleader": [float(one.reads) for one in takeovers]})
        yield Figure(f"takeover-{waiting}-writes", "", {"zkleader": [float(one.writes) for one in takeovers]})
        yield Figure(f"takeover-{waiting}-events", "", {"zkleader": [float(one.events) for one in takeovers]})
        yield Figure(f"takeover-{waiting}-read", "bytes", {"zkleader": [float(one.bytes_read) for one in takeovers]})
        yield Figure(f"listing-{waiting}", "bytes", {"a candidate": [listed]})
        yield Figure(f"renewals-{waiting}", "1/R", {"writes": [renewals.writes / INTERVALS]})
        chart.append(bar(waiting, middle))
    print("", "one takeover by candidates waiting: r read, w znode written, e event of a watch", *chart, "", sep="\n")


def bar(waiting: int, traffic: Traffic) -> str:
    """Return a line of the chart."""
    marks = "r" * traffic.reads + "w" * traffic.writes + "e" * traffic.events
    return f"{waiting:>7} |{marks[:BAR]:<{BAR}}| {traffic.bytes_read} bytes read"
