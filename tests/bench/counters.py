"""What kernels and servers count, out of the texts in which they tell it; pure.

Owns the forms: `mntr` of a ZooKeeper server, and some files of /proc. Knows no process and no server.
"""

from collections.abc import Mapping
from typing import NamedTuple

WATCHES = ("node_changed", "node_deleted", "node_created", "node_children")
"""What watches of ours can be set off by."""


class Traffic(NamedTuple):
    """What one server has done for the elections below one name at the root, since it was started.

    Pings, and the beginning and end of sessions, are not below that name and so are not among it.
    """

    reads: int
    writes: int
    """Of znodes: a multi counts for each znode that it writes, and what it merely checks is none."""
    bytes_read: int
    events: int
    """Of watches, whoever's they are."""

    def since(self, before: "Traffic") -> "Traffic":
        """Return what came after an earlier reading."""
        return Traffic(*(now - then for now, then in zip(self, before, strict=True)))


def parse_mntr(text: str) -> dict[str, str]:
    """Return the values of `mntr` by name."""
    pairs = (line.partition("\t") for line in text.splitlines())
    return {name.strip(): value.strip() for name, tab, value in pairs if tab}


def traffic_in(values: Mapping[str, str], namespace: str) -> Traffic:
    """Return the traffic below `/namespace`; what a server has not yet had to count it does not name."""

    def value(name: str) -> int:
        return int(float(values.get(name, "0")))

    return Traffic(
        reads=value(f"zk_cnt_{namespace}_read_per_namespace"),
        writes=value(f"zk_cnt_{namespace}_write_per_namespace"),
        bytes_read=value(f"zk_sum_{namespace}_read_per_namespace"),
        events=sum(value(f"zk_sum_{kind}_watch_count") for kind in WATCHES),
    )


def parse_pss(smaps_rollup: str) -> int:
    """Return the proportional set size in KiB: what is shared counts for each by its share."""
    for line in smaps_rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("no Pss in smaps_rollup")


def parse_sleeps(status: str) -> int:
    """Return how often a thread has gone to sleep, which is how often it was woken."""
    for line in status.splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise ValueError("no voluntary_ctxt_switches in status")


def parse_processor_ticks(stat: str) -> int:
    """Return the clock ticks that a process has run, in its own code and in the kernel."""
    # The name stands in parentheses and may itself hold parentheses and blanks: what follows the last one is fixed.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
