"""A clean hand-over costs the next in line one read and one write: it claims without listing the queue again.

That this is safe is held by the other tests of this directory: the judge looks at the queue as it is when a claim is
applied, and a claimant's own candidate is part of what it writes, as the version of the record is that it has read.
And it is fair: what was listed earlier can show candidates ahead that are gone since, but lack none, for sequence
numbers only rise.  Here it is held that nothing more is asked, whatever the clocks and however late things arrive.
"""

from collections.abc import Callable

import model_tree
import pytest
from faults import ELECTION, Kind, Target
from hypothesis import given, settings
from model_client import Client
from planted import assert_found
from scenarios import EXAMPLES, LONG, PROFILE, fault, scenarios
from simulation import Scenario, Simulation
from virtual_time import Violation

from zkleader.core import actions, campaign, claim, queue
from zkleader.core.candidacy_state import Purpose
from zkleader.core.events import Answer
from zkleader.core.records import LeaseRecord
from zkleader.core.turn import Turn

pytestmark = pytest.mark.timeout(60 + EXAMPLES)

_RECORD = f"{ELECTION}/{queue.RECORD_PREFIX}0"

_AT_REST = scenarios(
    # The leader's command ends, or it is asked to leave; nobody has joined or left for a while.
    fault(Kind.COMMAND_ENDS, Kind.LEAVE, targets=(Target.LEADER,), lasting=(0.05,), gaps=(1.1, 1.25, 1.5)),
    timings=(LONG,),
    sessions=(1.0,),
    starts=(1.0,),
    most=4,
    overlapping=False,
)


class Watched(Simulation):
    """A simulation that looks at what is asked between a release and the claim that follows it."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._asked: dict[int, list[actions.Request]] | None = None
        """By each host since the record was released; None while somebody holds it."""
        self.ensemble.observers.append(self._committed)

    def asked(self, host: int, request: actions.Request) -> None:
        """Take note of a request when it is sent."""
        if self._asked is not None:
            self._asked.setdefault(host, []).append(request)

    def _committed(
        self, session: int, request: actions.Request, _answer: Answer, before: model_tree.Tree, after: model_tree.Tree
    ) -> None:
        if self.mood.is_calm:
            return  # at the end all leave at once
        was_held, is_held = self.judge.holders(before), self.judge.holders(after)
        if was_held and not is_held:
            self._asked = {}
        elif is_held and not was_held and self._asked is not None:
            host = next(one.client.host for one in self.ensemble.sessions if one.number == session)
            asked, self._asked = self._asked[host], None
            # A read that was under way already may have shown the release.
            if asked not in ([request], [actions.Get(path=_RECORD), request]):
                raise Violation(f"between release and claim it asked {asked}")


def _run(scenario: Scenario) -> None:
    simulation = Watched(scenario)
    send = Client.send

    def send_and_tell(self: Client, number: int, request: actions.Request) -> None:
        simulation.asked(self.host, request)
        send(self, number, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "send", send_and_tell)
        with simulation.timeline.told_if_broken():
            simulation.run()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 2))
@given(_AT_REST)
def test_the_next_in_line_reads_once_and_claims(scenario: Scenario) -> None:
    """Every request more is a round trip in which nobody works."""
    _run(scenario)


def _lists_when_its_predecessor_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def list_again(turn: Turn, *, is_deleted: bool) -> None:  # noqa: ARG001 # as it is called
        turn.state.watched = None
        turn.want(Purpose.LIST)

    monkeypatch.setattr(campaign, "on_predecessor_touched", list_again)


def _looks_at_its_candidate_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drop_holder = claim._drop_holder

    def drop_holder_and_look(turn: Turn, record: LeaseRecord) -> None:
        drop_holder(turn, record)
        if turn.state.names is not None and record.released:
            turn.want(Purpose.OWN)

    monkeypatch.setattr(claim, "_drop_holder", drop_holder_and_look)


@pytest.mark.parametrize("plant", [_lists_when_its_predecessor_goes, _looks_at_its_candidate_again])
def test_a_request_more_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """One listing, or one look at one's own candidate, that is not needed."""
    plant(monkeypatch)
    assert_found(_AT_REST, _run, "between release and claim it asked")
