"""The pages say what the program does: README and the manual pages against the parser, the tables and the source.

What users, units and scripts may rely on is written in three places at least. People change one of them and forget the
others; here that is a failed test. The pages are read by small parsers that know just the forms that the pages use, so
a page that is written in another form fails as well, instead of being skipped.
"""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard, get_args

import click
import pytest
from command_line import context_of, parse
from readme import README, quoted, readme_table

import zkleader
from zkleader import Candidate, State, config
from zkleader.cli.check import check
from zkleader.cli.demo import demo
from zkleader.cli.is_leader import is_leader
from zkleader.cli.main import program
from zkleader.cli.resign import resign
from zkleader.cli.run import run
from zkleader.cli.settings import Setting, settings_of
from zkleader.cli.status import status
from zkleader.cli.values import Signal
from zkleader.core import disconnect, period, records, view
from zkleader.core.lease import Timing
from zkleader.core.wait_status import SIGNAL_BASE
from zkleader.core.wire import Cause
from zkleader.exit_status import CHECK_MEANINGS, IS_LEADER_MEANINGS, RESIGN_MEANINGS, STATUS_MEANINGS, ExitStatus
from zkleader.metrics import METRICS
from zkleader.result import OUTCOMES, Result, render
from zkleader.status.document import document

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "zkleader"
PAGES = {
    "zkleader.1": program,
    "zkleader-check.1": check,
    "zkleader-demo.1": demo,
    "zkleader-is-leader.1": is_leader,
    "zkleader-resign.1": resign,
    "zkleader-run.1": run,
    "zkleader-status.1": status,
}
MAIN_PAGE = "zkleader.1"
"""Has the options that all subcommands share, once for all of them."""
RUN_PAGE = "zkleader-run.1"
FILE_PAGE = "zkleader.toml.5"

TICK = 2.0  # seconds; ZooKeeper's, unless configured
EVENT_FORWARDERS = {
    "tell_place",
    "_perform",
    "_guard_failed",
    "_on_message",
    "_note",
}  # pass on a name given elsewhere


# ---- the forms of the pages


def plain(text: str) -> str:
    """Return roff text without the escapes that the pages use."""
    return text.replace("\\-", "-").replace("\\&", "")


def words_of(macro: str) -> list[str]:
    """Return the arguments of a macro line: blanks part them, quotes hold them together."""
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', plain(macro))]


@cache
def page_section(page: str, title: str) -> str:
    """Return the source of a section of a manual page."""
    parts = re.split(r"^\.Sh (.*)\n", (ROOT / "man" / page).read_text(), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return sections[title]


def page_items(source: str) -> list[tuple[str, str]]:
    """Return each list item of a section: the rest of its .It line, and what follows up to the next one."""
    parts = re.split(r"^\.It (.*)\n", source, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def page_option(item: str) -> tuple[frozenset[str], str]:
    """Return the names and the metavar of an item such as ``Fl w , Fl Fl wait Ar DURATION``."""
    names: set[str] = set()
    metavar: list[str] = []
    words = words_of(item)
    while words:
        word = words.pop(0)
        if word == "Fl":
            is_long = words[0] == "Fl"
            names.add(("--" if is_long else "-") + words.pop(1 if is_long else 0))
            if is_long:
                words.pop(0)
        elif word in ("Ar", "Cm"):
            metavar, words = words, []
        else:
            assert word == ",", f"what is {word!r} in {item!r}?"
    return frozenset(names), "".join(metavar)


# ---- what the parser says


def parser_options(command: click.Command) -> dict[frozenset[str], click.Option]:
    parameters = command.get_params(context_of(command))
    options = [option for option in parameters if isinstance(option, click.Option)]
    return {frozenset(option.opts): option for option in options}


def parser_metavar(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices)
    return option.metavar or option.type.get_metavar(option)  # type: ignore[call-arg,return-value]


def help_default(option: click.Option) -> str | None:
    found = re.search(r"\[default: (.*)\]$", option.help or "")
    return found[1] if found else None


def option_items(page: str) -> list[tuple[str, str]]:
    """Return the items of the options that a page tells of, the shared ones among them where the command has them."""
    own = page_items(page_section(page, "OPTIONS"))
    names = frozenset().union(*parser_options(PAGES[page]))
    return own + page_items(page_section(MAIN_PAGE, "CONNECTION OPTIONS")) if "--hosts" in names else own


@pytest.mark.parametrize("page", PAGES)
def test_page_and_parser_have_the_same_options(page: str) -> None:
    """A page that lacks an option hides it; one that has another promises what is refused."""
    told = dict(page_option(item) for item, _ in option_items(page))
    known = {names: parser_metavar(option) for names, option in parser_options(PAGES[page]).items()}
    assert told == known


def test_the_page_tells_the_defaults_that_help_tells() -> None:
    """The default is what most users run with; it stands in two texts."""
    options = parser_options(run)
    for item, text in option_items(RUN_PAGE):
        names, _ = page_option(item)
        found = re.search(r"^Default: (.*)\.$", plain(text), flags=re.MULTILINE)
        assert (found[1] if found else None) == help_default(options[names]), names


def test_help_tells_the_defaults_that_hold() -> None:
    """The texts could agree with each other and be wrong."""
    held = 0
    for names, option in parser_options(run).items():
        value, told = option.default, help_default(option)
        if option.is_flag or told is None or not isinstance(value, str | int | float):
            continue  # where nothing is set, the default is described in words
        held += 1
        shown = config.show(value) if isinstance(value, float) else str(value)
        assert shown == told, names
    assert held == 14, "as many defaults are values; another number means that this test no longer sees them"


def test_every_option_is_in_the_synopsis_of_its_page() -> None:
    """The synopsis is what people copy from; what all subcommands share is one word in it."""
    shared = {page_option(item)[0] for item, _ in page_items(page_section(MAIN_PAGE, "CONNECTION OPTIONS"))}
    synopsis = page_section(RUN_PAGE, "SYNOPSIS")
    shown = set()
    for line in synopsis.splitlines():
        if line.startswith(".Op Fl "):
            words = words_of(line.removeprefix(".Op Fl "))
            if words[0] == "Fl":
                shown.add("--" + words[1] if len(words) > 1 else "--")
            else:
                shown |= {f"-{letter}" for letter in words[0]}
    assert ".Op Ar CONNECTION OPTIONS" in synopsis
    for names in parser_options(run):
        assert names & shown or "--help" in names or names in shared, names
    assert shown - {"--"} <= frozenset().union(*parser_options(run))


def test_the_page_names_every_variable_that_is_read_for_an_option() -> None:
    """Units configure by environment; an unknown variable is only warned of, so a wrong name costs dearly."""
    part = re.split(r"^\.Ss (.*)\n", page_section(RUN_PAGE, "ENVIRONMENT"), flags=re.MULTILINE)
    parts = dict(zip(part[1::2], part[2::2], strict=True))
    told = {}
    for item, text in page_items(parts["Options"]) + page_items(page_section(MAIN_PAGE, "ENVIRONMENT")):
        [name] = words_of(item)[1:]
        told[name] = page_option(text.splitlines()[0].removeprefix("."))[0]
    known = {str(option.envvar): names for names, option in parser_options(run).items() if option.envvar}
    assert told.keys() == known.keys()
    for name, names in told.items():
        assert names <= known[name], name
    outputs = {words_of(item)[1] for item, _ in page_items(parts["Set for COMMAND"])}
    assert outputs == command_variables() | {"ZKLEADER_REASON"}  # which the guard adds, to that of hooks


def command_variables() -> set[str]:
    """Return the names that are added to COMMAND's environment."""
    tree = ast.parse((PACKAGE / "guard_words.py").read_text())
    keys = {key.value for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys if is_text(key)}
    return {name for name in keys if name.startswith("ZKLEADER_")}


def is_text(node: ast.expr | None) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_variables_are_called_after_their_options() -> None:
    """Who knows the option can write the variable without looking it up."""
    for names, option in parser_options(run).items():
        if option.envvar is None:
            continue
        long = max(names, key=len).removeprefix("--").replace("-", "_").upper()
        assert option.envvar in (f"ZKLEADER_{long}", f"ZKLEADER_RUN_{long}"), names


def test_examples_of_durations_and_signals_are_accepted() -> None:
    """The page shows by example what is a duration and a signal; an example that is refused is a bug report."""
    options = page_section(RUN_PAGE, "OPTIONS")
    examples = next(line for line in options.splitlines() if line.startswith(".Cm 500ms"))
    for example in words_of(examples)[1::2]:
        command, *_ = parse(run, "--wait", example, "-e", "x", "true").params["command"]
        assert command == "true", example
    signals = next(line for line in options.splitlines() if line.startswith(".Cm TERM"))
    for example in words_of(signals)[1::2]:
        assert Signal().convert(example, None, None), example


# ---- exit statuses


STATUSES = {str(status.value): status.meaning for status in ExitStatus}


def test_readme_has_the_table_of_exit_statuses() -> None:
    """Scripts are written from README."""
    rows = readme_table("status", "meaning", "did COMMAND run?")
    last = rows.pop()
    assert {number: (meaning, ran) for number, meaning, ran in rows} == {
        str(status.value): (status.meaning, status.command_ran) for status in ExitStatus
    }
    assert last[0] == f"{SIGNAL_BASE}+n"


def test_the_page_has_the_table_of_exit_statuses() -> None:
    """Scripts are debugged from the manual page."""
    section = page_section(RUN_PAGE, "EXIT STATUS")
    items = {item: " ".join(plain(text).split(".El")[0].split()) for item, text in page_items(section)}
    last = items.popitem()
    assert items == STATUSES
    assert last[0] == f"{SIGNAL_BASE}+n"
    ran = [str(status.value) for status in ExitStatus if status.command_ran == "yes"]
    perhaps = [str(status.value) for status in ExitStatus if status.command_ran == "perhaps"]
    assert f"ran under {' and '.join(ran)}, perhaps under {' and '.join(perhaps)}, and did not" in section


def test_help_has_the_table_of_exit_statuses() -> None:
    """Whoever has neither page at hand has --help."""
    context = context_of(run)
    context.terminal_width = 200  # so that no sentence is broken
    text = run.get_help(context)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for number, meaning in STATUSES.items():
        assert f"{number} {meaning}" in lines
    assert any(line.startswith(f"{SIGNAL_BASE}+n ") for line in lines)


MEANINGS = {
    "zkleader-check.1": CHECK_MEANINGS,
    "zkleader-is-leader.1": IS_LEADER_MEANINGS,
    "zkleader-resign.1": RESIGN_MEANINGS,
    "zkleader-status.1": STATUS_MEANINGS,
}


@pytest.mark.parametrize("page", MEANINGS)
def test_pages_and_help_of_other_subcommands_have_their_exit_statuses(page: str) -> None:
    """Health checks are written from them."""
    wanted = {f"{number:d}": meaning for number, meaning in MEANINGS[page].items()}
    section = page_section(page, "EXIT STATUS")
    assert {item: " ".join(plain(text).split(".El")[0].split()) for item, text in page_items(section)} == wanted
    context = context_of(PAGES[page])
    context.terminal_width = 200
    lines = [" ".join(line.split()) for line in PAGES[page].get_help(context).splitlines()]
    assert all(f"{number} {meaning}" in lines for number, meaning in wanted.items())


def test_readme_has_the_exit_statuses_of_those_that_look() -> None:
    """In one table, because they are the same but for one."""
    rows = readme_table("status", "of `status`", "of `is-leader`")
    for column, meanings in enumerate((STATUS_MEANINGS, IS_LEADER_MEANINGS), start=1):
        assert {int(row[0]): row[column] for row in rows if row[column]} == meanings


# ---- log events


class Events(ast.NodeVisitor):
    """Collects the events that the source can log, with their levels and facts, wherever a name is written down."""

    def __init__(self) -> None:
        self.levels: dict[str, set[str]] = {}
        self.facts: dict[str, set[str]] = {}
        self.function = ""
        self.unseen: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before, self.function = self.function, node.name
        self.generic_visit(node)
        self.function = before

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        facts = {keyword.arg: keyword.value for keyword in node.keywords}
        if called == "tell" and owner in ("turn", "self"):
            level = facts.pop("level", node.args[1] if len(node.args) > 1 else ast.Constant("info"))
            self.take(node.args[0], level, facts)
        elif (called == "event" and owner.endswith("log")) or called in ("_note", "_line"):
            self.take(node.args[1], node.args[0], facts)
        elif called == "tell_place":
            self.take(node.args[0], ast.Constant("info"), facts)
        elif called == "_guard_failed":
            self.take(node.args[0], ast.Constant("error"), dict.fromkeys(("killed", "proven_gone", "took"), node))
        elif called == "Note":
            content = facts.get("facts")
            keys = content.keys if isinstance(content, ast.Dict) else []
            self.take(facts["event"], facts["level"], {key.value: key for key in keys if isinstance(key, ast.Constant)})

    def take(self, name: ast.expr, level: ast.expr, facts: dict[str | None, ast.expr]) -> None:
        """Take a call that logs an event."""
        names = results_of(name)
        if not all(isinstance(result, ast.Constant) for result in names):
            if self.function not in EVENT_FORWARDERS:
                self.unseen.append(f"{self.function}: {ast.unparse(name)}")
            return
        # A level may be chosen as well: every string that it may become is one of the event's.
        levels = {str(result.value) for result in results_of(level) if isinstance(result, ast.Constant)}
        for result in names:
            self.note(str(result.value), levels, facts)  # type: ignore[attr-defined]

    def note(self, event: str, levels: set[str], facts: dict[str | None, ast.expr]) -> None:
        self.levels.setdefault(event, set()).update(levels)
        found = self.facts.setdefault(event, set())
        # ``**_ended(...)`` is the one way to add facts whose names stand elsewhere.
        for fact, value in facts.items():
            if fact is None:
                assert ast.unparse(value).startswith("_ended("), f"{event}: which facts are {ast.unparse(value)}?"
                found |= {"status", "signal"}
            else:
                found.add(fact)


@cache
def source_events() -> Events:
    events = Events()
    for tree in trees():
        events.visit(tree)
    assert not events.unseen, f"events whose names this test cannot see: {events.unseen}"
    return events


def trees() -> Iterator[ast.Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ast.parse(path.read_text(), str(path))


def readme_events() -> list[list[str]]:
    return readme_table("event", "level", "meaning", "facts")


def test_readme_names_every_log_event() -> None:
    """Alerts are built on names: README promises them, so a new one is written down and an old one not renamed."""
    told = {name for row in readme_events() for name in quoted(row[0])}
    assert told == set(source_events().levels)


def test_readme_tells_the_level_and_the_facts_of_each_event() -> None:
    """A fact that is renamed breaks whoever reads it out of the logs."""
    events = source_events()
    for name, level, _, facts in readme_events():
        [event] = quoted(name)
        assert set(level.split(", ")) == events.levels[event], event
        assert set(quoted(facts)) == events.facts[event], event


def test_the_page_lists_the_log_events_by_level() -> None:
    """The manual page has the same names, where README is not at hand."""
    told: dict[str, set[str]] = {}
    for item, text in page_items(page_section(RUN_PAGE, "DIAGNOSTICS")):
        level = words_of(item)[-1]
        for name in re.findall(r"[a-z_]+", text.split(".El")[0]):
            told.setdefault(name, set()).add(level)
    assert told == source_events().levels


def reasons_of_loss() -> set[str]:
    """Return every reason that a candidacy may give for losing leadership, or a session for its end."""
    found = set()
    for tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = []
            if called == "lose":
                given = node.args[1:]
            elif called == "SessionLost":
                given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            for part in (part for value in given for part in results_of(value)):
                if isinstance(part, ast.Constant):
                    found.add(str(part.value))
                elif isinstance(part, ast.Name) and part.id.isupper():
                    found.add(str(getattr(disconnect, part.id)))
    return found


def results_of(value: ast.expr) -> list[ast.expr]:
    return [*results_of(value.body), *results_of(value.orelse)] if isinstance(value, ast.IfExp) else [value]


def test_readme_names_every_reason_and_every_cause() -> None:
    """They are what an operator looks up first."""
    reasons, causes = (
        next(part for part in README.split("\n\n") if part.startswith(start))
        for start in ("Reasons why leadership is lost:", "Causes for which the guard stops COMMAND:")
    )
    assert set(quoted(reasons)) == reasons_of_loss()
    assert set(quoted(causes)) == {cause.value for cause in Cause}


# ---- znodes


def written_fields() -> dict[str, set[str]]:
    """Return the fields of every znode that we write, from znodes written for this: by claim, renewal and release."""
    identity = records.Identity(id="a", host="h", pid=1, command="c", version="0")
    candidate = records.parse_candidate(records.candidate_data(identity, 20))
    stat = records.Stat(czxid=1, mzxid=2, version=3, mtime=4, ctime=3)
    first = records.parse_lease_record(records.new_record(released=True), stat)
    assert isinstance(candidate, dict)
    request = records.ResignRequest(token=2, user="u", host="h")
    asked = records.parse_candidate(records.asked_to_resign(candidate, request))
    assert isinstance(asked, dict)
    assert isinstance(first, records.LeaseRecord)
    claim = records.claimed(first, stat, guid="g", beat=1, lease=20, identity=identity)
    renewal = records.renewed(claim, beat=2, token=2, elected_at=4)
    release = records.released(renewal, stat, beat=3, reason="ended", status=0)
    takeover = records.claimed(renewal, stat, guid="f", beat=1, lease=20, identity=identity, leaders=3, before=1)
    begun = period.begun(None, 4, 60, "a")
    run = records.claimed(first, stat, guid="g", beat=1, lease=20, identity=identity, last_run=begun)
    done = period.ended(run, token=2, elected_at=4, status=0)
    all_of_them = [record.content for record in (first, claim, renewal, release, takeover, run)]
    return {
        "candidate": set(asked),
        "resign": set(asked["resign"]),
        "lease record": set().union(*all_of_them),
        "previous": set().union(*(content.get("previous", {}) for content in all_of_them)),
        "last_run": set(begun) | set(done),
    }


@pytest.mark.parametrize("kind", ["candidate", "resign", "lease record", "previous", "last_run"])
def test_readme_has_the_fields_of_each_znode(kind: str) -> None:
    """Other programs read them, and later versions have to."""
    told = [name for row in readme_table(kind, "") for name in quoted(row[0])]
    assert set(told) == written_fields()[kind]
    assert len(told) == len(set(told))


def test_the_page_has_the_fields_of_each_znode() -> None:
    """The manual page has the same, with the fields of those that have some in their descriptions."""
    fields = written_fields()
    told: dict[str, set[str]] = {}
    inner: set[str] = set()
    for item, text in page_items(page_section(RUN_PAGE, "ZNODES")):
        macro, *names = words_of(item)
        if macro == "Pa":
            told[names[0]] = inner = set()
            continue
        inner |= set(names) - {","}
        if names in (["previous"], ["resign"]):
            parts = re.findall(r"^\.Va (\w+)", text, flags=re.MULTILINE)
            assert set(parts) == fields[names[0]]
    assert told == {"<uuid4>-n_<sequence>": fields["candidate"], "lease-<slot>": fields["lease record"]}


# ---- findings


def finding_topics() -> set[str]:
    """Return the topic of every finding that a rehearsal can have; each server is one."""
    found = set()
    for path in (PACKAGE / "check").glob("*.py"):
        tree = ast.parse(path.read_text())
        named = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and is_text(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ok", "warn", "fail"):
                topic = node.args[0]
                text = topic.value if is_text(topic) else named.get(getattr(topic, "id", ""), "server")
                found.add(str(text))
    return found


def test_the_page_has_every_topic_of_a_finding() -> None:
    """It is where somebody looks who reads one at three in the morning."""
    told = [words_of(item)[1] for item, _ in page_items(page_section("zkleader-check.1", "FINDINGS"))]
    assert set(told) == finding_topics()
    assert len(told) == len(set(told))


# ---- the result


def test_the_pages_have_the_fields_of_the_result() -> None:
    """Scripts branch on them."""
    fields = set(json.loads(render(Result(outcome="", reason="", exit_status=0), began=0.0, ended=0.0)))
    assert {name for row in readme_table("result", "") for name in quoted(row[0])} == fields
    items = [words_of(item) for item, _ in page_items(page_section(RUN_PAGE, "RESULT"))]
    assert {name for macro, *names in items if macro == "Va" for name in names} - {","} == fields


def test_the_pages_have_every_outcome() -> None:
    """So do these; each is told with the status that goes with it."""
    rows = readme_table("outcome", "meaning", "exit status")
    assert {name for row in rows for name in quoted(row[0])} == OUTCOMES
    items = [words_of(item) for item, _ in page_items(page_section(RUN_PAGE, "RESULT"))]
    assert {name for macro, *names in items if macro == "Cm" for name in names} - {","} == OUTCOMES


# ---- the metrics


def test_the_pages_have_every_metric() -> None:
    """Dashboards and alerts are built on their names."""
    known = {metric.name: metric.kind for metric in METRICS}
    assert {name: kind for shown, kind, _ in readme_table("metric", "kind", "") for name in quoted(shown)} == known
    items = [words_of(item) for item, _ in page_items(page_section(RUN_PAGE, "METRICS"))]
    assert {name: kind.strip("()") for _, name, _, kind in items} == known


# ---- the library


def public_names(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_readme_has_every_name_of_the_library() -> None:
    """Programs are written from README: each state, each error, and what a candidate can be asked."""
    states = {name for row in readme_table("state", "") for name in quoted(row[0])}
    errors = {name for row in readme_table("error", "") for name in quoted(row[0])}
    assert states == {kind.__name__ for kind in get_args(State)}
    assert errors == {name for name in zkleader._LIBRARY if name.endswith("Error")}
    assert states | errors | {"Candidate", "Election", "State"} == set(zkleader._LIBRARY)
    asked = {re.sub(r"\(.*\)", "", name) for row in readme_table("of a candidate", "") for name in quoted(row[0])}
    assert asked == public_names(Candidate)


def test_readme_names_every_event_of_the_librarys_log() -> None:
    """Those of `run`, and two of its own."""
    source = "".join(path.read_text() for path in (PACKAGE / "library").glob("*.py"))
    told = set(re.findall(r'\b(?:tell\("\w+", |exception\()"(\w+)"', source))
    own = set(quoted(README.partition("and two of its own: ")[2].partition(".")[0]))
    assert len(own) == 2
    assert own < told
    assert told - own <= set(source_events().levels)


# ---- what status tells


def document_fields() -> dict[str, set[str]]:
    """Return the fields of each part of the JSON document, by its heading in the manual page."""
    slot = view.Slot(number=0, standing=view.Standing.LEADS)
    candidate = view.Candidate(name="", kind=view.Kind.OURS)
    election = view.View(path="", state=view.State.LED, slots=(slot,), candidates=(candidate,))
    content = document(view.Look(server="", elections=(election,)), is_connected=True)
    [shown] = content["elections"]
    parts = {"Document": content, "Election": shown, "Slot": shown["slots"][0], "Candidate": shown["candidates"][0]}
    return {name: set(part) for name, part in parts.items()}


def test_the_pages_have_the_fields_of_the_json_document() -> None:
    """Programs are written from them."""
    parts = re.split(r"^\.Ss (.*)\n", page_section("zkleader-status.1", "JSON"), flags=re.MULTILINE)
    told = {
        title: {name for item, _ in page_items(source) for name in words_of(item)[1:]} - {","}
        for title, source in zip(parts[1::2], parts[2::2], strict=True)
    }
    assert told == document_fields()
    headers = {"Document": "document", "Election": "election", "Slot": "slot", "Candidate": "candidate in the queue"}
    for title, header in headers.items():
        assert {name for row in readme_table(header, "") for name in quoted(row[0])} == document_fields()[title]


def test_the_pages_have_every_state() -> None:
    """Programs branch on them."""
    standings = {standing.value for standing in view.Standing}
    assert {name for row in readme_table("state of a slot", "") for name in quoted(row[0])} == standings
    who_leads = page_section("zkleader-status.1", "DESCRIPTION").partition(".Ss Who leads")[2]
    told = set(re.findall(r"^\.(?:It )?Cm (\w+)", who_leads, flags=re.MULTILINE))
    assert told == standings - {view.Standing.LEADS.value}
    for header, title, states in (
        ("election", "Election", view.State),
        ("candidate in the queue", "Candidate", view.Kind),
    ):
        wanted = {state.value for state in states}
        [row] = [row for row in readme_table(header, "") if row[0] == "`state`"]
        assert set(quoted(row[1])) == wanted
        source = page_section("zkleader-status.1", "JSON").partition(f".Ss {title}\n")[2].partition(".Ss ")[0]
        [text] = [text for item, text in page_items(source) if item == "Va state"]
        assert set(re.findall(r"^\.Cm (\w+)", text, flags=re.MULTILINE)) == wanted


# ---- timing


def timing_row(lease: float) -> list[float]:
    """Return the figures that the pages give for a lease, in the order of their columns."""
    timing = Timing(lease=lease, grace=5.0, stop_timeout=25.0)
    config.check_timing(timing)
    takeover = max(lease + TICK, lease + timing.margin)
    figures = (timing.margin, timing.kill_allowance, timing.renewal_interval, timing.stop_after, timing.kill_after)
    return [lease, *figures, timing.gone_after, timing.ridden_out_with(lease), takeover]


def test_the_figures_of_timing_are_those_that_hold() -> None:
    """People choose a lease by this table."""
    header = "lease,margin,kill allowance,renewal every,stop signal at,SIGKILL at,gone by,outage ridden out"
    readme = [[float(cell) for cell in row] for row in readme_table(*header.split(","), "takeover after a host crash")]
    items = [item.split(" Ta ") for item, _ in page_items(page_section(RUN_PAGE, "TIMING")) if " Ta " in item]
    page = [[float(cell) for cell in item] for item in items[1:]]
    assert readme == page
    assert len(readme) > 2
    for row in readme:
        assert row == pytest.approx(timing_row(row[0])), row[0]


# ---- the rest


def told_to_systemd() -> set[str]:
    """Return the words of every status line that systemd is shown, less what is filled in."""
    tree = ast.parse((ROOT / "zkleader" / "core" / "notices.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    shown = [node for node in functions if node.name in ("_status", "_standby")]
    assert len(shown) == 2
    nodes = [node for function in shown for node in ast.walk(function) if isinstance(node, ast.expr)]
    texts = [str(node.value) for node in nodes if is_text(node)]
    return {text for text in texts if re.search("[a-z]{2}", text)}


def test_the_pages_have_every_status_that_systemd_shows() -> None:
    """It is what an operator sees first; a line that no page has is one that nobody can explain."""
    readme = README.partition("\n## systemd\n")[2].partition("\n## ")[0]
    page = plain(page_section("zkleader-run.1", "SYSTEMD"))
    told = told_to_systemd()
    assert {": paused", ": running on-elected", "not campaigning for a while: on-elected has failed"} <= told
    assert {text for text in told if text not in readme} == set()
    assert {text for text in told if text not in page and text.removeprefix(": ") not in page} == set()


def test_pages_are_installed() -> None:
    """`man zkleader-run` works after `pip install`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for directory, wanted in (("man1", set(PAGES)), ("man5", {FILE_PAGE})):
        [pattern] = settings["tool"]["setuptools"]["data-files"][f"share/man/{directory}"]
        assert {path.name for path in ROOT.glob(pattern)} == wanted
    assert settings["project"]["readme"] == "README.md"


def test_there_is_a_page_for_every_subcommand() -> None:
    """A subcommand without a page is one that nobody finds out about."""
    assert {f"zkleader-{name}.1" for name in program.commands} | {"zkleader.1"} == set(PAGES)


def words_in(page: str) -> str:
    """Return the text of a section-5 page as words, without macros."""
    source = (ROOT / "man" / page).read_text()
    return " ".join(plain(re.sub(r"^\.[A-Z][a-z]?\b", "", source, flags=re.MULTILINE)).split())


def test_the_files_page_names_the_pairs_that_contradict_each_other() -> None:
    """Who gets less than the file says has to find out why; a pair that is added belongs there as well."""
    text = words_in(FILE_PAGE)
    settings = settings_of(run)
    for setting in settings.values():
        if setting.excludes is not None:
            pair = (f"Fl {setting.key}", f"Fl {settings[setting.excludes].key}")
            assert " and ".join(pair) in text or " and ".join(reversed(pair)) in text, pair
        if setting.needs:
            assert re.search(rf"Fl {setting.key} .*?may stand in a file without", text), setting.key


def test_the_files_page_names_what_is_not_in_the_file() -> None:
    """All else is, by its long name, so nothing else has to be listed."""
    others = [max(names, key=len) for names, option in parser_options(run).items() if not isinstance(option, Setting)]
    text = words_in(FILE_PAGE).partition("Every option can be one, but ")[2].partition(" in the table")[0]
    assert sorted(re.findall(r"Fl ([a-z-]+)", text)) == sorted(other.removeprefix("--") for other in others)


def test_readme_walks_all_source_files() -> None:
    """The walk is how the next engineer finds the place; a file that is not in it is where nobody looks."""
    told = [name for row in readme_table("file", "what it owns") for name in quoted(row[0])]
    assert sorted(told) == sorted(str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py"))


def test_readme_walks_all_kinds_of_tests() -> None:
    """The same for the tests."""
    told = {name for row in readme_table("tests", "") for name in quoted(row[0])}
    assert told == {f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if any(path.glob("*.py"))}


def test_readme_refers_to_files_that_exist() -> None:
    """A link that leads nowhere is the first thing that a new user meets."""
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target
