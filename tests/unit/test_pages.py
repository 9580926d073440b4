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
from typing import TypeGuard

import click
import pytest

from zkleader import config
from zkleader.cli.demo import demo
from zkleader.cli.main import program
from zkleader.cli.run import run
from zkleader.cli.values import Signal
from zkleader.core import period, records
from zkleader.core.lease import Timing
from zkleader.core.wait_status import SIGNAL_BASE
from zkleader.core.wire import Cause
from zkleader.exit_status import ExitStatus
from zkleader.result import OUTCOMES, Result, render

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "zkleader"
README = (ROOT / "README.md").read_text()
PAGES = {"zkleader.1": program, "zkleader-demo.1": demo, "zkleader-run.1": run}
RUN_PAGE = "zkleader-run.1"

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


def readme_table(*header: str) -> list[list[str]]:
    """Return the rows of README's table with this header; cells keep their backquotes."""
    lines = iter(README.splitlines())
    wanted = list(header)
    for line in lines:
        if cells_of(line) == wanted:
            assert set(next(lines)) <= set("|-"), "a header is followed by its rule"
            rows = []
            for row in lines:
                if not row.startswith("|"):
                    return rows
                rows.append(cells_of(row))
            return rows
    raise AssertionError(f"README has no table with the header {wanted}")


def cells_of(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---- what the parser says


def context_of(command: click.Command) -> click.Context:
    # Settings of the program, such as -h, hold for its subcommands as well.
    outer = click.Context(program, info_name="zkleader", **program.context_settings)
    return outer if command is program else click.Context(command, parent=outer, info_name=command.name)


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


@pytest.mark.parametrize("page", PAGES)
def test_page_and_parser_have_the_same_options(page: str) -> None:
    """A page that lacks an option hides it; one that has another promises what is refused."""
    told = dict(page_option(item) for item, _ in page_items(page_section(page, "OPTIONS")))
    known = {names: parser_metavar(option) for names, option in parser_options(PAGES[page]).items()}
    assert told == known


def test_the_page_tells_the_defaults_that_help_tells() -> None:
    """The default is what most users run with; it stands in two texts."""
    options = parser_options(run)
    for item, text in page_items(page_section(RUN_PAGE, "OPTIONS")):
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
    assert held == 10, "as many defaults are values; another number means that this test no longer sees them"


def test_every_option_is_in_the_synopsis_of_its_page() -> None:
    """The synopsis is what people copy from."""
    synopsis = page_section(RUN_PAGE, "SYNOPSIS")
    shown = set()
    for line in synopsis.splitlines():
        if line.startswith(".Op Fl "):
            words = words_of(line.removeprefix(".Op Fl "))
            if words[0] == "Fl":
                shown.add("--" + words[1] if len(words) > 1 else "--")
            else:
                shown |= {f"-{letter}" for letter in words[0]}
    for names in parser_options(run):
        assert names & shown or "--help" in names, names
    assert shown - {"--"} <= frozenset().union(*parser_options(run))


def test_the_page_names_every_variable_that_is_read_for_an_option() -> None:
    """Units configure by environment; an unknown variable is only warned of, so a wrong name costs dearly."""
    part = re.split(r"^\.Ss (.*)\n", page_section(RUN_PAGE, "ENVIRONMENT"), flags=re.MULTILINE)
    parts = dict(zip(part[1::2], part[2::2], strict=True))
    told = {}
    for item, text in page_items(parts["Options"]):
        [name] = words_of(item)[1:]
        told[name] = page_option(text.splitlines()[0].removeprefix("."))[0]
    known = {str(option.envvar): names for names, option in parser_options(run).items() if option.envvar}
    assert told.keys() == known.keys()
    for name, names in told.items():
        assert names <= known[name], name
    outputs = {words_of(item)[1] for item, _ in page_items(parts["Set for COMMAND"])}
    assert outputs == command_variables()


def command_variables() -> set[str]:
    """Return the names that the supervisor adds to COMMAND's environment."""
    tree = ast.parse((PACKAGE / "supervisor.py").read_text())
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
        command, *_ = run.make_context("run", ["--wait", example, "-e", "x", "true"]).params["command"]
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
        elif (called == "event" and owner.endswith("log")) or called == "_note":
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
    first = records.parse_lease_record(records.new_record(released=True))
    assert isinstance(candidate, dict)
    assert isinstance(first, records.LeaseRecord)
    stat = records.Stat(czxid=1, mzxid=2, version=3, mtime=4, ctime=3)
    claim = records.claimed(first, stat, guid="g", beat=1, lease=20, identity=identity)
    renewal = records.renewed(claim, beat=2, token=2, elected_at=4)
    release = records.released(renewal, stat, beat=3, reason="ended", status=0)
    takeover = records.claimed(renewal, stat, guid="f", beat=1, lease=20, identity=identity)
    begun = period.begun(None, 4, 60, "a")
    run = records.claimed(first, stat, guid="g", beat=1, lease=20, identity=identity, last_run=begun)
    done = period.ended(run, token=2, elected_at=4, status=0)
    all_of_them = [record.content for record in (first, claim, renewal, release, takeover, run)]
    return {
        "candidate": set(candidate),
        "lease record": set().union(*all_of_them),
        "previous": set().union(*(content.get("previous", {}) for content in all_of_them)),
        "last_run": set(begun) | set(done),
    }


@pytest.mark.parametrize("kind", ["candidate", "lease record", "previous", "last_run"])
def test_readme_has_the_fields_of_each_znode(kind: str) -> None:
    """Other programs read them, and later versions have to."""
    told = [name for row in readme_table(kind, "") for name in quoted(row[0])]
    assert set(told) == written_fields()[kind]
    assert len(told) == len(set(told))


def test_the_page_has_the_fields_of_each_znode() -> None:
    """The manual page has the same, with the fields of `previous` and `last_run` in their descriptions."""
    fields = written_fields()
    told: dict[str, set[str]] = {}
    inner: set[str] = set()
    for item, text in page_items(page_section(RUN_PAGE, "ZNODES")):
        macro, *names = words_of(item)
        if macro == "Pa":
            told[names[0]] = inner = set()
            continue
        inner |= set(names) - {","}
        if names == ["previous"]:
            parts = re.findall(r"^\.Va (\w+)", text, flags=re.MULTILINE)
            assert set(parts) == fields[names[0]]
    assert told == {"<uuid4>-n_<sequence>": fields["candidate"], "lease-0": fields["lease record"]}


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


# ---- timing


def timing_row(lease: float) -> list[float]:
    """Return the figures that the pages give for a lease, in the order of their columns."""
    timing = Timing(lease=lease, grace=5.0, stop_timeout=25.0)
    config.check_timing(timing)
    takeover = max(lease + TICK, lease + timing.margin)
    figures = (timing.margin, timing.kill_allowance, timing.renewal_interval, timing.stop_after, timing.kill_after)
    return [lease, *figures, timing.gone_after, min(timing.ridden_out, lease - TICK), takeover]


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


def test_pages_are_installed() -> None:
    """`man zkleader-run` works after `pip install`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [pattern] = settings["tool"]["setuptools"]["data-files"]["share/man/man1"]
    assert {path.name for path in ROOT.glob(pattern)} == set(PAGES)
    assert settings["project"]["readme"] == "README.md"


def test_there_is_a_page_for_every_subcommand() -> None:
    """A subcommand without a page is one that nobody finds out about."""
    assert {f"zkleader-{name}.1" for name in program.commands} | {"zkleader.1"} == set(PAGES)


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
