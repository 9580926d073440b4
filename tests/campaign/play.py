"""One play: an election of its own on the stage, its candidates, its history, and the end of all that it has started.

Owns starting candidates, waiting for what they do, writing down what is done to them, and looking for what they leave
behind. It must not know which fault is played, nor what is expected of it.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGTERM
from typing import Self

from waiting import wait_until
from witness import beats_in

from campaign import history
from campaign.candidate import Candidate
from campaign.history import ENDED, FAULT, HEALED, HEALING, STARTED, STOPPING, Event, History
from campaign.stage import CANDIDATES_OF_SEVERAL, Stage
from campaign.tools import Task, Tool

LEASE = 4.0
GRACE = 0.5
"""Seconds: short, so that waiting a lease out does not take long, and long enough for a loaded machine."""

SETTLED = 0.3
"""Seconds for a candidate that stands in the queue to have read and watched everything."""

CALM = 1.0
"""Seconds after a takeover in which an old leader that comes back would show itself."""

END_PATIENCE = 12.0
"""Seconds in which a candidate that has lost, or was told to end, has ended."""

END_PATIENCE_WITH_PEERS = 2.0
"""Most of them go on; that is not judged, but how they act meanwhile is."""


class Play:
    """An election.

    `witness` are the options of its commands, `hooks` those of its hooks (none: it has no hooks), `options` those of
    its tool, `wrapper` is what is put before the command lines of its candidates (see `wrappers`), unless one has its
    own. So many `leaders` may lead at once.
    """

    def __init__(
        self,
        stage: Stage,
        tool: Tool,
        directory: Path,
        *,
        lease: float = LEASE,
        grace: float = GRACE,
        witness: Sequence[str] = (),
        hooks: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        options: Sequence[str] = (),
        leaders: int = 1,
    ) -> None:
        self.leaders = leaders
        self.stage = stage
        self.tool = tool
        self.directory = directory
        self.lease = lease
        self.grace = grace
        self.witness = tuple(witness)
        self.hooks = tuple(hooks)
        self.wrapper = tuple(wrapper)
        self.options = tuple(options)
        self.election = f"campaign-{uuid.uuid4().hex[:12]}"
        self.candidates: list[Candidate] = []
        """All of them, also those that have ended."""
        self.left: list[str] = []
        """What was still there after the end."""
        self.stack = ExitStack()
        """What has to be undone when the play is over, whatever became of it."""
        self._events: list[Event] = []
        self._ended: set[Candidate] = set()
        self._faults = 0
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what is left; `end` is the orderly way."""
        self._note_ended()
        for candidate in self.candidates:
            candidate.close()
            (self.directory / f"{candidate}-{candidate.pid}.log").write_text(candidate.report() + "\n")
        self.stack.close()
        (self.directory / "history.jsonl").write_text("".join(history.to_lines(self.history)))

    # The history. ----------------------------------------------------------------------------------------------------

    def note(self, kind: str, text: str, candidate: str = "", fault: int = 0, harm: float = 0.0) -> None:
        """Write down what happens at this instant."""
        self._events.append(Event(time.monotonic_ns(), kind, text, candidate, fault, harm))

    @contextmanager
    def fault(self, text: str, candidate: str = "", harm: float | None = None) -> Iterator[Callable[[], None]]:
        """Write down a fault for as long as it is done; `harm` is a lease and its bound unless said otherwise.

        Gives what is to be called before mending it is begun, if that takes a while: it is over somewhere in between.
        """
        self._faults += 1
        number = self._faults
        self.note(FAULT, text, candidate, number, self.lease + 2 if harm is None else harm)
        try:
            yield lambda: self.note(HEALING, text, candidate, number)
        finally:
            self.note(HEALED, text, candidate, number)

    @property
    def history(self) -> History:
        """What has happened so far."""
        files = {candidate.beats for candidate in self.candidates}
        return History.of(self._events, [beat for file in files for beat in beats_in(file)])

    def _note_ended(self) -> None:
        for candidate in self.candidates:
            if candidate.has_ended and candidate not in self._ended:
                self._ended.add(candidate)
                self.note(ENDED, f"{candidate} with {candidate.program.returncode}", candidate.name)

    # Candidates. -----------------------------------------------------------------------------------------------------

    def start(
        self,
        name: str,
        *options: str,
        lease: float | None = None,
        servers: str = "",
        witness: Sequence[str] | None = None,
        wrapper: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Candidate:
        """Start a candidate on the host of its name."""
        task = Task(
            servers=servers or self.stage.servers.hosts,
            election=self.election,
            candidate=name,
            lease=lease or self.lease,
            grace=self.grace,
            options=(*self.options, *options, *(("--leaders", f"{self.leaders}") if self.leaders > 1 else ())),
            command=(),
        )
        self.note(STARTED, name, name)
        candidate = Candidate(
            name,
            self.tool,
            self.stage.network[name],
            task,
            self.directory,
            witness=self.witness if witness is None else tuple(witness),
            hooks=self.hooks,
            wrapper=self.wrapper if wrapper is None else tuple(wrapper),
            env=env,
        )
        self.candidates.append(candidate)
        return candidate

    def start_leader(self, name: str, *options: str, **rest: object) -> Candidate:
        """Start a candidate and return when its command acts."""
        candidate = self.start(name, *options, **rest)  # type: ignore[arg-type]
        self.wait_acting(candidate)
        return candidate

    def start_standby(self, name: str, *options: str, **rest: object) -> Candidate:
        """Start a candidate and return when it stands in the queue and has seen all that is there."""
        waiting = len(self.queue())
        candidate = self.start(name, *options, **rest)  # type: ignore[arg-type]
        wait_until(lambda: len(self.queue()) > waiting, deadline=20, what=f"{name} in the queue")
        self.hold(SETTLED)
        return candidate

    def lead(self, **rest: object) -> tuple[Candidate, Candidate]:
        """Have as many leaders as may be, and as many standbys; return the first leader and the first standby."""
        names = iter(CANDIDATES_OF_SEVERAL)
        leaders = [self.start_leader(next(names), **rest) for _ in range(self.leaders)]
        standbys = [self.start_standby(next(names), **rest) for _ in range(self.leaders)]
        return leaders[0], standbys[0]

    def parts(self) -> tuple[str, ...]:
        """Return the parts that a candidate has."""
        return ("supervisor", "guard") if self.tool.has_guard else ("supervisor",)

    def queue(self) -> list[str]:
        """Return the candidates that the store knows."""
        return self.stage.operator.candidates(self.election)

    # Waiting. --------------------------------------------------------------------------------------------------------

    def hold(self, seconds: float) -> None:
        """Let time pass: the one thing that a fault's duration is."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            self._note_ended()

    def wait_acting(self, candidate: Candidate, deadline: float = 25.0) -> None:
        """Return when the candidate's command acts."""
        wait_until(lambda: candidate.is_acting, deadline=deadline, what=f"{candidate} acts")

    def wait_takeover(self, deadline: float | None = None) -> Candidate | None:
        """Return who acts with a greater token than anybody so far; None when nobody does in time."""
        greatest = max(candidate.token for candidate in self.candidates)

        def successor() -> Candidate | None:
            self._note_ended()
            return next((candidate for candidate in self.candidates if candidate.token > greatest), None)

        # Longer than any bound: how much too late it was is worth knowing.
        with suppress(AssertionError):
            return wait_until(successor, deadline=deadline or 3 * self.lease + 10)
        return None

    def wait_ended(self, candidate: Candidate, deadline: float | None = None) -> None:
        """Let a candidate that has lost end by itself, if its tool does that."""
        patience = END_PATIENCE if self.tool.ends_clean else END_PATIENCE_WITH_PEERS
        with suppress(AssertionError):
            wait_until(lambda: candidate.has_ended, deadline=patience if deadline is None else deadline)
        self._note_ended()

    # The end. --------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """End every candidate in order, standbys first, and look for what they leave behind."""
        self.note(STOPPING, "all are ended in order")
        running = [candidate for candidate in self.candidates if not candidate.has_ended]
        for candidate in sorted(running, key=lambda candidate: candidate.is_acting):
            candidate.program.signal(SIGTERM)
            candidate.program.signal(SIGCONT)
            self.wait_ended(candidate)
            if not candidate.has_ended:
                if self.tool.ends_clean:
                    self.left.append(f"{candidate} does not end when it is told to")
                candidate.program.die_as_host()
        if self.tool.ends_clean:
            self._look_for_leavings()

    def _look_for_leavings(self) -> None:
        patience = self.lease + 2  # of a session that nobody closed any more

        def look(what: str, remains: object) -> None:
            try:
                wait_until(lambda: not remains(), deadline=patience)  # type: ignore[operator]
            except AssertionError as error:
                self.left.append(f"{what}: {error}")

        for candidate in self.candidates:
            look(f"processes of {candidate} are left", candidate.program.processes)
            look(f"control groups of {candidate} are left", candidate.program.control_groups)
            look(f"files of {candidate} are left", lambda candidate=candidate: list(candidate.directory.iterdir()))
        look("candidates are left", self.queue)
