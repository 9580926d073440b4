"""The base of events, actions, messages and records: frozen, keyword-only values.

They read like frozen keyword-only dataclasses, and type checkers take them for such.  They are not, for one reason, the
start of a command: ``@dataclass`` compiles each class's methods when it is defined (0.8 ms a class here), and the
supervisor alone defines some eighty of them, as much as importing kazoo.  These share one set of methods.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """Base of a value; its fields are the annotations of the class and of its bases, in order.

    A field with a value in the class body is optional.  Values of one class with equal fields are equal.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _hidden: ClassVar[tuple[str, ...]] = ()
    """Fields whose values are secrets: that they are there is shown, not what they are."""

    def __init_subclass__(cls) -> None:
        # Not inspect.get_annotations(), which would evaluate nothing here but import inspect.
        cls._fields = (*cls._fields, *cls.__dict__.get("__annotations__", ()))  # noqa: RUF063

    def __init__(self, **given: Any) -> None:
        for name in self._fields:
            if name in given:
                self.__dict__[name] = given.pop(name)
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__}() lacks {name}")
        if given:
            raise TypeError(f"{type(self).__name__}() has no {next(iter(given))}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and type(self) is type(other) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((type(self), *self.as_dict().values()))

    def __repr__(self) -> str:
        fields = self.as_dict().items()
        shown = ", ".join(f"{name}={'...' if name in self._hidden else repr(value)}" for name, value in fields)
        return f"{type(self).__name__}({shown})"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self._fields}

    def but(self, **changes: Any) -> Self:
        """Return the same value with some fields changed."""
        return type(self)(**(self.as_dict() | changes))
