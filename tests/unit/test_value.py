"""The base of all frozen values behaves as the frozen dataclasses that it stands for."""

import pytest

from zkleader.core.value import Value


class Point(Value):
    """A value with an optional field."""

    x: int
    y: int = 0


class Point3(Point):
    """A value with an inherited field."""

    z: int


def test_fields_are_keyword_only_checked_and_inherited() -> None:
    """A slip in a name must not pass silently."""
    assert Point3(x=1, z=2).as_dict() == {"x": 1, "y": 0, "z": 2}
    for wrong in ({}, {"x": 1}, {"x": 1, "z": 1, "w": 1}):
        with pytest.raises(TypeError):
            Point3(**wrong)


def test_values_are_frozen() -> None:
    """State may share them between turns."""
    with pytest.raises(AttributeError):
        Point(x=1).x = 2  # type: ignore[misc]


def test_equality_is_that_of_class_and_fields() -> None:
    """Scripts of events compare actions."""
    assert Point(x=1) == Point(x=1, y=0)
    assert hash(Point(x=1)) == hash(Point(x=1, y=0))
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Point3(x=1, z=0)


def test_a_changed_copy_leaves_the_original() -> None:
    """`but` is how state moves on."""
    point = Point(x=1)
    assert point.but(y=5) == Point(x=1, y=5)
    assert point == Point(x=1)
    assert repr(point) == "Point(x=1, y=0)"
