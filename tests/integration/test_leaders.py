"""Several leaders on a real server: so many act, never more, and what befalls one does not concern the others."""

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from program import Program
from promise import assert_never_more, token_of, wait_acting
from proxy import Proxy
from waiting import wait_until
from witness import beats_in, spans
from zookeeper import Server

from zkleader import Election

THREE = ("--leaders", "3")
TWO = ("--leaders", "2")
Ask = Callable[..., Program]


@pytest.fixture
def ask(programs: Callable[..., Program], zookeeper: Server) -> Ask:
    """Give `ask(subcommand, ...)`: another subcommand of zkleader, about the test's server."""

    def start(subcommand: str, *arguments: str) -> Program:
        command = (sys.executable, "-m", "zkleader")
        return programs(subcommand, "-z", zookeeper.hosts, *arguments, command=command)

    return start


def slot_of(program: Program) -> int:
    """Return the slot in which a program was last elected; wait for it."""
    line = program.wait_for("event=elected")
    return int(line.partition("slot=")[2].split()[0])


def leading(candidate: Candidate, beats: Path, names: str, *options: str, **rest: object) -> list[Program]:
    """Have these candidates lead, one after the other."""
    programs = []
    for name in names:
        programs.append(candidate(name, *options, **rest))
        wait_acting(programs[-1], beats)
    return programs


def waiting(candidate: Candidate, name: str, *options: str) -> Program:
    """Have another one wait behind them."""
    program = candidate(name, *options)
    program.wait_for("event=waiting ")
    return program


def assert_undisturbed(beats: Path, *programs: Program) -> None:
    """They act now, and none of them has acted in another tenure than its first."""
    now = time.monotonic_ns()
    for program in programs:
        token = token_of(program)
        wait_until(
            lambda token=token: any(beat.token == token and beat.at_ns > now for beat in beats_in(beats)),
            what=f"tenure {token} goes on",
        )
        assert not [line for line in program.stderr if "leadership_lost" in line]


def end(*programs: Program) -> None:
    """Stop them, those that wait first."""
    for program in reversed(programs):
        program.signal(signal.SIGTERM)
    for program in programs:
        program.wait()


def test_three_of_five_act_and_a_clean_end_is_followed_at_once(candidate: Candidate, beats: Path) -> None:
    """Each in a slot of its own; the next in the queue takes the one that is free, and the others go on."""
    first = candidate("a", *THREE, witness=("--lifetime", "4"))
    wait_acting(first, beats)
    others = leading(candidate, beats, "bc", *THREE)
    assert [slot_of(program) for program in (first, *others)] == [0, 1, 2]
    fourth, fifth = (waiting(candidate, name, *THREE) for name in "de")
    assert first.wait() == 0
    ended = next(span for span in spans(beats_in(beats)) if span.tenure.token == token_of(first))
    wait_acting(fourth, beats, deadline=5)
    began = next(span for span in spans(beats_in(beats)) if span.tenure.token == token_of(fourth))
    assert (began.first_ns - ended.last_ns) / 1e9 < 1
    assert slot_of(fourth) == 0
    assert_undisturbed(beats, *others, fourth)
    end(*others, fourth, fifth)
    assert_never_more(beats, 3, tenures=4)


def test_a_command_is_told_its_slot(candidate: Candidate, tmp_path: Path) -> None:
    """It is how it knows its share."""
    shares = tmp_path / "shares"
    line = f'echo "$ZKLEADER_SLOT" >> {shares}; exec sleep 60'
    both = [candidate(name, *TWO, command=("sh", "-c", line)) for name in "ab"]
    wait_until(lambda: shares.exists() and len(shares.read_text().split()) == 2, what="both")
    end(*both)
    assert sorted(shares.read_text().split()) == ["0", "1"]


def test_a_killed_supervisor_frees_its_own_slot(candidate: Candidate, beats: Path) -> None:
    """Its guard releases that one and no other: nobody waits for a lease of 20 s."""
    timing = ("--lease", "20s", "--grace", "200ms")
    first, second = leading(candidate, beats, "ab", *TWO, *timing)
    third = waiting(candidate, "c", *TWO, *timing)
    second.signal(signal.SIGKILL)
    wait_acting(third, beats, deadline=6)
    assert slot_of(third) == 1
    assert_undisturbed(beats, first)
    end(first, third)
    assert_never_more(beats, 2, tenures=3)


@pytest.mark.parametrize("which", [0, 1])
def test_a_dead_hosts_slot_is_waited_out_while_the_other_goes_on(candidate: Candidate, beats: Path, which: int) -> None:
    """Also the slot of whom nobody watches: of two ahead of the standby the first."""
    both = leading(candidate, beats, "ab", *TWO)
    third = waiting(candidate, "c", *TWO)
    dead, alive = both[which], both[1 - which]
    dead.die_as_host()
    wait_acting(third, beats, deadline=20)
    assert slot_of(third) == which
    assert_undisturbed(beats, alive)
    end(alive, third)
    assert_never_more(beats, 2, tenures=3)


def test_one_that_is_cut_off_is_gone_before_its_successor(candidate: Candidate, beats: Path, proxy: Proxy) -> None:
    """The other one, which can be reached, acts all the time."""
    first = candidate("a", *TWO)
    wait_acting(first, beats)
    second = candidate("b", *TWO, hosts=proxy.hosts)
    wait_acting(second, beats)
    third = waiting(candidate, "c", *TWO)
    proxy.cut()
    wait_acting(third, beats, deadline=20)
    proxy.heal()
    assert second.wait() == 79
    assert_undisturbed(beats, first)
    end(first, third)
    assert_never_more(beats, 2, tenures=3)


# ---- another number


@pytest.mark.parametrize(("old", "new"), [(2, 3), (3, 2), (1, 2), (2, 1)])
def test_the_number_is_changed_one_host_at_a_time(candidate: Candidate, beats: Path, old: int, new: int) -> None:
    """As documented: each host is started anew; those with the old number lead until the last of them has gone."""
    names = "abc"
    hosts = dict(zip(names, leading(candidate, beats, names[:old], "--leaders", str(old)), strict=False))
    for name in names[old:]:
        hosts[name] = waiting(candidate, name, "--leaders", str(old))
    for name in names:
        end(hosts[name])
        hosts[name] = candidate(name, "--leaders", str(new))
        hosts[name].wait_for("event=waiting |event=elected")
    led = [program for program in hosts.values() if wait_elected(program, new, hosts)]
    assert sorted(map(slot_of, led)) == list(range(new))
    wait_until(lambda: all(is_acting_now(beats, token_of(program)) for program in led), what="all act")
    end(*hosts.values())
    acted = spans(beats_in(beats))
    # Of the old number and of the new one: no tenure of one beside one of the other.
    last_old, first_new = changes_at(acted, {token_of(program) for program in led})
    assert last_old < first_new
    assert_never_more(beats, max(old, new), tenures=len(acted))


def wait_elected(program: Program, new: int, hosts: dict[str, Program]) -> bool:
    """Say whether a program leads, when so many of all do."""

    def elected() -> list[Program]:
        return [one for one in hosts.values() if any("event=elected" in line for line in one.stderr)]

    wait_until(lambda: len(elected()) == new, deadline=20, what=f"{new} are elected")
    return program in elected()


def is_acting_now(beats: Path, token: int) -> bool:
    """Say whether a tenure has acted in the last half second."""
    return any(beat.token == token and time.monotonic_ns() - beat.at_ns < 5e8 for beat in beats_in(beats))


def changes_at(acted: list, new: set[int]) -> tuple[int, int]:  # type: ignore[type-arg]
    """Return when the last old tenure acted for the last time, and when the first new one did for the first."""
    last_old = max(span.last_ns for span in acted if span.tenure.token not in new)
    return last_old, min(span.first_ns for span in acted if span.tenure.token in new)


def test_whoever_has_another_number_says_both_and_waits(candidate: Candidate, beats: Path) -> None:
    """With -n and -w it ends with 75, and there is a line that names both."""
    [first] = leading(candidate, beats, "a", *TWO)
    words = "event=leaders_disagree.*leaders=3.*stated=2"
    other = candidate("b", *THREE)
    other.wait_for(words)
    for patience in (("-n",), ("-w", "300ms")):
        late = candidate("c", *THREE, *patience)
        assert late.wait() == 75
        late.wait_for(words)
        late.wait_for("event=ended.*reason=leaders_disagree")
    assert_undisturbed(beats, first)
    end(first)
    wait_acting(other, beats)
    end(other)
    assert_never_more(beats, 3, tenures=2)


# ---- others who look at it


def test_status_is_leader_and_resign(candidate: Candidate, beats: Path, ask: Ask, election: str) -> None:
    """All of them are shown, each of them leads, and one of them is asked by its slot."""
    first, second = leading(candidate, beats, "ab", *TWO)
    third = waiting(candidate, "c", *TWO)
    shown = ask("status", election, "--json")
    assert shown.wait() == 0
    [told] = json.loads(shown.stdout[0])["elections"]
    assert told["leaders"] == 2
    assert [(slot["slot"], slot["id"], slot["state"]) for slot in told["slots"]] == [
        (0, "a", "leads"),
        (1, "b", "leads"),
    ]
    assert [one["slot"] for one in told["candidates"]] == [0, 1, None]
    table = ask("status", election)
    assert table.wait() == 0
    assert any(line.split() == ["leaders:", "2", "of", "2"] for line in table.stdout)
    answers = {name: ask("is-leader", election, "--id", name).wait() for name in "abc"}
    assert answers == {"a": 0, "b": 0, "c": 1}
    which = ask("resign", election)
    assert which.wait() == 64
    assert "a in slot 0, b in slot 1: name one of them with --slot" in which.stderr[-1]
    asked = ask("resign", election, "--slot", "1")
    assert asked.wait() == 0
    assert "slot 1, token" in asked.stdout[0]
    assert second.wait() == 79
    wait_acting(third, beats)
    assert slot_of(third) == 1
    assert_undisturbed(beats, first)
    free = ask("resign", election, "--slot", "7")
    assert free.wait() == 3
    assert free.stderr == [f"zkleader: cannot resign {election}: there is no slot 7 (2 leaders)"]
    end(third)
    empty = ask("resign", election, "--slot", "1")
    assert empty.wait() == 3
    assert empty.stderr == [f"zkleader: cannot resign {election}: nobody leads in slot 1"]
    alone = ask("resign", election)
    assert alone.wait() == 0
    assert all("slot 0, token" in line for line in alone.stdout)
    assert first.wait() == 79
    assert_never_more(beats, 2, tenures=3)


def test_programs_lead_in_slots_too(zookeeper: Server, election: str, candidate: Candidate, beats: Path) -> None:
    """The same election: one of the two slots is a program's, the other one a command's."""
    with Election(zookeeper.hosts, election, leaders=2, lease=4.0, grace=1.0).campaign() as program:
        token = program.wait_for_leadership(10)
        [first] = leading(candidate, beats, "a", *TWO)
        assert (program.slot, slot_of(first)) == (0, 1)
        assert token_of(first) > token
        late = candidate("b", *TWO, "-n")
        assert late.wait() == 75
        assert program.is_leading()
    end(first)
