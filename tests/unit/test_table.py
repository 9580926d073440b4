"""What people are shown: nothing that others wrote steers a terminal, columns line up, and the words fit the case."""

import pytest

from zkleader.core.view import Candidate, Kind, LastRun, Look, Person, Previous, Slot, Standing, State, View
from zkleader.status import table, text

NOW = 1_795_646_592_345  # 2026-11-25T22:43:12.345Z
WHO = Person(id="a", host="host-a", pid=30820, command="mailer")
LEADER = Slot(
    number=0,
    standing=Standing.LEADS,
    who=WHO,
    token=7,
    lease=20.0,
    elected=NOW - 185_000,
    renewed=NOW - 1_500,
    unrenewed=1.5,
    candidate="x-n_0000000001",
    session=0x1000ABC,
)
FIRST = Candidate(
    name="x-n_0000000001",
    kind=Kind.OURS,
    who=WHO,
    version="0.1.0",
    lease=20.0,
    since=NOW - 186_000,
    session=1,
    slot=0,
)
SECOND = FIRST.but(who=WHO.but(id="b-2", host="h", pid=7), slot=None, since=NOW - 3 * 86_400_000)


def one(*slots: Slot, candidates: tuple[Candidate, ...] = (), others: tuple[str, ...] = ()) -> list[str]:
    election = View(path="/zkleader/mailer", state=State.LED, slots=slots, candidates=candidates, others=others)
    return [line.text for line in table.of_one(Look(server="zk1:2181", elections=(election,), time=NOW))]


def test_the_table_of_an_election() -> None:
    """The whole of it, as an operator sees it; it is 80 columns wide with names of usual length."""
    previous = Previous(id="b", token=3, ended=NOW - 190_000, reason="asked", status=143)
    further = tuple(SECOND.but(name=f"x-n_{number}", kind=Kind.NOT_READ) for number in range(3))
    foreign = Candidate(name="_c_-latch-0000000002", kind=Kind.FOREIGN, since=NOW)
    lines = one(LEADER.but(previous=previous), candidates=(FIRST, foreign, SECOND, *further), others=("b", "c"))
    assert lines == [
        "  election: /zkleader/mailer",
        "    server: zk1:2181",
        "    leader: a",
        "      host: host-a, pid 30820, command mailer",
        "     token: 7",
        "   session: 0x1000abc",
        "     since: 2026-11-25T22:40:07Z (3m5s ago)",
        "   renewed: 2026-11-25T22:43:10Z (1s ago or more), lease 20s",
        "  previous: b, token 3: asked, status 143; ended 2026-11-25T22:40:02Z (3m10s ago)",
        "    others: b, c",
        "",
        "#  ID   HOST      PID  VERSION  LEASE  SINCE",
        "0  a    host-a  30820  0.1.0      20s  2026-11-25T22:40:06Z (3m6s ago)  leads",
        "1  -    -           -  -            -  2026-11-25T22:43:12Z (0s ago)    foreign: _c_-latch-0000000002",
        "2  b-2  h           7  0.1.0      20s  2026-11-22T22:43:12Z (3d ago)",
        "and 3 more",
    ]


def test_the_table_of_all_elections() -> None:
    """One line for each leader, and for each election that has none with the reason."""
    elections = (
        View(path="/zkleader/dc/a", state=State.NOT_PERMITTED),
        View(path="/zkleader/mailer", state=State.LED, slots=(LEADER,), candidates=(FIRST, SECOND)),
        View(path="/zkleader/night", state=State.NOBODY, slots=(Slot(number=0, standing=Standing.RELEASED),)),
        View(path="/zkleader/old", state=State.NOBODY, candidates=(SECOND,)),
    )
    look = Look(server="zk1:2181", elections=elections, left_out=12, time=NOW)
    assert [line.text for line in table.of_all(look, "/zkleader")] == [
        "ELECTION  SLOT  LEADER                    HOST      PID  TOKEN  QUEUE  SINCE",
        "dc/a         -  unknown (not permitted)   -           -      -      -  -",
        "mailer       0  a                         host-a  30820      7      2  2026-11-25T22:40:07Z (3m5s ago)",
        "night        0  nobody (released)         -           -      -      0  -",
        "old          -  nobody (no lease record)  -           -      -      1  -",
        "12 more were not looked at",
    ]


@pytest.mark.parametrize("standing", Standing)
def test_each_standing_has_its_words(standing: Standing) -> None:
    """Only who leads is shown without further words; all others say that nobody does, or that it is not known."""
    slot = LEADER.but(standing=standing, problem="not JSON")
    leader = next(line for line in one(slot) if line.startswith("    leader: "))
    if standing is Standing.LEADS:
        assert leader == "    leader: a"
    else:
        assert leader.removeprefix("    leader: ").startswith(("nobody", "unknown: "))


def test_two_leaders_are_told_by_their_slots() -> None:
    """A semaphore has as many leaders as slots."""
    lines = one(LEADER, LEADER.but(number=1, who=WHO.but(id="b")))
    assert [line.strip() for line in lines if line.strip().startswith("leader")] == ["leader 0: a", "leader 1: b"]


def test_slots_in_which_nobody_has_led_are_one_line() -> None:
    """A hundred may be had where three hosts run; a page of lines that say nothing hides the one that does."""
    free = [Slot(number=number, standing=Standing.UNUSED) for number in range(100)]
    slots = (LEADER, *free[1:3], LEADER.but(number=3, standing=Standing.RELEASED), free[4], *free[6:])
    lines = one(*slots)
    assert [line.strip() for line in lines if line.strip().startswith(("leader", "slots"))] == [
        "leader 0: a",
        "leader 3: nobody: released",
        "slots 1-2, 4, 6-99: unused",
    ]
    assert "    slot 1: unused" in one(LEADER, free[1])
    assert one(free[0])[2] == "    leader: nobody has led yet"
    election = View(path="/zkleader/x", state=State.LED, slots=slots)
    rows = [line.text.split() for line in table.of_all(Look(server="s", elections=(election,), time=NOW), "/zkleader")]
    assert [row[:4] for row in rows[1:]] == [
        ["x", "0", "a", "host-a"],
        ["x", "3", "nobody", "(released)"],
        ["x", "1-2,4,6-99", "nobody", "(unused)"],
    ]


def test_the_run_of_a_period_is_told() -> None:
    """Whether last night's job was done, and how it ended, is what its operator asks for."""
    done = LastRun(id="a", token=7, start=NOW - 7200_000, end=NOW - 3600_000, status=0)
    slot = LEADER.but(standing=Standing.RELEASED, last_run=done)
    assert one(slot)[3] == (
        "  last run: a: status 0; ended 2026-11-25T21:43:12Z (1h ago); period began 2026-11-25T20:43:12Z (2h ago)"
    )
    running = done.but(end=None, status=None)
    assert one(slot.but(last_run=running))[3].startswith("  last run: a: has not ended; period began")


def test_without_a_leader_nothing_tells_what_time_it_is() -> None:
    """The last write may be of last night; that it was "0s ago" would be a lie, and "1h ago" no better."""
    previous = Previous(id="b", token=3, ended=NOW, reason="ended", status=0)
    slot = LEADER.but(standing=Standing.RELEASED, previous=previous)
    election = View(path="/zkleader/job", state=State.NOBODY, slots=(slot,))
    look = Look(server="zk1:2181", elections=(election,), time=NOW)
    assert table.of_one(look)[3].text == "  previous: b, token 3: ended, status 0; ended 2026-11-25T22:43:12Z"
    later = look.but(time=NOW + 3600_000)
    assert table.of_one(later)[3].text.endswith("ended 2026-11-25T22:43:12Z (1h ago or more)")


def test_what_others_wrote_cannot_steer_a_terminal() -> None:
    """Anybody who may join an election writes here."""
    evil = Person(id="\x1b]0;t\x07\x9b2J", host="a\nb\u202e\u2028", command="\udcff\x00")
    lines = one(LEADER.but(who=evil), candidates=(FIRST.but(who=evil),), others=("\u200b\r",))
    assert all(line.isprintable() for line in lines)
    assert "\\x1b]0;t\\x07\\x9b2J" in lines[2]


def test_a_long_name_pushes_nobody_off_the_screen() -> None:
    """A kilobyte may be written; so much is shown that one can tell who it is."""
    assert text.width(text.printable("x" * 1000)) == 64
    assert text.width(text.printable("日" * 1000)) <= 64


def test_wide_and_combining_characters_line_up() -> None:
    """A terminal gives two columns to some, and none to others."""
    rows = text.aligned([("日本", "x"), ("e\u0301", "x"), ("abcd", "x")])
    assert [text.width(row) for row in rows] == [7, 7, 7]


@pytest.mark.parametrize(
    ("columns", "shown"), [(9, "abcdefghi"), (8, "abcde..."), (4, "a..."), (3, "..."), (2, ".."), (0, "")]
)
def test_what_does_not_fit_is_cut(columns: int, shown: str) -> None:
    """However narrow a terminal is, a line of it stays one."""
    assert text.clipped("abcdefghi", columns) == shown


def test_a_wide_character_is_not_cut_in_two() -> None:
    """Half of one would break the line."""
    assert text.clipped("日本語日本語", 8) == "日本..."


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (185, "3m5s"),
        (3600, "1h"),
        (3660, "1h1m"),
        (3605, "1h"),
        (180_000, "2d2h"),
    ],
)
def test_durations_are_shown_in_two_units(seconds: float, shown: str) -> None:
    """The way options take them, so that one can be copied."""
    assert text.duration(seconds) == shown


def test_instants_are_shown_without_rounding_up() -> None:
    """A float would lose the last millisecond of some."""
    assert text.stamp(1_795_646_592_999) == "2026-11-25T22:43:12Z"
    assert text.stamp(1_795_646_592_999, has_ms=True) == "2026-11-25T22:43:12.999Z"
