"""Log lines: one event is one line, which cannot steer the terminal or the pager that it is read with."""

import json
import os
from collections.abc import Callable, Iterator

import pytest

from zkleader.log import Format, Log, Loudness, say_at_once

STEERING = "\x1b]0;owned\x07\x1b[2J\r\n\x9b8m\u202e\x00"
"""A title, an empty screen, a line that overwrites the one before, a hidden text, one that runs backwards."""

ESCAPED = r"\x1b]0;owned\x07\x1b[2J\r\n\x9b8m\u202e\x00"

Lines = Callable[[], list[str]]


@pytest.fixture
def pipe() -> Iterator[tuple[int, Lines]]:
    """Give a descriptor to log to, and what returns the lines that were written to it, at the end."""
    reading, writing = os.pipe()

    def lines() -> list[str]:
        os.close(writing)
        return source.read().split("\n")[:-1]

    with open(reading, encoding="utf-8", newline="") as source:
        yield writing, lines


@pytest.mark.parametrize("form", [Format.LOGFMT, Format.CONSOLE])
def test_what_others_chose_is_shown_escaped(pipe: tuple[int, Lines], form: Format) -> None:
    """Whoever may write to an election's znodes chooses the names in them, and the log is read on a terminal."""
    descriptor, lines = pipe
    log = Log(form, Loudness.NORMAL, descriptor)
    log.event("warning", "resign_asked", user=STEERING, host="zoë", number=7)
    log.close(5.0)
    [line] = lines()
    assert line.isprintable()
    assert ESCAPED in line
    assert "zoë" in line


def test_json_has_its_own_escapes(pipe: tuple[int, Lines]) -> None:
    """A program reads what was written, to the letter."""
    descriptor, lines = pipe
    log = Log(Format.JSON, Loudness.NORMAL, descriptor)
    log.event("warning", "resign_asked", user=STEERING)
    log.close(5.0)
    [line] = lines()
    assert line.isprintable()
    assert json.loads(line)["user"] == STEERING


def test_colors_stay_where_they_are_ours(monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, Lines]) -> None:
    """On a terminal; a name that brings its own has none."""
    descriptor, lines = pipe
    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    log = Log(Format.CONSOLE, Loudness.NORMAL, descriptor)
    log.event("warning", "waiting", predecessor_host="\x1b[8mhidden")
    log.close(5.0)
    [line] = lines()
    assert r"\x1b[8mhidden" in line
    assert "\x1b[" in line
    assert "\x1b[8m" not in line


def test_what_ends_us_is_one_harmless_line(pipe: tuple[int, Lines], capsys: pytest.CaptureFixture[str]) -> None:
    """A server's text, and a path, may be in it; also before there is a log."""
    descriptor, lines = pipe
    log = Log(Format.LOGFMT, Loudness.QUIET, descriptor)
    log.say(f"cannot {STEERING}")
    log.close(5.0)
    say_at_once(f"cannot {STEERING}")
    assert [*lines(), *capsys.readouterr().err.splitlines()] == [f"zkleader: cannot {ESCAPED}"] * 2
