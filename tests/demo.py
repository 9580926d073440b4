"""The demonstration: who leads, who takes over after what, and that no two ever act at once.

Everything in it is real: a ZooKeeper server, three `zkleader run` on this machine that play three hosts, and a command
that writes a beat every 2 ms, from which the verdict is computed by the same judge as in the tests. The death of a host
is played by freezing, then killing, every process of it, so that nobody is left to tell ZooKeeper.
"""

import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import witness
from program import Program
from zookeeper import Server

T = TypeVar("T")
LEASE = 4  # seconds; short, so that the wait for a dead host's lease is bearable to watch
GRACE = 1
WATCH = 2.0  # how long one looks at a leader at work
DEADLINE = 30.0


class Stage:
    """The three candidates, what they said so far, and the clock of the show."""

    def __init__(self, directory: Path, hosts: str) -> None:
        self.beats = directory / "beats"
        self.started_at = time.monotonic()
        self.programs: dict[str, Program] = {}
        self.shown: dict[str, int] = {}
        self.leaders: dict[str, str] = {}  # token -> id, in order of appearance
        self.causes: list[str] = []  # why each tenure but the first began
        self.hosts = hosts

    def tell(self, who: str, text: str) -> None:
        print(f"{time.monotonic() - self.started_at:6.2f} s  {who:<9} {text}", flush=True)

    def enter(self, name: str) -> Program:
        """Start a candidate; COMMAND says its id and token twice a second."""
        options = ["-z", self.hosts, "-e", "demo", "--id", name, "--lease", f"{LEASE}s", "--grace", f"{GRACE}s"]
        command = [sys.executable, "-I", "-S", witness.__file__, str(self.beats), "--say", "0.5"]
        self.programs[name] = Program("run", *options, "--", *command)
        self.shown[name] = 0
        return self.programs[name]

    def look(self) -> None:
        """Show what the commands said since the last look."""
        for name, program in self.programs.items():
            new = program.stdout[self.shown[name] :]
            self.shown[name] += len(new)
            for line in new:
                self.tell(f"host {name}", f"its command says: id and token {line}")
                who, token = line.split()
                self.leaders.setdefault(token, who)

    def wait(self, fact: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
        """Show what happens until there is something to return."""
        until = time.monotonic() + deadline
        while True:
            self.look()
            value = fact()
            if value is not None:
                return value
            if time.monotonic() > until:
                reports = "\n".join(map(repr, self.programs.values()))
                raise AssertionError(f"waited {deadline:g} s in vain for {what}\n{reports}")
            time.sleep(0.02)

    def watch(self, seconds: float = WATCH) -> None:
        """Show what happens for a while."""
        until = time.monotonic() + seconds
        self.wait(lambda: True if time.monotonic() > until else None, "time to pass")

    def next_leader(self) -> str:
        """Wait for a tenure that has not been seen yet, and say who has it."""
        seen = len(self.leaders)
        return self.wait(lambda: list(self.leaders.values())[seen] if len(self.leaders) > seen else None, "a leader")

    def close(self) -> None:
        for program in self.programs.values():
            program.close()


def play(stage: Stage) -> None:
    """Play the show, which ends when all candidates have."""
    for name in "abc":
        program = stage.enter(name)
        stage.tell(f"host {name}", f"zkleader run {' '.join(program.args[1:9])} (pid {program.pid})")
    leader = stage.next_leader()
    stage.tell(f"host {leader}", "LEADS")
    stage.watch()

    pids = stage.programs[leader].die_as_host()
    stage.causes.append(f"host {leader} died: its lease of {LEASE} s is waited out")
    stage.tell(f"host {leader}", f"DIES: {len(pids)} processes killed at once: supervisor, guard and command")
    leader = stage.next_leader()
    stage.tell(f"host {leader}", "LEADS, after the dead leader's lease")
    stage.watch()

    stage.programs[leader].signal(signal.SIGTERM)
    stage.causes.append(f"host {leader} was stopped: it releases, the next one acts at once")
    stage.tell(f"host {leader}", "is asked to stop (SIGTERM)")
    stopped, leader = leader, stage.next_leader()
    stage.tell(f"host {leader}", "LEADS, handed over")
    status = stage.wait(lambda: stage.programs[stopped].returncode, "the end of the stopped candidate")
    stage.tell(f"host {stopped}", f"has ended, {told(status)}")
    stage.watch(1.0)
    stage.programs[leader].signal(signal.SIGTERM)
    status = stage.wait(lambda: stage.programs[leader].returncode, "the end of the last candidate")
    stage.tell(f"host {leader}", f"has ended, {told(status)}")


def told(status: int) -> str:
    """Return an exit status in words."""
    return f"of signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def verdict(stage: Stage) -> bool:
    """Print the timeline and what the judge says of it; return whether the promise was kept."""
    lines = stage.beats.read_text().splitlines(keepends=True)
    tenures = witness.histories(witness.read_beats(lines))
    gaps = witness.gaps(lines)
    overlap = max((found.milliseconds for found in witness.overlaps(lines)), default=0.0)
    rising = witness.tokens_rise(lines)

    print("\nTimeline, from the beats that the commands wrote every 2 ms:\n")
    print(f"  {'from':>8}  {'to':>8}  {'who':<6}  {'fencing token':>13}  {'gap before':>10}  why")
    for position, (token, beats) in enumerate(tenures.items()):
        first, last = (beats[end].at_ns / 1e9 - stage.started_at for end in (0, -1))
        gap = f"{gaps[position - 1] / 1000:8.3f} s" if position else "-"
        why = stage.causes[position - 1] if 0 < position <= len(stage.causes) else "first in the queue"
        who = stage.leaders.get(token, "?")
        print(f"  {first:6.2f} s  {last:6.2f} s  {who:<6}  {token:>13}  {gap:>10}  {why}")
    print(
        f"\nTokens rise: {'yes' if rising else 'NO'}. Processes left behind: {sum(map(left, stage.programs.values()))}."
    )
    longest = max(gaps, default=0.0) / 1000
    print(f"Verdict: {len(tenures) - 1} takeovers, longest gap {longest:.2f} s, overlap in ms: {overlap:g}", flush=True)
    return overlap == 0 and rising and len(tenures) == 3


def left(program: Program) -> int:
    return len(program.processes())


def main() -> int:
    """Run the show; leave nothing behind whatever ends it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with tempfile.TemporaryDirectory(prefix="zkleader-demo-") as directory, contextlib.ExitStack() as stack:
            print("Starting a throwaway ZooKeeper ...", flush=True)
            server = stack.enter_context(Server())
            print(
                f"ZooKeeper serves on {server.hosts}. Three candidates, lease {LEASE} s, grace {GRACE} s.\n", flush=True
            )
            stage = Stage(Path(directory), server.hosts)
            stack.callback(stage.close)
            play(stage)
            return 0 if verdict(stage) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us has seen enough. Python would complain once more when it flushes at exit.
        sys.stdout = None
        return 141
    except AssertionError as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
