"""What was read of an election, and what of it is worth reading.

It owns how the names below an election are told apart, and the limits that make a look cost the same however long a
queue is.  It must not know how anything is read, nor who leads (``judgement`` says that).
"""

from __future__ import annotations

from collections.abc import Mapping

from zkleader.core import queue, records
from zkleader.core.events import Answer, Content
from zkleader.core.records import LeaseRecord, Stat
from zkleader.core.value import Value

MOST_SLOTS = 100
"""So many lease records of an election are read, the lowest slots first."""

MOST_CANDIDATES = 100
"""So many candidates of one are read, the first in line first; of the others there are only their names."""


class Children(Value):
    """The names below a znode, by what they stand for."""

    records: tuple[str, ...] = ()
    """By slot."""
    candidates: tuple[str, ...] = ()
    """First in line first."""
    others: tuple[str, ...] = ()
    """What is none of an election's."""


def children_of(names: tuple[str, ...]) -> Children:
    """Return names by what they stand for."""
    slots = sorted((number, name) for name in names if (number := queue.slot_of(name)) is not None)
    lease_records = tuple(name for _, name in slots)
    candidates = queue.in_order(names)
    others = set(names) - set(lease_records) - set(candidates)
    return Children(records=lease_records, candidates=candidates, others=tuple(sorted(others)))


class Reading(Value):
    """What was read of an election: its children, unless it may not be listed, and what was said of some of them."""

    path: str
    children: Children = Children()
    is_hidden: bool = False
    answers: Mapping[str, Answer] = {}

    @property
    def stats(self) -> dict[str, Stat]:
        """The stat of each znode that was read, by its path."""
        return {
            f"{self.path}/{name}": answer.stat for name, answer in self.answers.items() if isinstance(answer, Content)
        }

    @property
    def is_election(self) -> bool:
        """Whether it has a lease record or a candidate."""
        return bool(self.children.records or self.children.candidates)


def worth_reading(reading: Reading, candidates: int) -> tuple[str, ...]:
    """Return the names of what is to be read first: lease records, and so many candidates."""
    return reading.children.records[:MOST_SLOTS] + reading.children.candidates[:candidates]


def holders(reading: Reading) -> dict[str, str | None]:
    """Return, for each record that was read and is not released, the holder's candidate; None: it is not there."""
    # Of several that bear one guid, after a create whose answer was lost, the first in line counts.
    separator = queue.candidate_prefix("")
    by_guid = {name.rpartition(separator)[0]: name for name in reversed(reading.children.candidates)}
    found: dict[str, str | None] = {}
    for name in reading.children.records:
        answer = reading.answers.get(name)
        record = records.parse_lease_record(answer.data, answer.stat) if isinstance(answer, Content) else None
        if isinstance(record, LeaseRecord) and record.holder and not record.released:
            found[name] = by_guid.get(record.holder)
    return found
