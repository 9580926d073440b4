"""What the job asks of the terminal before it decides."""

from typing import Any

import pytest

from zkleader import job as effects
from zkleader.core import wire
from zkleader.core.job import Foreground, Place


class Screen:
    """A terminal whose foreground group is the command's."""

    place = Place.FOREGROUND

    def __init__(self, foreground: int) -> None:
        self.group = 1
        self._foreground = foreground

    def foreground(self, command_group: int | None) -> Foreground:
        return Foreground.COMMANDS if command_group == self._foreground else Foreground.OTHERS

    def take(self, command_group: int | None) -> None:
        assert command_group == self._foreground


def test_a_command_that_is_stopped_before_its_start_is_told_stops_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z before exec: taken for a stop in the background, it would leave the user at a dead terminal."""
    stops: list[bool] = []
    monkeypatch.setattr(effects, "stop_ourselves", lambda: stops.append(True))
    said: list[wire.Message] = []
    terminal: Any = Screen(foreground=42)
    job = effects.Job(terminal, said.append)
    job.handle(wire.FirstStopped(pid=42, signal=20, wants_terminal=False))
    assert stops == [True]
    assert said == [wire.Continue(is_continued=False)]
