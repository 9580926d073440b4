"""What is said of an election, as scripts of what was read -> what is said: nobody is called a leader who is none."""

import json
from typing import Any

import pytest

from zkleader.core import records
from zkleader.core.events import Answer, Content, Refusal, Refused
from zkleader.core.judgement import view_of
from zkleader.core.reading import Reading, children_of, holders, worth_reading
from zkleader.core.records import Identity, LeaseRecord, Stat
from zkleader.core.sights import NOTHING_SEEN
from zkleader.core.view import (
    Candidate,
    Kind,
    Person,
    Previous,
    Slot,
    Standing,
    State,
    View,
)

GUIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(8)]
A, B = (f"{guid}-n_{number:010d}" for number, guid in enumerate(GUIDS[:2]))
IDENTITY = Identity(id="a", host="host-a", pid=11, command="mailer", version="0.1.0")
RECORD = Stat(czxid=5, mzxid=70, version=3, mtime=20_000, ctime=1_000)
CLAIM = Stat(czxid=5, mzxid=60, version=2, mtime=18_000, ctime=1_000)


def candidate(number: int = 0, *, owner: int = 0x1000ABC, **fields: object) -> Content:
    content = json.loads(records.candidate_data(IDENTITY.but(id="ab"[number]), 20.0)) | fields
    stat = Stat(czxid=30 + number, mzxid=40 + number, version=1, mtime=17_000, ctime=16_000, owner=owner + number)
    return Content(data=json.dumps(content).encode(), stat=stat)


def claim(**fields: object) -> LeaseRecord:
    first = records.parse_lease_record(records.new_record(released=True), CLAIM)
    assert isinstance(first, LeaseRecord)
    made = records.claimed(first, CLAIM, guid=GUIDS[0], beat=1, lease=20.0, identity=IDENTITY)
    return LeaseRecord(content=made.content | fields)


def renewal(**fields: object) -> LeaseRecord:
    return LeaseRecord(content=records.renewed(claim(), beat=2, token=60, elected_at=18_000).content | fields)


def content(record: LeaseRecord | bytes, stat: Stat = RECORD) -> Content:
    return Content(data=record if isinstance(record, bytes) else records.encode(record), stat=stat)


def seen(answers: dict[str, Answer], *, names: tuple[str, ...] = (), waited: float = 0.0) -> View:
    """Return what is said of an election that was first looked at ``waited`` seconds before."""
    reading = Reading(path="/e", children=children_of((*answers, *names)), answers=answers)
    sights = NOTHING_SEEN.after(reading.stats, 100.0).after(reading.stats, 100.0 + waited)
    return view_of(reading, sights, 100.0 + waited)


def slot(answer: Answer, *others: str, waited: float = 0.0) -> Slot:
    [only] = seen({"lease-0": answer}, names=others, waited=waited).slots
    return only


# ---- who leads


def test_who_has_renewed_and_is_in_the_queue_leads() -> None:
    """All that an operator asks for, from three znodes."""
    election = seen({"lease-0": content(renewal()), A: candidate(0), B: candidate(1)})
    assert election.state is State.LED
    assert election.slots == (
        Slot(
            number=0,
            standing=Standing.LEADS,
            who=Person(id="a", host="host-a", pid=11, command="mailer"),
            token=60,
            lease=20.0,
            elected=18_000,
            renewed=20_000,
            candidate=A,
            session=0x1000ABC,
            leaders=1,
        ),
    )
    who = Person(id="b", host="host-a", pid=11, command="mailer")
    first, second = election.candidates
    assert (first.name, first.kind, first.slot) == (A, Kind.OURS, 0)
    assert second == Candidate(
        name=B, kind=Kind.OURS, who=who, version="0.1.0", lease=20.0, since=16_000, session=0x1000ABD
    )


def test_slots_that_are_free_and_no_longer_there_are_not_shown() -> None:
    """There were more leaders once; what is not free above the number is shown all the same."""
    stating = {"format": 2, "leaders": 2}
    free, held = renewal(**stating, released=True), renewal(**stating)
    election = seen({"lease-0": content(held), "lease-1": content(free), "lease-2": content(free), A: candidate(0)})
    assert election.stated == 2
    assert [slot.number for slot in election.slots] == [0, 1]
    more = seen({"lease-0": content(free), "lease-2": content(held), A: candidate(0)})
    assert [slot.number for slot in more.slots] == [0, 2]


def test_a_claim_that_was_not_renewed_yet_is_its_own_token() -> None:
    """It cannot stand in what it writes, and must not be missing for the first two seconds of a tenure."""
    found = slot(content(claim(), CLAIM), A)
    assert (found.standing, found.token, found.elected) == (Standing.LEADS, 60, 18_000)


def test_a_holder_that_has_left_the_queue_does_not_lead() -> None:
    """Its renewals are refused from now on, though its command may act until it is told."""
    election = seen({"lease-0": content(renewal()), B: candidate(1)})
    assert election.slots[0].standing is Standing.LOST
    assert election.state is State.NOBODY
    assert election.leaders == ()


@pytest.mark.parametrize(("waited", "standing"), [(20.4, Standing.LEADS), (20.5, Standing.LAPSED)])
def test_a_lease_that_was_not_renewed_in_time_has_lapsed(waited: float, standing: Standing) -> None:
    """A lease and the margin, as for a claimant; one look at it can never tell."""
    assert slot(content(renewal()), A, waited=waited).standing is standing


def test_a_record_that_lapsed_is_told_so_though_its_holder_has_left() -> None:
    """Then its command is gone for certain, which says more."""
    assert slot(content(renewal()), waited=21.0).standing is Standing.LAPSED


def test_who_has_released_does_not_lead_however_long_ago() -> None:
    """The tenure that ended is told as the previous one, with the time that only the stat knows."""
    released = records.released(renewal(), CLAIM, beat=3, reason="asked", status=143)
    found = slot(content(released), A, waited=99.0)
    assert found.standing is Standing.RELEASED
    assert found.previous == Previous(id="a", token=60, ended=20_000, reason="asked", status=143)
    assert found.candidate is None


@pytest.mark.parametrize(("released", "standing"), [(True, Standing.UNUSED), (False, Standing.REMADE)])
def test_a_record_that_nobody_has_claimed_says_why(released: bool, standing: Standing) -> None:  # noqa: FBT001
    """A new election waits for its first leader, one that has lost its record for the longest lease."""
    found = slot(content(records.new_record(released=released)))
    assert (found.standing, found.token, found.who) == (standing, None, Person())


def test_a_claim_that_hit_a_record_made_anew_leads_nobody() -> None:
    """Its writer meant another record; who led under that one is not known."""
    found = slot(content(claim(), RECORD._replace(czxid=CLAIM.czxid + 1)), A)
    assert (found.standing, found.token, found.who) == (Standing.REMADE, None, Person())


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"format": 1}', b"x" * 1_000_000])
def test_a_record_that_cannot_be_read_is_said_to_be_so(data: bytes) -> None:
    """It is waited out, so nobody leads; a traceback would hide everything else."""
    election = seen({"lease-0": content(data), A: candidate()})
    assert election.slots[0].standing is Standing.UNREADABLE
    assert election.slots[0].problem
    assert election.state is State.NOBODY


def test_a_newer_format_may_mean_that_somebody_leads() -> None:
    """To say that nobody does would be wrong, and somebody would act upon it."""
    election = seen({"lease-0": content(b'{"format": 3}'), A: candidate()})
    assert election.state is State.NEWER_FORMAT
    assert election.slots[0].problem == "format 3, and this version knows formats 1 and 2"


def test_a_record_that_may_not_be_read_may_mean_so_too() -> None:
    """The same; which znode it was is told."""
    election = seen({"lease-0": Refused(refusal=Refusal.NO_AUTH), A: candidate()})
    assert (election.state, election.slots[0].problem) == (State.NOT_PERMITTED, "not permitted")


def test_one_of_several_leads() -> None:
    """An election of several leaders is led if one of its slots is; what may not be read may be somebody's too."""
    answers: dict[str, Answer] = {
        "lease-10": Refused(refusal=Refusal.NO_AUTH),
        "lease-2": content(renewal()),
        "lease-0": content(records.released(renewal(), CLAIM, beat=3, reason="ended", status=0)),
        A: candidate(),
    }
    election = seen(answers)
    assert [(found.number, found.standing) for found in election.slots] == [
        (0, Standing.RELEASED),
        (2, Standing.LEADS),
        (10, Standing.NOT_PERMITTED),
    ]
    assert election.state is State.LED
    assert election.doubt is State.NOT_PERMITTED
    assert election.candidates[0].slot == 2


def test_a_record_that_was_deleted_meanwhile_is_not_there() -> None:
    """It was listed, and gone when it was read."""
    election = seen({"lease-0": Refused(refusal=Refusal.NO_NODE), A: Refused(refusal=Refusal.NO_NODE)})
    assert (election.slots, election.candidates, election.state) == ((), (), State.NOBODY)


# ---- what is no election


@pytest.mark.parametrize("names", [(), ("config",), ("lease-x", "lease-007")])
def test_without_a_record_and_candidates_there_is_no_election(names: tuple[str, ...]) -> None:
    """A misspelt name must not look like an election that nobody leads."""
    election = view_of(Reading(path="/e", children=children_of(names)), NOTHING_SEEN, 0.0)
    assert election.state is State.ABSENT


def test_an_election_that_may_not_be_listed_is_hidden() -> None:
    """That is not "no such election"."""
    reading = Reading(path="/e", is_hidden=True)
    assert view_of(reading, NOTHING_SEEN, 0.0).state is State.NOT_PERMITTED


# ---- candidates


def test_candidates_stand_in_the_order_of_the_queue_whoever_made_them() -> None:
    """Those of other recipes keep their place; none of them is taken for one of ours."""
    answers: dict[str, Answer] = {
        "_c_4a0c-latch-0000000002": content(b"host-c"),
        B: candidate(1),
        f"{GUIDS[3]}-n_0000000003": content(b"no JSON"),
        f"{GUIDS[4]}-n_0000000004": content(b'{"format": 7}'),
        f"{GUIDS[5]}-n_0000000005": Refused(refusal=Refusal.NO_AUTH),
        "other__lock__0000000006": Refused(refusal=Refusal.NO_AUTH),
        "config": content(b""),
    }
    election = seen(answers, names=(f"{GUIDS[7]}-n_0000000007", "late-0000000008", "lease-"))
    kinds = [(found.kind.value, found.problem) for found in election.candidates]
    assert kinds == [
        ("candidate", None),
        ("foreign", None),
        ("unreadable", "not JSON"),
        ("newer_format", "format 7, and this version knows formats 1 and 2"),
        ("not_permitted", "not permitted"),
        ("foreign", "not permitted"),
        ("not_read", None),
        ("not_read", None),
    ]
    assert election.others == ("config", "lease-")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": 5, "host": None, "pid": "11", "command": ["x"]}, Person()),
        ({"id": "", "host": "x" * 1025, "pid": True, "command": {}}, Person()),
        ({"id": "\x1b[2J", "pid": 1 << 70}, Person(id="\x1b[2J", host="host-a", command="mailer")),
    ],
)
def test_fields_of_a_wrong_type_are_as_if_they_were_not_there(fields: dict[str, Any], expected: Person) -> None:
    """Others may write what they like; what it holds for a terminal is the business of whoever shows it."""
    [found] = seen({A: candidate(0, **fields)}).candidates
    assert found.who == expected


@pytest.mark.parametrize("fields", [{"previous": 5, "last_run": "x"}, {"token": 1.5, "elected_at": -1, "lease_ms": 1}])
def test_so_are_those_of_a_record(fields: dict[str, Any]) -> None:
    """As long as the election can work with it, it says who leads."""
    found = slot(content(renewal(**fields)), A)
    assert found.standing is Standing.LEADS
    assert (found.previous, found.last_run) == (None, None)


def test_times_beyond_the_calendar_are_not_told() -> None:
    """No format of times could hold them."""
    told = {"id": "b", "token": 1, "ended": 10**15, "reason": "asked", "status": 0}
    previous = slot(content(renewal(previous=told)), A).previous
    assert previous is not None
    assert previous.ended is None


def test_a_candidate_that_is_not_ephemeral_has_no_session() -> None:
    """Somebody has made it by hand: it stands in the queue until somebody takes it away."""
    [found] = seen({A: candidate(0, owner=0)}).candidates
    assert found.session is None


# ---- what is worth reading


def test_of_a_thousand_candidates_the_first_are_read_and_all_records() -> None:
    """However long a queue is, a look at it costs the same."""
    names = tuple(f"{GUIDS[0]}-n_{number:010d}" for number in range(1000, 0, -1))
    reading = Reading(path="/e", children=children_of((*names, "lease-1", "lease-0", "config")))
    assert worth_reading(reading, 3) == ("lease-0", "lease-1", names[-1], names[-2], names[-3])


def test_the_leaders_candidate_is_found_wherever_it_stands() -> None:
    """Its session is told of, and that it is there; of several that bear its guid the first in line counts."""
    late = f"{GUIDS[0]}-n_0000000900"
    released = records.released(renewal(), CLAIM, beat=3, reason="ended", status=0)
    for names, record, found in (
        ((late, B), renewal(), {"lease-0": late}),
        ((late, A), renewal(), {"lease-0": A}),
        ((B,), renewal(), {"lease-0": None}),
        ((A,), released, {}),
    ):
        children = children_of((*names, "lease-0"))
        reading = Reading(path="/e", children=children, answers={"lease-0": content(record)})
        assert holders(reading) == found
