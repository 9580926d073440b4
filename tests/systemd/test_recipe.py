"""README's recipe for a service that runs on one of many hosts, as it stands there: typed by root, on two hosts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import ROOT, Host, visible_directories, why_not
from readme import readme_block
from service import WITNESS
from waiting import wait_until
from witness import Beat, overlaps, read_beats, tokens_rise
from zookeeper import Server

UNIT = "zkleader@mailer.service"
BEATS = "/var/lib/private/zkleader/mailer/beats"
"""Where the sandbox lets it write: its working directory."""
PROGRAMS = {
    "zkleader": f'exec {sys.executable} -m zkleader "$@"',
    "mailer": f'[ "$*" = --foreground ] && exec {sys.executable} -I -S {WITNESS} beats',
}
# The sandbox hides what is not installed where programs are: a checkout somewhere.
DROP_IN = f"""
[Unit]
DefaultDependencies=no
[Service]
ProtectHome=tmpfs
BindReadOnlyPaths={" ".join(visible_directories())}
Environment=PYTHONDONTWRITEBYTECODE=1
"""


@pytest.fixture
def hosts(tmp_path: Path, own_zookeeper: Server) -> Iterator[list[Host]]:
    """Return two hosts on which zkleader and mailer are installed, and which know three servers by name."""
    if reason := why_not():
        pytest.skip(reason)
    made: list[Host] = []
    try:
        for name in "ab":
            (tmp_path / name).mkdir()
            host = Host(tmp_path / name, *visible_directories())
            made.append(host)
            host.write("/etc/hosts", "127.0.0.1 localhost zk1 zk2 zk3\n")
            host.add_relay(own_zookeeper.hosts, 2181)
            host.run("mount", "-t", "tmpfs", "-o", "mode=755", "tests", "/usr/local/bin")
            for program, script in PROGRAMS.items():
                host.write(f"/usr/local/bin/{program}", f"#!/bin/sh\n{script}\n")
                host.run("chmod", "755", f"/usr/local/bin/{program}")
            host.write(f"/etc/systemd/system/{UNIT}.d/tests.conf", DROP_IN)
        yield made
    finally:
        for host in made:
            print(host.run("systemctl", "status", UNIT, check=False))
            host.close()


def beats_on(host: Host) -> list[Beat]:
    return read_beats(host.read(BEATS).splitlines(keepends=True))


def test_a_service_runs_on_one_of_the_hosts_and_is_handed_over(hosts: list[Host]) -> None:
    """Started on both, it acts on the first; stopped there, on the second."""
    first, second = hosts
    for host in hosts:
        host.run("sh", "-ec", f"cd {ROOT}\n{readme_block('cp man/examples/zkleader@.service /etc/systemd/system')}")
        assert host.systemctl("is-enabled", UNIT).strip() == "enabled"
        wait_until(lambda: beats_on(first), deadline=20, what="the mailer acts")
    first.wait_for(UNIT, StatusText="leader, token ")
    second.wait_for(UNIT, StatusText="standby, rank 1")
    assert beats_on(second) == []
    first.systemctl("stop", "zkleader@mailer")
    assert first.show(UNIT)["Result"] == "success"
    wait_until(lambda: beats_on(second), deadline=5, what="the mailer acts on the other host, at once")
    both = [*beats_on(first), *beats_on(second)]
    assert overlaps(both) == []
    assert tokens_rise(both)
