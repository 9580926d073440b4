"""Figures of a run in the text format of Prometheus: names, meanings, and what a file with them says.  Pure.

It owns the names, which are promises.  It must not know how a file is written.  Instants are told as Unix timestamps
and not as ages, because nobody knows when the file is read.  Help texts stay the same from version to version: node
exporter complains of two files that differ in them.
"""

from __future__ import annotations

from zkleader.core.measures import Figures
from zkleader.core.value import Value


class Metric(Value):
    """A metric; ``kind`` is ``gauge`` or ``counter``."""

    name: str
    kind: str
    help: str


LEADER = Metric(name="zkleader_leader", kind="gauge", help="Whether this candidate leads.")
TENURES = Metric(name="zkleader_tenures_total", kind="counter", help="Times that it was elected since its start.")
TAKEOVER = Metric(
    name="zkleader_last_takeover_seconds",
    kind="gauge",
    help="Time from being first in the queue to being elected, the last time; NaN before that.",
)
SLOT = Metric(name="zkleader_slot", kind="gauge", help="The slot of its last tenure; NaN before the first.")
CONFIRMED = Metric(
    name="zkleader_renewals_confirmed_total", kind="counter", help="Renewals of the lease that were confirmed."
)
FAILED = Metric(
    name="zkleader_renewals_failed_total",
    kind="counter",
    help="Renewals of the lease that were refused or not answered in time.",
)
LAST_RENEWAL = Metric(
    name="zkleader_last_renewal_timestamp_seconds",
    kind="gauge",
    help="When the last claim or renewal that was confirmed was sent; 0 before that.",
)
LEASE_END = Metric(
    name="zkleader_lease_end_timestamp_seconds",
    kind="gauge",
    help="When the lease ends unless it is renewed; 0 while it does not lead.",
)
PAUSED = Metric(name="zkleader_paused", kind="gauge", help="Whether the command is frozen (--on-disconnect pause).")
PAUSES = Metric(name="zkleader_pauses_total", kind="counter", help="Times that the command was frozen.")
INFO = Metric(name="zkleader_info", kind="gauge", help="1, with the version of zkleader.")

METRICS = (LEADER, TENURES, SLOT, TAKEOVER, CONFIRMED, FAILED, LAST_RENEWAL, LEASE_END, PAUSED, PAUSES, INFO)


class Labels(Value):
    """Which candidate the figures are of; ``lease`` in seconds."""

    election: str
    id: str
    version: str
    lease: float


def render(figures: Figures, labels: Labels, renewed_at: float) -> bytes:
    """Return the file's content; ``renewed_at`` is ``figures.lease_start`` as a Unix timestamp, 0 if there is none."""
    values = {
        LEADER: str(int(figures.is_leading)),
        TENURES: str(figures.tenures),
        SLOT: "NaN" if figures.slot is None else str(figures.slot),
        TAKEOVER: "NaN" if figures.takeover is None else _seconds(figures.takeover),
        CONFIRMED: str(figures.confirmed),
        FAILED: str(figures.failed),
        LAST_RENEWAL: _seconds(renewed_at),
        LEASE_END: _seconds(renewed_at + labels.lease if figures.is_leading else 0.0),
        PAUSED: str(int(figures.is_paused)),
        PAUSES: str(figures.pauses),
        INFO: "1",
    }
    lines = []
    for metric, value in values.items():
        given = {"election": labels.election, "id": labels.id}
        if metric is INFO:
            given["version"] = labels.version
        shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in given.items())
        lines += [
            f"# HELP {metric.name} {metric.help}",
            f"# TYPE {metric.name} {metric.kind}",
            f"{metric.name}{{{shown}}} {value}",
        ]
    return "".join(f"{line}\n" for line in lines).encode()


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
