"""The queue of an election: names of candidates, their order, one's own place among them.

The suffix that ZooKeeper appends is a signed 32-bit number printed with ``%010d``; candidates of other recipes keep
their place by it.  Nothing here talks to ZooKeeper, and no place in the queue proves leadership: that is the lease
record's.
"""

from __future__ import annotations

import re

from zkleader.core.value import Value

RECORD_PREFIX = "lease-"
"""Names that begin with this are lease records, never candidates."""

_SLOT = rf"{RECORD_PREFIX}(0|[1-9][0-9]{{0,8}})"

_GREATEST_SEQUENCE = 2**31 - 1
_SUFFIX = r"(?P<short>-[0-9]{9})\Z|(?P<digits>[0-9]{10})\Z"


def candidate_prefix(guid: str) -> str:
    """Return the name of a candidate of ours, up to the suffix that ZooKeeper will append."""
    return f"{guid}-n_"


def slot_of(name: str) -> int | None:
    """Return the slot of a lease record, or None if the name is not that of one."""
    found = re.fullmatch(_SLOT, name)
    return None if found is None else int(found[1])


def sequence_of(name: str) -> int | None:
    """Return the sequence number at the end of a name, or None if it is no candidate.

    ``-000000005`` is how ``%010d`` prints -5, so ten characters suffice but for the numbers below -999999999: those
    have ten digits and a sign, which is told from a separator (``latch-0000000005``) by our own ``_`` before it or by a
    number too great to be positive.
    """
    if name.startswith(RECORD_PREFIX):
        return None
    found = re.search(_SUFFIX, name)
    if found is None:
        return None
    if found["short"] is not None:
        return int(found["short"])
    number, before = int(found["digits"]), name[: found.start()]
    is_negative = before.endswith("-") and (number > _GREATEST_SEQUENCE or before.endswith("_-"))
    return -number if is_negative else number


class Place(Value):
    """One's own place: ``rank`` candidates are ahead, the nearest of them is the ``predecessor``."""

    rank: int
    predecessor: str | None


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the candidates among the names, first in line first."""
    numbered = [(number, name) for name in names if (number := sequence_of(name)) is not None]
    return tuple(name for _, name in sorted(numbered))


def place_of(own: str, names: tuple[str, ...]) -> Place | None:
    """Return the place of ``own`` among the names of an election, or None if it is not there."""
    candidates = in_order(names)
    if own not in candidates:
        return None
    rank = candidates.index(own)
    return Place(rank=rank, predecessor=candidates[rank - 1] if rank else None)


def of_guid(guid: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the candidates that bear the guid, in order: more than one after a create whose answer was lost."""
    return tuple(name for name in in_order(names) if name.startswith(candidate_prefix(guid)))
