"""The result of a run: what it says, and that there is never half of it, however the writer ends."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zkleader.config import ConfigurationProblem, UsageProblem
from zkleader.result import Course, Result, ResultFile, render

LOST = Result(outcome="lost", reason="session_expired", exit_status=79, election="/zkleader/job")


def rendered(result: Result) -> dict[str, object]:
    content: dict[str, object] = json.loads(render(result, began=0.0, ended=61.5))
    return content


def test_a_run_that_never_led_says_so() -> None:
    """What did not happen is null, and not zero: a script must not take it for a status."""
    assert rendered(LOST) == {
        "format": 1,
        "outcome": "lost",
        "reason": "session_expired",
        "exit_status": 79,
        "command_ran": False,
        "command_status": None,
        "command_signal": None,
        "election": "/zkleader/job",
        "token": None,
        "slot": None,
        "began": "1970-01-01T00:00:00.000Z",
        "elected": None,
        "command_started": None,
        "command_ended": None,
        "ended": "1970-01-01T00:01:01.500Z",
    }


def test_a_status_and_a_signal_are_told_apart() -> None:
    """137 and SIGKILL are not the same, and only the command's own words count."""
    course = Course().told_to_start(7, 0).started()
    told = rendered(LOST.but(course=course.ended(75 << 8)))
    assert (told["command_ran"], told["command_status"], told["command_signal"]) == (True, 75, None)
    told = rendered(LOST.but(course=course.ended(int(signal.SIGKILL))))
    assert (told["command_ran"], told["command_status"], told["command_signal"]) == (True, None, "SIGKILL")
    told = rendered(LOST.but(course=course.ended(signal.SIGRTMIN + 3)))
    assert told["command_signal"] == "SIGRTMIN+3"
    assert told["token"] == 7


def test_a_command_that_was_never_executed_did_not_run() -> None:
    """What was killed before its exec, or started too late, was only a process of ours."""
    asked = Course().told_to_start(7, 0)
    told = rendered(LOST.but(course=asked.ended(9).not_started()))
    assert (told["command_ran"], told["command_signal"], told["command_ended"]) == (False, None, None)
    assert told["elected"] is not None


def test_a_command_that_may_have_run_counts_as_run() -> None:
    """A guard that fails at the moment of the start takes the answer with it."""
    assert rendered(LOST.but(course=Course().told_to_start(7, 0)))["command_ran"] is True


def test_a_later_tenure_replaces_an_earlier_one_but_it_ran() -> None:
    """Under rejoin the file tells of the last tenure; that COMMAND ran before remains true."""
    first = Course().told_to_start(7, 0).started().ended(0)
    second = first.told_to_start(8, 1)
    assert rendered(LOST.but(course=second.not_started()))["command_ran"] is True
    assert second.started().command_ended is None
    again = first.told_to_start(7, 0)
    assert again.elected == first.elected


def test_an_old_result_is_taken_away_at_the_start(tmp_path: Path) -> None:
    """It would be taken for this run's by whoever looks too early, or after we were killed."""
    path = tmp_path / "result"
    path.write_text("old")
    ResultFile(str(path))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_readable_as_the_umask_allows(tmp_path: Path) -> None:
    """A monitor of another user may read it, unless the umask says no."""
    before = os.umask(0o027)
    try:
        path = tmp_path / "result"
        ResultFile(str(path)).write(LOST)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert json.loads(path.read_bytes())["outcome"] == "lost"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Found before anything is done; and nothing but a result is ever replaced."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    for name in ("none/result", "directory", "directory/", "file/result", "link", "fifo", "x" * 300):
        with pytest.raises(ConfigurationProblem, match=f"cannot write the result .*{name}: "):
            ResultFile(str(tmp_path / name) + ("/" if name.endswith("/") else ""))
    with pytest.raises(ConfigurationProblem):
        ResultFile("/proc/result")
    with pytest.raises(UsageProblem):
        ResultFile("")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").exists()


KILLED_AT = """
import os, signal, sys
from zkleader import result
def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)
file = result.ResultFile(sys.argv[1])
{setting}
file.write(result.Result(outcome="lost", reason="", exit_status=79))
"""


@pytest.mark.parametrize("setting", ["os.open = die", "result.render = die", "os.fsync = die", "os.rename = die"])
def test_a_writer_that_is_killed_leaves_no_half(tmp_path: Path, setting: str) -> None:
    """The old one is gone, and the new one is there only when it is whole."""
    path = tmp_path / "result"
    path.write_text("old")
    program = KILLED_AT.format(setting=setting)
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    assert not path.exists()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither half a result nor its temporary file."""
    file = ResultFile(str(tmp_path / "result"))

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        file.write(LOST)
    assert list(tmp_path.iterdir()) == []
