"""The example units as they are shipped: systemd understands every line of them, and their figures fit."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from host import ROOT

from zkleader.cli.timing import DEFAULT_LEASE, DEFAULT_STOP_TIMEOUT
from zkleader.core.lease import Timing
from zkleader.exit_status import ExitStatus

EXAMPLES = ROOT / "man" / "examples"
SERVICES = sorted(path.name for path in EXAMPLES.glob("*.service"))
UNITS = [*EXAMPLES.glob("*.service"), *EXAMPLES.glob("*.timer")]


def settings_of(name: str, section: str = "Service") -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(EXAMPLES / name)
    return parser[section]


def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    """A misspelt setting is only warned of, and then protects nobody."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    instances = []
    for path in UNITS:
        # The program need not be installed where the example says.
        text = path.read_text().replace("/usr/local/bin/zkleader", "/bin/true")
        (tmp_path / path.name).write_text(text)
        instances.append(str(tmp_path / path.name.replace("@", "@job")))
    line = ["systemd-analyze", "verify", "--man=no", *instances]
    result = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    told = [line for line in result.stderr.splitlines() if str(tmp_path) in line or "zkleader" in line]
    assert told == []
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_stop_is_given_the_time_that_it_may_take(name: str) -> None:
    """Else systemd would kill a command that stops in order, and its leadership would not be released."""
    release = Timing(lease=DEFAULT_LEASE, grace=0, stop_timeout=0).release_timeout
    assert float(settings_of(name)["TimeoutStopSec"]) > DEFAULT_STOP_TIMEOUT + release


def test_what_cannot_become_right_is_not_restarted() -> None:
    """Usage and configuration: the statuses of our table."""
    settings = settings_of("zkleader@.service")
    prevented = {int(word) for word in settings["RestartPreventExitStatus"].split()}
    assert prevented == {ExitStatus.USAGE, ExitStatus.CONFIGURATION}
    assert settings["Restart"] == "always"


def test_a_job_is_started_again_only_where_it_did_not_run_to_its_end() -> None:
    """Else a job that has failed would be followed by a start that finds it done, and end as a success."""
    settings = settings_of("zkleader-daily@.service")
    forced = {int(word) for word in settings["RestartForceExitStatus"].split()}
    assert forced == {ExitStatus.UNREACHABLE, ExitStatus.INTERNAL, ExitStatus.LOST, ExitStatus.LOST_LATE}
    assert settings["Restart"] == "on-abnormal"


@pytest.mark.parametrize("name", SERVICES)
def test_the_sandbox_leaves_us_our_control_group(name: str) -> None:
    """It is mounted read-only by ProtectControlGroups, and the guard would have to search for processes."""
    settings = settings_of(name)
    assert settings["Delegate"] == "yes"
    assert "ProtectControlGroups" not in settings
    assert (settings["KillMode"], settings["WatchdogSignal"], settings["Type"]) == ("mixed", "SIGKILL", "notify")


def test_they_are_installed() -> None:
    """`pip install` brings them, and README says where to."""
    files = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert files["share/doc/zkleader/examples"] == ["man/examples/*"]
    named = set(re.findall(r"man/examples/([\w@.-]+)", (ROOT / "README.md").read_text()))
    assert named == {path.name for path in EXAMPLES.iterdir()}
