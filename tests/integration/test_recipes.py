"""README's recipes, as they stand there: what is printed is what is run, in a shell that finds zkleader in its PATH.

Only the servers' names are others, and a wait that would be too long for a test. The recipe for systemd is in
tests/systemd.
"""

import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from container import CONTAINER, first_process, why_not
from kazoo.client import KazooClient
from processes import MARK
from program import Program
from promise import assert_promise, candidates
from readme import quoted, readme_block, readme_table
from waiting import wait_until
from witness import beats_in

from zkleader.cli.timing import DEFAULT_GRACE, DEFAULT_LEASE, DEFAULT_STOP_TIMEOUT
from zkleader.cli.values import Duration
from zkleader.config import tightness
from zkleader.core.lease import Timing

PRINTED_HOSTS = "zk1,zk2,zk3"
Shell = Callable[..., Program]


def put(path: Path, script: str) -> None:
    """Write a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def bin_directory(tmp_path: Path) -> Path:
    """Return a directory for programs, in which zkleader is installed."""
    put(tmp_path / "bin" / "zkleader", f'exec {sys.executable} -m zkleader "$@"')
    return tmp_path / "bin"


@pytest.fixture
def shell(programs: Callable[..., Program], chroot: str, bin_directory: Path, tmp_path: Path) -> Shell:
    """Give `shell(text)`: lines typed at a host's shell, in a directory of the test's; the program is that shell."""

    def start(text: str) -> Program:
        environment = {"PATH": f"{bin_directory}:/usr/bin:/bin", "ZKLEADER_HOSTS": chroot}
        text = text.replace(PRINTED_HOSTS, chroot)
        return programs("-c", text, command=("sh",), cwd=tmp_path, env=environment)

    return start


def leading(shell: Shell, election: str, path: Path) -> Program:
    """Have somebody else lead an election."""
    other = shell(f"exec zkleader run -e {election} --id other -- sh -c 'touch {path}; exec sleep 60'")
    wait_until(path.exists, what="another leader")
    return other


def said(program: Program) -> list[str]:
    """Return what a script wrote, once it has ended well."""
    assert program.wait() == 0, program.report()
    return program.stdout


def test_a_store_refuses_an_old_leader(shell: Shell, tmp_path: Path) -> None:
    """The recipe for SQL: two tenures in turn write, and what the first one sends late changes nothing."""
    script, command = readme_block("# report.py").split("\nzkleader ")
    (tmp_path / "report.py").write_text(script)

    def stored() -> tuple[str, int]:
        with sqlite3.connect(tmp_path / "reports.db") as reports:
            [row] = reports.execute("SELECT text, token FROM report").fetchall()
            return row  # type: ignore[no-any-return]

    said(shell("zkleader run -e report -- python3 report.py first"))
    first = stored()
    said(shell(f"zkleader {command}"))
    second = stored()
    assert (first[0], second[0]) == ("first", "all is well")
    assert first[1] < second[1]
    late = shell(f"ZKLEADER_TOKEN={first[1]} python3 report.py too late")
    assert late.wait() == 1
    assert late.stderr == ["a later leader has written this report"]
    assert stored() == second


@pytest.mark.parametrize(
    "first_line",
    ["zkleader run -e deploy -w 10m -- ./deploy", "rm -f deploy.json"],
    ids=["status", "result"],
)
def test_a_script_that_branches(
    shell: Shell, tmp_path: Path, kazoo_client: KazooClient, chroot: str, first_line: str
) -> None:
    """The recipes for deployments: each outcome has its branch; only a result tells COMMAND's status 75 from ours."""
    text = readme_block(first_line).replace("-w 10m", "-w 200ms")
    tells = "--result" in text

    def after(deploy: str) -> list[str]:
        put(tmp_path / "deploy", deploy)
        return said(shell(text))

    assert after("exit 0") == ["deployed"]
    assert after("exit 3") == ["it failed"]
    too_late = "another deployment takes longer than ten minutes"
    assert after("exit 75") == (["it failed"] if tells else [too_late])
    put(tmp_path / "deploy", "touch up; exec sleep 60")
    lost = shell(text)
    wait_until((tmp_path / "up").exists, what="a deployment")
    election = f"/{chroot.partition('/')[2]}/zkleader/deploy"
    [candidate] = candidates(kazoo_client, election)
    kazoo_client.delete(f"{election}/{candidate}")
    assert said(lost) == ["leadership was lost while deploying"]
    leading(shell, "deploy", tmp_path / "other-up")
    assert after("exit 0") == [too_late]
    # What an earlier deployment has left is not taken for what became of one that was refused.
    (tmp_path / "deploy.json").write_text('{"outcome": "command_ended", "command_status": 0}')
    refused = shell(f"export ZKLEADER_CONFIG=not-there.toml\n{text}")
    assert said(refused) == ["it was not run, or nobody knows" if tells else "it failed"]
    (tmp_path / "deploy").unlink()
    assert said(shell(text)) == (["it was not run, or nobody knows"] if tells else ["it failed"])


def test_the_line_for_cron_on_five_hosts(
    programs: Callable[..., Program], chroot: str, bin_directory: Path, tmp_path: Path
) -> None:
    """As cron runs it, at the same instant everywhere: once over all, a small environment, and no mail."""
    path, line = readme_block("PATH=/usr/local/bin:/usr/bin:/bin").splitlines()[:2]
    minute, hour, day, month, weekday, command = line.split(maxsplit=5)
    assert (minute, hour, day, month, weekday) == ("5", "2", "*", "*", "*")
    log = tmp_path / "log"
    put(bin_directory / "backup", f"echo ran >>{log}")
    # The directory stands for /usr/local/bin.
    variables = [path.replace("/usr/local/bin", str(bin_directory)), "HOME=/", "LOGNAME=root", "SHELL=/bin/sh"]
    hosts = []
    for number in range(5):
        mark = f"cron-{number}-{tmp_path.name}"
        cron = ("env", "-i", f"{MARK}={mark}", *variables, "sh", "-c")
        hosts.append(programs(command.replace(PRINTED_HOSTS, chroot), command=cron, mark=mark))
    for host in hosts:
        assert host.wait() == 0
        assert (host.stdout, host.stderr) == ([], [])
    assert log.read_text() == "ran\n"


def test_a_job_that_has_to_run_all_the_time(shell: Shell, bin_directory: Path, tmp_path: Path) -> None:
    """It fails, and is started again on the same host with the same token; told to end, it is not."""
    line = readme_block("zkleader run -z zk1,zk2,zk3 --restart always --on-loss rejoin -- mailer")
    log = tmp_path / "log"
    put(bin_directory / "mailer", f"echo $ZKLEADER_TOKEN >>{log}; [ -e second ] && exec sleep 60; touch second; exit 1")
    mailer = shell(f"exec {line}")

    def starts() -> list[str]:
        return log.read_text().split() if log.exists() else []

    wait_until(lambda: len(starts()) == 2, what="two runs")
    mailer.popen.terminate()
    assert mailer.wait() == -15
    first, second = starts()
    assert first == second


def test_a_database_migration_that_must_not_run_twice(shell: Shell, tmp_path: Path) -> None:
    """On three hosts at once; broken off half way, and by a host that was paused in the middle of it."""
    script, command = readme_block("# migrate.py").split("\nzkleader ")
    assert script.count("sqlite3.connect") == 1
    (tmp_path / "migrate.py").write_text(script)

    def shop(question: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(tmp_path / "shop.db") as shop:
            return shop.execute(question).fetchall()

    hosts = [shell(f"zkleader {command}") for _ in range(3)]
    told = sorted(said(host) for host in hosts)
    service = "the service may start"
    assert told == sorted([["migrated to version 1", "migrated to version 2", service], [service], [service]])
    [(version, token)] = shop("SELECT version, token FROM schema")
    assert version == 2
    assert len(shop("PRAGMA table_info(customer)")) == 2
    # The next deployment has one change more; a host that led before is not let do it.
    (tmp_path / "migrate.py").write_text(script.replace("]\n\ntoken", '    "CREATE TABLE basket (id)",\n]\n\ntoken', 1))
    late = shell(f"ZKLEADER_TOKEN={int(str(token)) - 1} python3 migrate.py")
    assert late.wait() == 1
    assert late.stderr == ["a later leader is migrating"]
    assert said(shell(f"zkleader {command}")) == ["migrated to version 3", service]


def test_a_queue_consumer_with_three_active(shell: Shell, tmp_path: Path) -> None:
    """Of four hosts three work, each at its own share; when one of them dies its share is taken by the fourth."""
    line, script = readme_block(
        "zkleader run -z zk1,zk2,zk3 -e consumer --leaders 3 --restart always --on-loss rejoin -- ./consume"
    ).split("\n\n")
    put(tmp_path / "consume", script.removeprefix("#!/bin/sh\n"))
    spool, log = tmp_path / "spool", tmp_path / "log"
    spool.mkdir()
    hosts = {}

    def done(*shares: int) -> dict[int, str]:
        """Have a job of each of these shares done; return by whom."""
        log.write_text("")
        for share in shares:
            (spool / f"part.{share}").write_text(f'echo "{share} $ZKLEADER_ID $ZKLEADER_SLOT" >>{log}')
            (spool / f"part.{share}").rename(spool / f"job.{share}")
        wait_until(lambda: len(log.read_text().splitlines()) == len(shares), deadline=15, what="all jobs done")
        # A job is removed after it was done; the next one of its name is not to be removed in its place.
        wait_until(lambda: not any(spool.iterdir()), deadline=15, what="an empty spool")
        rows = [row.split() for row in log.read_text().splitlines()]
        assert all(share == slot for share, _, slot in rows)
        return {int(share): who for share, who, _ in rows}

    for name in "abcd":
        hosts[name] = shell(f"exec {line.replace('--leaders', f'--id {name} --leaders')}")
        wait_until(lambda: len(done(*range(len(hosts)))) == len(hosts) if len(hosts) < 4 else True, what=name)
    before = done(0, 1, 2)
    assert sorted(before.values()) == ["a", "b", "c"]
    hosts[before[1]].popen.kill()
    after_that = done(0, 1, 2)
    assert after_that == before | {1: "d"}
    for name, host in hosts.items():
        if name != before[1]:
            host.popen.terminate()
            host.wait()


MIGRATIONS = {quoted(there)[0]: quoted(here) for there, here, _ in readme_table("there", "here", "what changes")}
"""For each other tool's line, ours and the options that are named beside it."""


@pytest.mark.parametrize("line", [line for line, *_ in MIGRATIONS.values()])
def test_a_line_for_those_who_come_from_another_tool(shell: Shell, bin_directory: Path, line: str) -> None:
    """CMD runs where it is said to, its status is ours, and what it has started ends with it."""
    put(bin_directory / "CMD", 'sleep 60 & echo "$ZKLEADER_ELECTION $ZKLEADER_ID $ZKLEADER_TOKEN"; exit 9')
    program = shell(line.replace("'LINE'", "'CMD'"))
    assert program.wait() == 9, program.report()
    [told] = program.stdout
    election, identity, token = told.split()
    assert election == {"/app/leader": "/app/leader"}.get(after(line, "-e"), f"/zkleader/{after(line, '-e')}")
    assert identity == (after(line, "--id") or os.uname().nodename)
    assert token.isdigit()
    program.assert_nothing_left()


def after(line: str, option: str) -> str:
    """Return the word behind an option; empty without it."""
    found = re.search(rf" {option} (\S+)", line)
    return found[1] if found else ""


def test_what_is_said_beside_the_lines(shell: Shell, tmp_path: Path) -> None:
    """The options are there under these names, not elected is 75 unless `-E` says otherwise, and a shell needs `-e`."""
    flock, wait, status = MIGRATIONS["flock -n FILE CMD"]
    consul, ten_seconds = MIGRATIONS["consul lock PREFIX CMD"]
    etcd, lease = MIGRATIONS["etcdctl lock NAME CMD"]
    [sh] = MIGRATIONS["flock FILE -c 'LINE'"]

    def statuses(*lines: str) -> list[int]:
        return [shell(line.replace("CMD", "true")).wait() for line in lines]

    with_options = (consul.replace(" -- ", f" {ten_seconds} -- "), etcd.replace(" -- ", f" {lease} -- "))
    assert statuses(*with_options, sh.replace(" -e NAME", "")) == [0, 0, 64]
    leading(shell, "NAME", tmp_path / "other-up")
    impatient = flock.replace(" -n ", f" {wait} 0.2 ")
    assert statuses(flock, impatient, flock.replace(" -n ", f" -n {status} 1 ")) == [75, 75, 1]


TIMES = {
    "--lease": ("lease", DEFAULT_LEASE),
    "--grace": ("grace", DEFAULT_GRACE),
    "--stop-timeout": ("stop_timeout", DEFAULT_STOP_TIMEOUT),
}
DOCKERFILE = dict(line.split(maxsplit=1) for line in readme_block("FROM python:3.12-slim").splitlines())


def longest_stop(*options: str) -> float:
    """Return the seconds that stopping in order may take with these options of `run`; none of them is warned of."""
    given = {name: Duration().convert(value, None, None) for name, value in pairwise(options) if name in TIMES}
    timing = Timing(**{word: given.get(name, default) for name, (word, default) in TIMES.items()})
    assert tightness(timing, len(PRINTED_HOSTS.split(","))) == ""
    return timing.stop_timeout + timing.release_timeout


def test_the_image_is_stopped_in_the_time_that_docker_gives(
    programs: Callable[..., Program],
    chroot: str,
    kazoo_client: KazooClient,
    bin_directory: Path,
    beats: Path,
) -> None:
    """The recipe for containers: its variables and entry point, as PID 1, and a program that does not want to stop."""
    if reason := why_not():
        pytest.skip(reason)
    entry_point = json.loads(DOCKERFILE["ENTRYPOINT"])
    name, hosts = DOCKERFILE["ENV"].split("=")
    witness = Path(__file__).parent.parent / "witness.py"
    put(bin_directory / "mailer", f"exec {sys.executable} -I -S {witness} {beats} --ignore-term")
    environment = {"PATH": f"{bin_directory}:/usr/bin:/bin", name: hosts.replace(PRINTED_HOSTS, chroot)}
    election = f"/{chroot.partition('/')[2]}/zkleader/mailer"

    def tenures() -> int:
        return len({beat.token for beat in beats_in(beats)})

    first = programs(*entry_point, command=CONTAINER, env=environment)
    wait_until(lambda: tenures() == 1, what="a container that leads")
    second = programs(*entry_point, command=CONTAINER, env=environment)
    wait_until(lambda: len(candidates(kazoo_client, election)) == 2, what="a container that waits")
    os.kill(first_process(first), signal.SIGTERM)
    assert first.wait(DOCKER_PATIENCE) == 128 + signal.SIGKILL
    wait_until(lambda: tenures() == 2, deadline=2, what="the next container at once")
    os.kill(first_process(second), signal.SIGKILL)
    second.wait()
    assert_promise(beats, tenures=2)
    assert first.stderr == []
    first.assert_nothing_left()
    second.assert_nothing_left()


STOPS = readme_table("runtime", "its time", "so")
DOCKER_PATIENCE = 10.0
"""Seconds, as the table says too."""


@pytest.mark.parametrize(("times", "advice"), [row[1:] for row in STOPS])
def test_what_is_said_of_runtimes_leaves_time_for_a_release(times: str, advice: str) -> None:
    """A container that is killed earlier has the next host wait out its lease."""
    patience = float(re.findall(r"(\d+) s", times)[-1])
    longer, options = float(advice.split(maxsplit=1)[0]), quoted(advice)[0].split()
    assert longest_stop(*options) < patience
    assert longest_stop() < longer


def test_the_images_options_are_those_for_docker() -> None:
    """It is the shorter of the two times."""
    assert min(float(re.findall(r"(\d+) s", times)[-1]) for _, times, _ in STOPS) == DOCKER_PATIENCE
    assert longest_stop(*json.loads(DOCKERFILE["ENTRYPOINT"])) < DOCKER_PATIENCE
