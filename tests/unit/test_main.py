"""The program: a subcommand loads no other, and what ends it is one line and one status."""

import os
import subprocess
import sys

import pytest

from zkleader.cli import main
from zkleader.cli.run import run
from zkleader.cli.settings import settings_of
from zkleader.errors import RefusedError

_LOADED = """
import sys
from zkleader.cli.main import main
main()
print(*sys.modules)
"""


def test_a_run_loads_what_it_needs() -> None:
    """COMMAND waits for all that is imported; nobody presses a key, and no other subcommand was asked for."""
    call = [sys.executable, "-c", _LOADED, "run", "--config", "/dev/null", "--print-config", "-e", "x", "true"]
    ended = subprocess.run(call, capture_output=True, text=True, check=True, timeout=30)
    loaded = set(ended.stdout.splitlines()[-1].split())
    ours = {name for name in loaded if name.startswith("zkleader.cli.")}
    others = {f"zkleader.cli.{name.replace('-', '_')}" for name in main.program.commands} - {"zkleader.cli.run"}
    assert "zkleader.cli.run" in ours
    assert not ours & {*others, "zkleader.cli.completion_bash"}
    assert not {name for name in loaded if name.startswith(("zkleader.check", "zkleader.status"))}
    assert not loaded & {"click.shell_completion", "kazoo", "pwd", "structlog", "zkleader.core.resign_state"}


_COLLECTS = """
import gc, os, sys
import zkleader.__main__ as program
assert not gc.isenabled(), "importing is what it is off for"
from zkleader.cli import process, status

class Stub:
    def __init__(self, *_):
        self.before = gc.isenabled()

    def run(self):
        print(self.before, gc.isenabled(), flush=True)
        os._exit(0)

process.Supervisor = Stub
status.access_of = lambda _: Stub().run()
program.main()
"""


@pytest.mark.parametrize(("arguments", "said"), [(["run", "true"], "False True\n"), (["status"], "True True\n")])
def test_garbage_is_collected_again_by_whoever_runs_for_long(arguments: list[str], said: str) -> None:
    """It is off while we import. A run or `status --watch` may last for years, and would grow for as long."""
    call = [sys.executable, "-c", _COLLECTS, *arguments]
    ended = subprocess.run(
        call, capture_output=True, text=True, check=True, timeout=30, env={**os.environ, "ZKLEADER_CONFIG": os.devnull}
    )
    assert ended.stdout == said


def test_run_has_all_settings() -> None:
    """So what a table of the configuration file may say is known without loading the other subcommands."""
    for command in main.program.commands.values():
        assert settings_of(command).keys() <= settings_of(run).keys(), command.name


def test_a_name_that_is_nearly_one_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The names are known without what they stand for."""
    monkeypatch.setattr(sys, "argv", ["zkleader", "statu"])
    assert main.main() == 64
    line = capsys.readouterr().err
    assert line.startswith("zkleader: cannot use the command line: no such command 'statu'")
    assert line.count("\n") == 1


def test_what_a_server_refuses_is_an_error_of_nobodys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """ZooKeeper was reached, and no permission is wanting."""

    def refuse(**_: object) -> int:
        raise RefusedError("list /zkleader/job: quota exceeded")

    monkeypatch.setattr(main.program, "main", refuse)
    assert main.main() == 70
    assert capsys.readouterr().err == "zkleader: cannot list /zkleader/job: quota exceeded\n"
