"""Waiting for facts: the only way in which a test lets time pass.

A test that sleeps for luck is either slow or wrong. `wait_until` asks again and again until a fact holds, and fails
with the name of the fact and what was last seen when its deadline passes.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.01  # short against every figure that tests look at, long enough not to starve two cores


def wait_until(fact: Callable[[], T], *, deadline: float = 10.0, what: str = "") -> T:
    """Return the first true value of `fact()`; raise AssertionError when there was none within `deadline` seconds.

    `what` names the fact in the failure. An exception from `fact` passes through: it is not a "no".
    """
    until = time.monotonic() + deadline
    while True:
        is_last = time.monotonic() >= until  # before asking: a host that pauses here must not rob us of an answer
        value = fact()
        if value:
            return value
        if is_last:
            name = what or getattr(fact, "__name__", "a fact")
            raise AssertionError(f"waited {deadline:g} s in vain for: {name} (last seen: {value!r})")
        time.sleep(POLL_INTERVAL)
