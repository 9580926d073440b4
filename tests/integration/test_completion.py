"""Completion in real shells, with real servers and without: what is offered, and that nobody waits for it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import pytest
from command_line import parse
from kazoo.client import KazooClient
from program import CHECKOUT
from readme import readme_block
from terminal import Terminal

from zkleader.cli.completion import complete_election
from zkleader.cli.main import program
from zkleader.cli.run import run
from zkleader.zk import client

LINES = readme_block("source <(_ZKLEADER_COMPLETE=bash_source zkleader)        in ~/.bashrc").splitlines()
SETUP = {shell: line.partition("  ")[0] for shell, line in zip(("bash", "zsh", "fish"), LINES, strict=False)}
"""What README tells people to put into their shell's file."""

# Each prints what it would offer for every line that it is given, and an empty line. What is stood in for is the
# shell's own part. (compinit takes a second, so all lines are one call.)
SCRIPTS = {
    "bash": """
        for COMP_LINE; do
            COMP_POINT=${#COMP_LINE}
            _zkleader_completion zkleader
            printf '%s\\n' "${COMPREPLY[@]}" ''
        done
    """,
    "zsh": """
        compadd() { print -l -- $completions }
        _describe() { print -l -- ${completions_with_descriptions%%:*} }
        for line; do
            words=(${(z)line})
            [[ $line == *' ' ]] && words+=('')
            CURRENT=$#words
            _zkleader_completion
            print
        done
    """,
    "fish": """
        for line in $argv
            complete -C $line | string replace -r '\\t.*' ''
            echo
        end
    """,
}
ASK = {
    "bash": ("bash", "--norc", "-c", f"{SETUP['bash']}\n{SCRIPTS['bash']}", "bash"),
    "zsh": ("zsh", "-f", "-c", f"autoload -Uz compinit && compinit -u -D\n{SETUP['zsh']}\n{SCRIPTS['zsh']}", "zsh"),
    "fish": ("fish", "--no-config", "-c", f"{SETUP['fish']}\n{SCRIPTS['fish']}"),
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH on which `zkleader` is this checkout's."""
    script = tmp_path / "bin" / "zkleader"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m zkleader "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}:/usr/bin:/bin"


@pytest.fixture
def hosts(chroot: str, kazoo_client: KazooClient) -> str:
    """Return a server with elections, one of them with candidates."""
    root = "/" + chroot.partition("/")[2]
    for name in ("mailer", "mail:2", "backup", "reports/daily"):
        kazoo_client.ensure_path(f"{root}/zkleader/{name}")
    for name in ("lease-0", "4a0c3103-55f3-4368-86c8-48bcb567c49d-n_0000000001"):
        kazoo_client.create(f"{root}/zkleader/mailer/{name}")
    return chroot


def complete(line: str, **environment: str) -> list[str]:
    """Return what bash is handed for a line; nothing may be said besides, whatever is wrong."""
    ended = subprocess.run(
        [sys.executable, "-m", "zkleader"],
        env=os.environ | {"_ZKLEADER_COMPLETE": "bash_complete", "COMP_LINE": line} | environment,
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.split()


def plain(*values: str) -> list[str]:
    return [f"plain,{value}" for value in values]


@pytest.mark.parametrize("shell", ASK)
def test_shells_complete(shell: str, path: str, hosts: str) -> None:
    """With the line that README has for each, from subcommands to elections, whose servers have a colon."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")

    expected = {
        "zkleader dem": {"demo"},
        "zkleader run --rest": {"--restart", "--restart-delay"},
        "zkleader run --on-loss ": {"exit", "rejoin"},
        f"zkleader run -z {hosts} -e m": {"mailer", "mail:2"},
        "zkleader run -s KI": {"KILL"},
        "zkleader run -n zklea": {"zkleader"},
    }
    environment = {"PATH": path, "HOME": "/nowhere", "PYTHONPATH": str(CHECKOUT), "ZKLEADER_CONFIG": os.devnull}
    ended = subprocess.run(
        [*ASK[shell], *expected], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.stderr == ""
    offered = [{*part.split("\n")} for part in ended.stdout.removesuffix("\n\n").split("\n\n")]
    assert dict(zip(expected, offered, strict=True)) == expected


def test_bash_at_a_terminal(path: str, hosts: str) -> None:
    """As it is typed: bash ends words at colons, and what is offered must fit that."""
    with Terminal("bash", "--norc", "--noprofile", "-i") as terminal:
        start = terminal.type(f"PATH={path}; {SETUP['bash']}\n")
        terminal.wait_for("ready> ", after=start)
        for begun, wanted in (
            (f"zkleader run -z {hosts} -e b", " backup "),
            (f"zkleader run -z {hosts} -e mail:", " mail:2 "),
            (f"zkleader run -z {hosts} --election=rep", "=reports "),
            (f"X=1 zkleader run -z {hosts} --on-loss=r", "=rejoin "),
            (f"zkleader run -z {hosts} -n cat pyproj", r" pyproject\.toml "),
        ):
            start = terminal.type(f"{begun}\t")
            terminal.wait_for(wanted, after=start)
            terminal.type("\x15")  # takes the line away


INTERACTIVE = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}


@pytest.mark.parametrize("shell", INTERACTIVE)
def test_names_are_completed_as_one_word(
    shell: str, path: str, chroot: str, kazoo_client: KazooClient, tmp_path: Path
) -> None:
    """Whoever may write to ZooKeeper chooses them, and must not thereby run commands as those who ask who leads."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")

    made = tmp_path / "made"
    names = ["a b", "c $(touch made);`touch made`'\"\\!&>{x}", "colon:d e", "~f$g"]
    for name in names:
        kazoo_client.ensure_path(f"/{chroot.partition('/')[2]}/zkleader/{name}")
    program = Path(path.partition(":")[0]) / "zkleader"
    ours = program.read_text().removeprefix("#!/bin/sh\n")
    program.write_text(f'#!/bin/sh\n[ -n "$_ZKLEADER_COMPLETE" ] || {{ printf \'<%s>\\n\' "$@"; exit; }}\n{ours}')
    setup = f"autoload -Uz compinit && compinit -u -D; {SETUP[shell]}" if shell == "zsh" else SETUP[shell]
    with Terminal(*INTERACTIVE[shell]) as terminal:
        terminal.type(f"cd {tmp_path}; export PATH={path} ZKLEADER_HOSTS={chroot}; {setup}\n")
        begun = [("a", names[0]), ("c\\ ", names[1]), ("colon:d", names[2]), ("'colon:d ", names[2])]
        for typed, name in begun if shell == "bash" else begun[:2]:
            start = terminal.type(f"zkleader status {typed}\t\n")
            terminal.wait_for(re.escape(f"<{name}>\n"), after=start)
    assert not made.exists()


def test_what_cannot_be_one_word_is_not_offered(chroot: str, kazoo_client: KazooClient) -> None:
    """Quotes that are open already leave some characters no way to be themselves."""
    for name in ("a b", "a$(c)"):
        kazoo_client.ensure_path(f"/{chroot.partition('/')[2]}/zkleader/{name}")
    assert complete(f"zkleader status -z {chroot} ") == ["plain,a\\", "b", "plain,a\\$\\(c\\)"]
    for quote in "\"'":
        assert complete(f"zkleader status -z {chroot} {quote}a") == ["plain,a", "b"]
        assert complete(f"zkleader status -z {chroot} {quote}a ") == ["plain,a", "b"]


def test_elections_by_name_and_by_path(hosts: str) -> None:
    """In the form that was begun; what belongs to an election is none."""
    ask = f"zkleader run -z {hosts} -e "
    assert complete(ask) == plain("backup", "mail:2", "mailer", "reports")
    assert complete(f"{ask}/zkleader/ba") == plain("/zkleader/backup")
    assert complete(f"{ask}/zk") == plain("/zkleader")
    assert complete(f"{ask}reports/") == plain("reports/daily")
    assert complete(f"{ask}/zkleader/mailer/") == []
    assert complete(f"{ask}no/such/") == []


def test_the_servers_are_those_that_a_run_would_go_to(hosts: str, tmp_path: Path) -> None:
    """From the line so far, the environment, or the file; and the file's own elections are known without a server."""
    file = tmp_path / "zkleader.toml"
    file.write_text(f'[connection]\nhosts = "{hosts}"\n[election.of-file]\n[election."/apps/x"]\n')
    file.chmod(0o644)
    ask = "zkleader run -e "
    assert "plain,mailer" in complete(ask, ZKLEADER_HOSTS=hosts)
    assert complete(ask, ZKLEADER_CONFIG=str(file)) == plain("backup", "mail:2", "mailer", "of-file", "reports")
    assert complete(f"zkleader run --config {file} -e o") == plain("of-file")
    assert complete(f"{ask}/apps/", ZKLEADER_CONFIG=str(file)) == plain("/apps/x")
    assert complete(ask, ZKLEADER_CONFIG=str(file), ZKLEADER_HOSTS="127.0.0.1:1") == plain("of-file")
    assert complete(f"zkleader run -z {hosts} -e b", ZKLEADER_HOSTS="127.0.0.1:1") == plain("backup")


def test_commands_and_files(tmp_path: Path, path: str) -> None:
    """COMMAND is on PATH or is a file; what follows it is its own, and no option of ours."""
    (tmp_path / "bin" / "zk-no-command").write_text("")
    assert complete("zkleader run -n zk", PATH=path) == plain("zkleader")
    assert complete("zkleader run -- ./z") == ["file,./z"]
    assert complete("zkleader run --result re") == ["file,re"]
    assert complete("zkleader run --config re") == ["file,re"]
    for line in ("rsync ", "rsync -", "rsync --re", "rsync -n /e", "-- rsync -e "):
        assert complete(f"zkleader run {line}") == [f"file,{line.split(' ')[-1]}"]


def test_what_takes_a_file_or_an_election_completes_it() -> None:
    """In every subcommand, whoever adds the next one."""
    seen = set()
    for name, command in program.commands.items():
        context = parse(command, resilient_parsing=True)
        for parameter in command.params:
            if "FILE" in (parameter.metavar, parameter.type.get_metavar(parameter, context)):
                assert [item.type for item in parameter.shell_complete(context, "x")] == ["file"], (
                    name,
                    parameter.name,
                )
                seen.add(parameter.name)
            if parameter.name == "election":
                assert parameter._custom_shell_complete is complete_election, name
                seen.add(name)
    assert seen >= {"result", "config", "run", "resign"}


@pytest.mark.parametrize(
    "environment",
    [
        {"ZKLEADER_HOSTS": "127.0.0.1:1"},
        {"ZKLEADER_HOSTS": "no-such-host.invalid"},
        {"ZKLEADER_HOSTS": "not://a server"},
        {"ZKLEADER_CONFIG": "/no/such/file"},
        {"ZKLEADER_CONNECT_TIMEOUT": "soon", "ZKLEADER_HOSTS": "127.0.0.1:1"},
    ],
)
def test_whatever_is_wrong_is_not_told(environment: dict[str, str]) -> None:
    """Somebody is typing, and finds out soon enough."""
    assert complete("zkleader run -e zkl", **environment) == []


def test_words_do_without_a_line() -> None:
    """As click's own script hands them over; an installed one may be older than we are."""
    assert complete("", COMP_WORDS="zkleader\nrun\n--on-loss\nre", COMP_CWORD="3") == plain("rejoin")
    assert complete("", COMP_WORDS="zkleader\nrun\n--on-loss", COMP_CWORD="3") == plain("exit", "rejoin")


ELECTION = next(option for option in run.params if option.name == "election")


def test_a_silent_server_costs_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has pressed the key is waiting."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]}"
        for where in (hosts, "127.0.0.1:1"):
            monkeypatch.setenv("ZKLEADER_HOSTS", where)
            context = parse(run, resilient_parsing=True)
            began = time.monotonic()
            assert ELECTION.shell_complete(context, "") == []
            assert time.monotonic() - began < 0.75
        assert complete("zkleader run -e zkl", ZKLEADER_HOSTS=hosts) == []


def test_a_visit_that_does_not_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ending a session behind a black hole takes longer than anybody waits."""

    class Stuck:
        def __init__(self, *_: object) -> None:
            self.is_over = over

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, _within: float) -> None:
            self.is_over.wait(10)
            raise OSError

    over = threading.Event()
    monkeypatch.setattr(client, "Client", Stuck)
    context = parse(run, resilient_parsing=True)
    began = time.monotonic()
    assert ELECTION.shell_complete(context, "") == []
    assert time.monotonic() - began < 0.75
    over.set()
