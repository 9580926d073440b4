"""The messages between supervisor and guard survive the way, and nothing else passes for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkleader.core import wire
from zkleader.core.lease import Instant

FINITE = st.floats(allow_nan=False, allow_infinity=False)
INSTANTS = st.builds(Instant, monotonic=FINITE, raw=FINITE, boottime=FINITE)
# Lone surrogates stand for bytes that are not UTF-8: environment and arguments may hold any.
TEXT = st.text(st.characters(codec=None), max_size=30)
FACTS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | FINITE | TEXT, max_size=4)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "int": st.integers(),
    "float": FINITE,
    "bool": st.booleans(),
    "str": TEXT,
    "Cause": st.sampled_from(wire.Cause),
    "Instant": INSTANTS,
    "dict[str, str]": st.dictionaries(TEXT, TEXT, max_size=4),
    "dict[str, Any]": FACTS,
}
KINDS = wire.Message.__subclasses__()


def messages(kind: type[wire.Message]) -> st.SearchStrategy[wire.Message]:
    """Return any message of a kind, from the types that its fields declare."""
    return st.builds(kind, **{name: FIELDS[kind.__annotations__[name]] for name in kind._fields})


@given(st.sampled_from(KINDS).flatmap(messages))
def test_every_message_survives_the_way(message: wire.Message) -> None:
    """To the last bit: an instant that was rounded would be another deadline."""
    assert wire.decode(wire.encode(message)) == message


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(packet: bytes) -> None:
    """By the one exception that the loops expect."""
    with pytest.raises(wire.MalformedMessageError):
        wire.decode(packet)


@pytest.mark.parametrize(
    "content",
    [
        [],
        "Beat",
        17,
        None,
        {},
        {"type": 1},
        {"type": "Message"},
        {"type": "Nothing"},
        {"type": "Beat"},
        {"type": "Beat", "number": 1, "more": 2},
        {"type": "Start", "lease_start": [1.0, 2.0], "environment": {}},
        {"type": "Extend", "lease_start": 3},
        {"type": "Suspended", "suspended_at": 3},
        {"type": "Stop", "cause": "boredom"},
    ],
)
def test_objects_that_are_no_message_are_refused(content: object) -> None:
    """JSON, but of another program, or of another version of this one."""
    with pytest.raises(wire.MalformedMessageError):
        wire.decode(json.dumps(content).encode())


def test_the_causes_that_end_leadership_itself() -> None:
    """The others let renewals go on while the command is being stopped."""
    final = {cause for cause in wire.Cause if cause.is_final_loss}
    assert final == {wire.Cause.LOSS, wire.Cause.DEADLINE, wire.Cause.OVERDUE, wire.Cause.SUPERVISOR_GONE}
