"""The supervisor's end of its talk with a guard, in one poll with everything else that it waits for."""

import os
import select
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from supervision import make_settings, shell
from waiting import wait_until

from zkleader import custody
from zkleader.core import wire
from zkleader.core.acts import Hooks
from zkleader.core.job import Place
from zkleader.core.lease import Timing
from zkleader.guard import system
from zkleader.guard.handle import note_children
from zkleader.terminal import Terminal

TIMING = Timing(lease=30.0, grace=1.0, stop_timeout=1.0)


@pytest.fixture
def poll() -> select.poll:
    return select.poll()


@pytest.fixture
def held(mark: str, poll: select.poll, monkeypatch: pytest.MonkeyPatch) -> Iterator[custody.Custody]:
    """Return the custody of a guard; the test process is its supervisor."""
    settings = make_settings(*shell("exec sleep 60"), mark=mark, timing=TIMING)
    monkeypatch.setattr(custody, "_settings", lambda *_: settings)
    config: Any = SimpleNamespace(timing=TIMING, hooks=Hooks())
    terminal = Terminal(place=Place.APART, group=os.getpgrp())
    inherited = custody.Inherited(ignored_signals=(), signal_mask=(), children=note_children(), terminal=terminal)
    held = custody.Custody(config, inherited, poll)
    yield held
    if not held.has_ended:
        held.end_everything()
    held.dismiss()


def test_a_message_that_had_to_wait_goes_out_as_soon_as_there_is_room(held: custody.Custody, poll: select.poll) -> None:
    """Nothing else may wake us for a whole renewal interval: what is queued may be the order to stop."""
    heard: list[wire.Message] = []

    def hear(kind: type[wire.Message]) -> bool:
        """Do what the supervisor's loop does, but for beats, whose answers would wake it."""
        poll.poll(10_000)
        heard.extend(held.hear())
        return any(isinstance(message, kind) for message in heard)

    held.send(wire.Start(lease_start=system.now(), environment={}))
    wait_until(lambda: hear(wire.Started))
    os.kill(held._guard.pid, signal.SIGSTOP)
    while not held._guard.wants_write:
        held.send(wire.Extend(lease_start=system.now()))
    held.send(wire.Stop(cause=wire.Cause.LOSS))
    began = time.monotonic()
    os.kill(held._guard.pid, signal.SIGCONT)
    wait_until(lambda: hear(wire.Gone))
    assert time.monotonic() - began < 5
    # And with nothing to send, room alone is no news.
    assert not poll.poll(0)
