"""The example unit under a real systemd: ready, standing by, taking over, stopped, killed, frozen, restarted."""

import grp
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from host import Host
from processes import lives
from service import LEASE, WATCHDOG, Service
from waiting import wait_until
from witness import beats_in, overlaps, spans, tokens_rise

Make = Callable[..., Service]

# The kernel's and systemd's own time to kill and to notice; a timer of systemd's may be a quarter of a second late.
SLACK = 1.0


def token_of(service: Service, deadline: float = 20.0) -> int:
    """Return the token of a service, once it leads."""
    return int(service.wait_for(deadline, StatusText="leader, token ")["StatusText"].split()[-1])


def wait_acting(beats: Path, token: int) -> None:
    wait_until(lambda: any(beat.token == token for beat in beats_in(beats)), what=f"tenure {token} acts")


def assert_promise(beats: Path, *, tenures: int) -> None:
    acted = beats_in(beats)
    assert overlaps(acted) == []
    assert tokens_rise(acted)
    assert len(spans(acted)) == tenures


def lead(service: Service, beats: Path) -> list[int]:
    """Start a service that will lead; return the pids of its three processes."""
    service.start()
    wait_acting(beats, token_of(service))
    pids = service.pids()
    assert len(pids) == 3, pids
    return pids


def test_a_standby_is_ready_waits_longer_than_the_watchdog_and_takes_over(service: Make, beats: Path) -> None:
    """Started means in the queue; a standby is not frozen, however long it waits; a killed leader leaves nothing."""
    first, second = service("a"), service("b")
    leader = lead(first, beats)
    second.start()
    second.wait_for(StatusText="standby, rank 1")
    wait_until(lambda: "scope=cgroup" in second.report(), what="a control group of the command's own")
    standby = second.supervisor_pid()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 2 * WATCHDOG, what="more than the watchdog's interval")
    assert second.supervisor_pid() == standby
    assert first.supervisor_pid() in leader
    assert first.shown("NRestarts") == second.shown("NRestarts") == "0"
    [command] = {*leader} - {first.supervisor_pid(), first.guard_pid()}
    environment = Path(f"/proc/{command}/environ").read_bytes()
    assert b"ZKLEADER_TOKEN=" in environment
    assert b"NOTIFY_SOCKET=" not in environment
    assert b"WATCHDOG_" not in environment
    os.kill(first.supervisor_pid(), signal.SIGKILL)
    wait_until(lambda: not any(map(lives, leader)), deadline=LEASE, what="the end of all that was the leader's")
    wait_acting(beats, token_of(second))
    first.wait_for(NRestarts="1", StatusText="standby, rank ")
    assert_promise(beats, tenures=2)


def test_a_frozen_leader_is_killed_with_its_guard_and_command_before_another_acts(service: Make, beats: Path) -> None:
    """Neither of the two can: this is what the watchdog is for, and why it is told what is left of the lease.

    The unit's own interval would come too late.
    """
    first, second = service("a", settings=("WatchdogSec=60",)), service("b")
    leader = lead(first, beats)
    second.start()
    os.kill(first.supervisor_pid(), signal.SIGSTOP)
    os.kill(first.guard_pid(), signal.SIGSTOP)
    frozen_at = time.monotonic()
    wait_until(lambda: not any(map(lives, leader)), deadline=LEASE + SLACK, what="the end of all that was the leader's")
    assert time.monotonic() - frozen_at < LEASE
    wait_acting(beats, token_of(second))
    first.wait_for(NRestarts="1", StatusText="standby, rank ")
    assert_promise(beats, tenures=2)


def test_when_both_are_killed_nothing_survives_in_the_control_group(service: Make, beats: Path) -> None:
    """The kernel ends the command's first process; what that has started only systemd can find."""
    first = service("a", witness=("--daemonise",))
    first.start()
    wait_acting(beats, token_of(first))
    pids = first.pids()
    supervisor, guard = first.supervisor_pid(), first.guard_pid()
    assert len({*pids} - {supervisor, guard}) >= 1
    # Frozen first, so that neither acts on the other's death.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        os.kill(guard, number)
        os.kill(supervisor, number)
    killed_at = time.monotonic()
    wait_until(lambda: not any(map(lives, pids)), deadline=LEASE, what="the end of all that was the leader's")
    assert time.monotonic() - killed_at < SLACK
    wait_until(lambda: len(spans(beats_in(beats))) == 2, deadline=20, what="the next tenure")
    assert_promise(beats, tenures=2)


def test_what_stands_still_is_killed_with_the_rest(service: Make, beats: Path) -> None:
    """With --on-disconnect pause: delegated, the guard freezes it; and systemd's SIGKILL reaches what is frozen."""
    first = service("a", "--on-disconnect", "pause", witness=("--daemonise",))
    first.start()
    token = token_of(first)
    wait_acting(beats, token)
    pids = first.pids()
    supervisor, guard = first.supervisor_pid(), first.guard_pid()
    os.kill(supervisor, signal.SIGSTOP)
    wait_until(lambda: time.monotonic() - beats_in(beats)[-1].at_ns / 1e9 > 0.5, deadline=LEASE, what="it is still")
    still = len(beats_in(beats))
    os.kill(guard, signal.SIGSTOP)
    os.kill(guard, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not any(map(lives, pids)), deadline=LEASE, what="the end of all that was the leader's")
    assert sum(beat.token == token for beat in beats_in(beats)) == still
    wait_until(lambda: len(spans(beats_in(beats))) == 2, deadline=20, what="the next tenure")
    assert_promise(beats, tenures=2)


@pytest.mark.parametrize("whom", ["supervisor", "guard"])
def test_a_frozen_standby_is_restarted(service: Make, beats: Path, whom: str) -> None:
    """It would never take over, and nobody would know."""
    # A silent guard is noticed by its supervisor after half a lease: here the watchdog is to be first.
    first, second = service("a"), service("b", "--lease", "20s", settings=("WatchdogSec=1",))
    lead(first, beats)
    second.start()
    pids = second.pids()
    os.kill(second.supervisor_pid() if whom == "supervisor" else second.guard_pid(), signal.SIGSTOP)
    second.wait_for(NRestarts="1", StatusText="standby, rank ")
    assert not any(map(lives, pids))


def test_stopping_stops_the_command_in_order_and_the_next_one_starts_at_once(service: Make, beats: Path) -> None:
    """A stop is no failure, and is not restarted; nor does the standby wait for a lease."""
    first, second = service("a"), service("b")
    leader = lead(first, beats)
    second.start()
    first.host.systemctl("stop", first.unit)
    assert not any(map(lives, leader))
    shown = first.host.show(first.unit)
    assert (shown["ActiveState"], shown["Result"], shown["NRestarts"]) == ("inactive", "success", "0")
    assert "event=released" in first.report()
    wait_acting(beats, token_of(second, deadline=5))
    second.host.systemctl("stop", second.unit)
    assert second.shown("Result") == "success"
    assert beats_in(beats)[-1].terminated
    assert_promise(beats, tenures=2)


def test_restarting_is_a_hand_over(service: Make, beats: Path) -> None:
    """An upgrade on one host after the other."""
    first, second = service("a"), service("b")
    leader = lead(first, beats)
    second.start()
    first.host.systemctl("restart", first.unit)
    assert not any(map(lives, leader))
    wait_acting(beats, token_of(second, deadline=5))
    first.wait_for(StatusText="standby, rank 1")
    assert_promise(beats, tenures=2)


@pytest.mark.parametrize(("options", "status"), [(("--lease", "1h"), "64"), (("--grace", "30s"), "78")])
def test_what_is_configured_wrongly_is_not_tried_again(service: Make, options: tuple[str, ...], status: str) -> None:
    """It would fail in the same way for ever, once a second."""
    wrong = service("a", *options)
    wrong.host.run("systemctl", "start", wrong.unit, check=False)
    shown = wrong.wait_for(ActiveState="failed")
    assert (shown["ExecMainStatus"], shown["Result"], shown["NRestarts"]) == (status, "exit-code", "0")


def test_a_command_that_fails_is_started_again_and_systemd_sees_its_status(service: Make) -> None:
    """Our status is the command's."""
    failing = service("a", command=("sh", "-c", "exit 3"), settings=("RestartSec=200ms",))
    failing.start()
    shown = failing.wait_for(NRestarts="2", ExecMainStatus="")
    assert int(shown["NRestarts"]) == 2
    settled = failing.wait_for(SubState="auto-restart", ExecMainStatus="3")
    assert settled["Result"] == "exit-code"


def test_a_lost_lease_ends_with_79_and_not_by_the_watchdog(
    service: Make, beats: Path, own_relay: tuple[str, Callable[[], None]]
) -> None:
    """The watchdog's instant is that of SIGKILL; who stops before gives the sign that there is nothing to kill."""
    hosts, cut = own_relay
    first = service("a", "-z", hosts, settings=("RestartPreventExitStatus=79",))
    leader = lead(first, beats)
    cut()
    shown = first.wait_for(deadline=LEASE + 10, ActiveState="failed")
    assert (shown["Result"], shown["ExecMainStatus"]) == ("exit-code", "79")
    assert not any(map(lives, leader))
    assert "event=leadership_lost" in first.report()


def test_a_job_for_many_hosts_is_run_once_and_the_others_end_with_success(service: Make) -> None:
    """The timer's service: done is done, on whichever host it was."""
    first, second = (
        service(name, "--once-per", "1h", template="zkleader-daily", command=("true",)) for name in ("a", "b")
    )
    first.start()
    first.wait_for(ActiveState="inactive", Result="success")
    second.start()
    second.wait_for(ActiveState="inactive", Result="success")
    wait_until(lambda: "event=already_done" in second.report(), what="that it was done already")
    assert "event=command_started" in first.report()
    assert "event=command_started" not in second.report()


def test_a_job_that_has_failed_is_seen_to_have_failed(service: Make) -> None:
    """It has run: systemd must not start it again, to be told that it is done."""
    failing = service("a", "--once-per", "1h", template="zkleader-daily", command=("sh", "-c", "exit 3"))
    failing.start()
    shown = failing.wait_for(ActiveState="failed")
    assert (shown["ExecMainStatus"], shown["NRestarts"]) == ("3", "0")


def test_a_secret_may_be_roots_and_be_read_through_a_group(host: Host, service: Make, beats: Path) -> None:
    """A user that is made for the service owns no file before; root owns it, and lets a group of the unit's read it."""
    secret = "/etc/zkleader/secret"
    host.write(secret, "digest app:correct horse\n")
    host.path(secret).chmod(0o640)
    os.chown(host.path(secret), 0, grp.getgrnam("daemon").gr_gid)
    settings = ("SupplementaryGroups=daemon", f"Environment=ZKLEADER_AUTH_FILE={secret}")
    # Open all the same: the tests of this server have the path above it in common.
    first = service("a", "--acl", "world:anyone:cdrwa", settings=settings)
    leader = lead(first, beats)
    assert "authentication=digest" in first.report()
    for pid in leader:
        shown = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"correct horse" not in shown
