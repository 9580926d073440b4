"""The configuration file: what it may say, what of it is in force, and what is refused.

The program is run in this process, and answers with `--print-config`: what is printed is what a run would do.
"""

import itertools
import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import click
import pytest
from keys import Authority

from zkleader.cli import config_file, main
from zkleader.cli.connection import connection_options
from zkleader.cli.run import run
from zkleader.cli.settings import Setting, settings_of
from zkleader.cli.values import Duration

SETTINGS = settings_of(run)


class Write(Protocol):
    def __call__(self, text: str | bytes, *, mode: int = 0o644) -> str: ...


class Answer:
    """What the program has said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.line = err.removesuffix("\n")
        assert "\n" not in self.line, err

    @property
    def settings(self) -> dict[str, Any]:
        """What is in force, by key."""
        assert (self.status, self.line) == (0, "")
        tables = tomllib.loads(self.out)
        [own] = tables["election"].values() if "election" in tables else [tables["run"]]
        return tables["connection"] | own

    @property
    def sources(self) -> dict[str, str]:
        """The comment of each key."""
        found = re.findall(r"^#?([a-z-]+) =.*?  # (.*)$", self.out, flags=re.MULTILINE)
        return dict(found)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give `write(text)`: a configuration file that says it; return its path."""
    numbers = itertools.count()

    def write(text: str | bytes, *, mode: int = 0o644) -> str:
        path = tmp_path / f"{next(numbers)}.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Give `ask(*arguments)`: what `zkleader run --print-config` answers to them."""

    def ask(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["zkleader", "run", "--print-config", *arguments])
        status = main.main()
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    return ask


Ask = Callable[..., Answer]


# ---- what is in force


def test_what_can_never_work_is_refused_in_every_table(ask: Ask, write: Write) -> None:
    """A slip is found before its election is needed; what another option could still make work is not one."""
    for line, reason in (
        ('lease = "99s"', "99s is not within 2s and 60s"),
        ('id = "a\\nb"', "it is empty or has characters that cannot be shown"),
    ):
        file = write(f"[election.x]\n{line}\n")
        answer = ask("--config", file, "-e", "y")
        key = line.partition(" ")[0]
        assert (answer.status, answer.line) == (78, f"zkleader: cannot use {key} in [election.x] of {file}: {reason}")
    assert ask("--config", write('[election.x]\ngrace = "30s"\n'), "-e", "y").status == 0
    assert ask("--config", write('[election.x]\ngrace = "30s"\n'), "-e", "x", "--lease", "60s").status == 0


def test_what_lacks_the_option_that_it_needs_is_not_called_overruled(ask: Ask, write: Write) -> None:
    """Nothing has overruled it: it waits for a run that has the other one."""
    sources = ask("--config", write('[run]\nrestart-delay = "3s"\nretry-failed = true\n')).sources
    assert sources["restart-delay"].endswith(", of no effect without restart or on-elected with on-loss")
    assert sources["retry-failed"].endswith(", of no effect without once-per")


def test_a_name_that_cannot_be_is_told_as_it_was_given(ask: Ask) -> None:
    """What nobody has typed tells nobody what to look for."""
    refused = "zkleader: cannot use --election:"
    assert ask("-e", "").line == f"{refused} it is empty"
    assert ask("-e", "a\tb").line.startswith(f"{refused} election '/zkleader/a\\tb' has a character")


def test_a_flags_variable_says_1_or_0(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else click would take for a yes is no promise of ours."""
    monkeypatch.setenv("ZKLEADER_TLS", "2")
    answer = ask()
    assert answer.status == 64
    assert answer.line == "zkleader: cannot use ZKLEADER_TLS: '2' is neither 1 (given) nor 0 (not given)"
    monkeypatch.setenv("ZKLEADER_TLS", "1")
    assert ask().settings["tls"] is True


def test_files_that_a_run_could_not_write_are_refused(ask: Ask, tmp_path: Path) -> None:
    """Asking what is in force finds it out, and leaves the file of an earlier run where it is."""
    for option, name in (("--result", "x"), ("--metrics-textfile", "x.prom")):
        what = option[2:].partition("-")[0]
        answer = ask(option, f"{tmp_path}/no/{name}")
        assert (answer.status, answer.out) == (78, "")
        assert answer.line == f"zkleader: cannot write the {what} {tmp_path}/no/{name}: no such file or directory"
        assert ask("-e", "x", option, f"{tmp_path}/no/{name}", "true").status == 78
        earlier = tmp_path / name
        earlier.write_text("earlier")
        assert ask(option, str(earlier)).status == 0
        assert earlier.read_text() == "earlier"
    assert ask("--metrics-textfile", f"{tmp_path}/x").status == 64


def test_the_result_and_the_metrics_are_two_files(
    ask: Ask, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written last would be all that is left, however the file is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in ("x.prom", "./x.prom", "link/x.prom", f"{tmp_path}/x.prom"):
        answer = ask("--result", "x.prom", "--metrics-textfile", other)
        assert answer.status == 64
        assert answer.line == f"zkleader: cannot use --metrics-textfile: '{other}' is the file of --result"
    file = write('[run]\nmetrics-textfile = "x.prom"\n')
    assert ask("--config", file, "--result", "x.prom").status == 78
    assert ask("--result", "x.prom", "--metrics-textfile", "y.prom").status == 0


def test_the_stronger_source_wins(ask: Ask, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, environment, the election's table, [run], default: what is nearer to whoever asks holds."""
    file = write('[run]\nlease = "31s"\n[election.a]\nlease = "32s"\n')
    for arguments, lease, source in (
        ((), "20s", "default"),
        (("--config", file), "31s", f"[run] of {file}"),
        (("--config", file, "-e", "a"), "32s", f"[election.a] of {file}"),
    ):
        answer = ask(*arguments)
        assert (answer.settings["lease"], answer.sources["lease"]) == (lease, source)
    monkeypatch.setenv("ZKLEADER_RUN_LEASE", "33s")
    answer = ask("--config", file, "-e", "a")
    assert (answer.settings["lease"], answer.sources["lease"]) == ("33s", "ZKLEADER_RUN_LEASE")
    answer = ask("--config", file, "-e", "a", "--lease", "34s")
    assert (answer.settings["lease"], answer.sources["lease"]) == ("34s", "command line")


def test_the_variable_names_the_file(ask: Ask, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units set it; what is named by hand wins."""
    monkeypatch.setenv("ZKLEADER_CONFIG", write('[run]\nlease = "31s"\n'))
    assert ask().settings["lease"] == "31s"
    assert ask("--config", write('[run]\nlease = "32s"\n')).settings["lease"] == "32s"
    assert ask("--config", os.devnull).settings["lease"] == "20s"


@pytest.mark.parametrize("table", ["mailer", '"mailer"', '"/zkleader/mailer"'])
def test_a_table_is_for_its_election_however_that_is_named(
    ask: Ask, write: Write, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """The table's name is read as -e is, so that nobody has to know how the election will be named."""
    file = write(f'[election.{table}]\nlease = "31s"\n[run]\nelection = "other"\n')
    for arguments in (("-e", "mailer"), ("-e", "/zkleader/mailer")):
        assert ask("--config", file, *arguments).settings["lease"] == "31s"
        assert ask("--config", file, *arguments, "--", "true").settings["lease"] == "31s"
    assert ask("--config", file).settings["lease"] == "20s"
    assert ask("--config", file, "-e", "mail").settings["lease"] == "20s"
    assert ask("--config", file, "-e", "/mailer").settings["lease"] == "20s"
    monkeypatch.setenv("ZKLEADER_RUN_ELECTION", "mailer")
    assert ask("--config", file).settings["lease"] == "31s"


def test_the_commands_name_chooses_the_table_too(ask: Ask, write: Write) -> None:
    """It names the election where nothing else does; a wrapper's name never does."""
    file = write('[election.true]\nlease = "31s"\n[election.sh]\nlease = "32s"\n')
    assert ask("--config", file, "--", "/bin/true").settings["lease"] == "31s"
    assert ask("--config", file, "-e", "x", "--", "true").settings["lease"] == "20s"
    assert ask("--config", file, "--", "sh").status == 64


def test_a_file_may_name_the_election(ask: Ask, write: Write) -> None:
    """Its own table then holds as well."""
    file = write('[run]\nelection = "a"\n[election.a]\nlease = "31s"\n')
    assert ask("--config", file).settings["lease"] == "31s"


def test_numbers_and_truth_values_need_no_quotes(ask: Ask, write: Write) -> None:
    """They are how TOML says it; numbers of durations are seconds, as on the command line."""
    file = write(
        "[connection]\nconnect-timeout = 3\nverbose = true\n"
        "[run]\ngrace = 2.5\nconflict-exit-code = 9\nsignal = 2\nleaders = 3\nnonblock = false\n"
    )
    settings = ask("--config", file).settings
    assert settings["leaders"] == "3"
    assert (settings["connect-timeout"], settings["grace"]) == ("3", "2.5")
    assert (settings["conflict-exit-code"], settings["signal"]) == ("9", "2")
    assert (settings["verbose"], settings["nonblock"]) == (True, False)


def example_of(setting: Setting) -> str | bool:
    """Return a value that a setting takes, and that is not its default."""
    if setting.is_flag:
        return True
    if isinstance(setting.type, click.Choice):
        return str(setting.type.choices[-1])
    return {"duration": "8m", "status": "9", "signal": "INT"}.get(setting.type.name, "words")


FITTING = {"leaders": "3", "lease": "41s", "grace": "4s", "acl": "world:anyone:r"}
"""Of these not every value can work."""


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | bool]]:
    """Give what must be said with an option, or for it, so that it can work: these are looked at at once."""
    directory = tmp_path_factory.mktemp("files")
    authority = Authority(directory)
    certificate = str(authority.issue("client"))
    secret = directory / "secret"
    secret.touch(mode=0o600)
    secret.write_text("digest app:x")
    return {
        "auth-file": {"auth-file": str(secret)},
        "tls-ca": {"tls-ca": str(authority.file), "tls": True},
        "tls-cert": {"tls-cert": certificate, "tls": True},
        "tls-key": {"tls-key": certificate, "tls-cert": certificate, "tls": True},
        "tls-no-verify": {"tls": True},
        "metrics-textfile": {"metrics-textfile": str(directory / "x.prom")},
    }


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.key)
def test_every_option_may_be_in_the_file(
    ask: Ask, write: Write, setting: Setting, needed: dict[str, dict[str, str | bool]]
) -> None:
    """By its long name: nobody has to look up which ones may."""
    said = {setting.key: FITTING.get(setting.key, example_of(setting)), **needed.get(setting.key, {})}
    for other in itertools.chain(*setting.needs[:1]):
        said[SETTINGS[other].key] = example_of(SETTINGS[other])
    lines = [f"{key} = {'true' if value is True else config_file.quote(str(value))}" for key, value in said.items()]
    if setting.key == "election":
        assert '[election."/zkleader/words"]' in ask("--config", write("\n".join(["[run]", *lines]))).out
        return
    for table in {"run": ("run", "election.x")}.get(setting.table, (setting.table,)):
        answer = ask("--config", write("\n".join([f"[{table}]", *lines])), "-e", "x")
        assert answer.settings.items() >= said.items()


def test_how_to_verify_is_never_passed_over_in_plain_text(
    ask: Ask, write: Write, needed: dict[str, dict[str, str | bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that names an authority and forgets `tls` means it; only who says more strongly that there is none may."""
    authority = needed["tls-ca"]["tls-ca"]
    path = write(f'[connection]\ntls-ca = "{authority}"\n')
    refused = f"zkleader: cannot use tls-ca in [connection] of {path}: it needs --tls"
    answer = ask("--config", path)
    assert (answer.status, answer.line) == (78, refused)
    monkeypatch.setenv("ZKLEADER_TLS", "0")
    assert ask("--config", path).settings["tls"] is False
    monkeypatch.setenv("ZKLEADER_TLS_CA", str(authority))
    assert ask().status == 64


def test_all_options_but_those_about_the_program_are_settings() -> None:
    """An option that somebody adds without that would be the one that cannot be configured."""
    others = {parameter.name for parameter in run.params if not isinstance(parameter, Setting)}
    assert others == {"config", "print_config", "command"}

    @click.command
    @connection_options
    def shared() -> None: ...

    assert {setting.table for setting in settings_of(shared).values()} == {"connection"}
    assert {name for name, setting in SETTINGS.items() if setting.table == "connection"} == {*settings_of(shared)}


# ---- of two that contradict each other


SOURCES = ("run", "election", "environment", "command line")
EXCLUSIVE = {
    ("nonblock", "wait"): (("nonblock", True), ("wait", "5m")),
    ("leaders", "once-per"): (("leaders", "3"), ("once-per", "1d")),
    ("once-per", "restart"): (("once-per", "1d"), ("restart", "always")),
    ("quiet", "verbose"): (("quiet", True), ("verbose", True)),  # without variables, and not an election's
}
CASES = [
    (keys, first, second)
    for keys in EXCLUSIVE
    for first, second in itertools.product(SOURCES, SOURCES)
    if "verbose" not in keys or {first, second} <= {"run", "command line"}
]


@pytest.fixture
def say(write: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Give `say(key, value, source)...`: arguments with which, and an environment in which, each is said there."""

    def say(*said: tuple[str, str | bool, str]) -> list[str]:
        texts = {"run": "", "election": "", "connection": ""}
        arguments = ["-e", "x"]
        for key, value, source in said:
            if source == "command line":
                arguments += [f"--{key}"] if value is True else [f"--{key}", str(value)]
            elif source == "environment":
                variable = f"ZKLEADER_RUN_{key.replace('-', '_').upper()}"
                monkeypatch.setenv(variable, "1" if value is True else str(value))
            else:
                table = SETTINGS[key.replace("-", "_")].table if source == "run" else source
                texts[table] += f"{key} = {'true' if value is True else config_file.quote(str(value))}\n"
        file = write("[connection]\n{connection}[run]\n{run}[election.x]\n{election}".format_map(texts))
        return ["--config", file, *arguments]

    return say


@pytest.mark.parametrize(("keys", "first", "second"), CASES)
def test_of_two_that_exclude_each_other_the_stronger_source_wins(
    ask: Ask, say: Callable[..., list[str]], keys: tuple[str, str], first: str, second: str
) -> None:
    """What a unit or a file says must not keep anybody from trying something else by hand; one source has erred."""
    sources = (first, second)
    pairs = EXCLUSIVE[keys]
    answer = ask(*say(*((key, value, source) for (key, value), source in zip(pairs, sources, strict=True))))
    if first == second:
        assert answer.status == (78 if first in ("run", "election") else 64)
        assert re.search("contradict", answer.line)
        return
    wins = max((0, 1), key=lambda index: SOURCES.index(sources[index]))
    (won, value), (lost, _) = pairs[wins], pairs[1 - wins]
    assert answer.settings[won] == value
    assert lost not in answer.settings
    assert answer.sources[lost].endswith(", overruled")


@pytest.mark.parametrize(("key", "value"), [("restart-delay", "3s"), ("retry-failed", True)])
@pytest.mark.parametrize("source", SOURCES)
def test_what_has_no_effect_alone_may_stand_in_a_file(
    ask: Ask, say: Callable[..., list[str]], key: str, value: Any, source: str
) -> None:
    """A file says it for the runs that it concerns; who says it of one run has forgotten something."""
    answer = ask(*say((key, value, source)))
    if source in ("environment", "command line"):
        assert answer.status == 64
        assert "it needs --" in answer.line
    else:
        assert key not in answer.settings


def test_a_delay_is_for_a_restart_or_for_coming_back_after_a_failed_hook(
    ask: Ask, say: Callable[..., list[str]]
) -> None:
    """On-elected alone has nothing to wait for: a run that ends does not come back."""
    hook, delay = ("on-elected", "true", "command line"), ("restart-delay", "3s", "command line")
    answer = ask(*say(hook, delay))
    assert (answer.status, answer.line) == (
        64,
        "zkleader: cannot use --restart-delay: it needs --restart, or --on-elected with --on-loss rejoin",
    )
    rejoin = ("on-loss", "rejoin", "environment")
    assert ask(*say(hook, delay, rejoin)).settings["restart-delay"] == "3s"
    assert ask(*say(delay, rejoin)).status == 64
    assert "restart-delay" not in ask(*say(("restart-delay", "3s", "run"), hook), "--on-loss", "exit").settings


def test_what_depended_on_the_one_that_gave_way_gives_way_too(ask: Ask, say: Callable[..., list[str]]) -> None:
    """Or the one that won could not be had at all."""
    arguments = say(
        ("restart", "always", "environment"), ("restart-delay", "3s", "environment"), ("once-per", "1d", "command line")
    )
    settings = ask(*arguments).settings
    assert settings["once-per"] == "1d"
    assert {"restart", "restart-delay"}.isdisjoint(settings)


def test_no_from_a_stronger_source_is_no(ask: Ask, say: Callable[..., list[str]], monkeypatch: Any) -> None:
    """A flag that the file gives can be taken back."""
    arguments = say(
        ("nonblock", True, "election"), ("restart", "always", "run"), ("restart-delay", "3s", "environment")
    )
    monkeypatch.setenv("ZKLEADER_RUN_NONBLOCK", "0")
    settings = ask(*arguments, "--restart", "never").settings
    assert (settings["nonblock"], settings["restart"]) == (False, "never")
    assert "restart-delay" not in settings


# ---- what is refused, with the place


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[run]\nleese = "5s"', "cannot use leese in [run] of {}: no option is called that (did you mean lease?)"),
        ('[run]\nstop_timeout = "5s"', "no option is called that (did you mean stop-timeout?)"),
        ('[run]\nhosts = "x"', "cannot use hosts in [run] of {}: it belongs into [connection]"),
        ('[connection]\nlease = "5s"', "cannot use lease in [connection] of {}: it belongs into [run]"),
        ('[election.other]\nleese = "5s"', "cannot use leese in [election.other] of {}: no option"),
        ('[election."a.b"]\nhosts = "x"', 'cannot use hosts in [election."a.b"] of {}: it belongs'),
        ('[election.a]\nelection = "b"', "cannot use election in [election.a] of {}: it belongs into [run]"),
        ('[run]\nconfig = "x"', "cannot use config in [run] of {}: no option is called that"),
        ("[run]\nprint-config = true", "cannot use print-config in [run] of {}: no option is called that"),
        ('[run]\n"a\\nb" = "x"', 'cannot use "a\\nb" in [run] of {}: no option is called that'),
        ('[Run]\nlease = "5s"', "cannot use Run in {}: there are only the tables"),
        ('lease = "5s"', "cannot use lease in {}: there are only the tables"),
        ("run = 5", "cannot use [run] of {}: it is not a table"),
        ("[[run]]", "cannot use [run] of {}: it is not a table"),
        ('[election]\nlease = "5s"', "cannot use [election.lease] of {}: it is not a table"),
        ('[election."a//b"]', 'cannot use [election."a//b"] of {}: election'),
        ('[election.a]\n[election."/zkleader/a"]', 'use [election."/zkleader/a"] of {}: [election.a] is the same'),
    ],
)  # fmt: skip
def test_an_unknown_key_or_table_is_named(ask: Ask, write: Write, text: str, wanted: str) -> None:
    """A slip that is passed over is a setting that one believes in."""
    file = write(text)
    answer = ask("--config", file)
    assert answer.status == 78
    assert wanted.format(file) in answer.line


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[run]\nlease = "soon"', "cannot use lease in [run] of {}: 'soon' is not a duration"),
        ("[run]\nlease = inf", "cannot use lease in [run] of {}: 'inf' is not a duration"),
        ("[run]\nlease = -1", "cannot use lease in [run] of {}: '-1' is not a duration"),
        ("[run]\nlease = 0", "cannot use lease in [run] of {}: '0' must be more than zero"),
        ("[run]\nlease = true", "cannot use lease in [run] of {}: it takes a string or a number"),
        ("[run]\nlease = 10:00:00", "cannot use lease in [run] of {}: it takes a string or a number"),
        ('[run]\nlease = ["5s"]', "cannot use lease in [run] of {}: it takes a string or a number"),
        ("[run.lease]", "cannot use lease in [run] of {}: it takes a string or a number"),
        ("[run]\nid = 5", "cannot use id in [run] of {}: it takes a string"),
        ("[run]\non-loss = 5", "cannot use on-loss in [run] of {}: it takes a string"),
        ('[run]\non-loss = "panic"', "cannot use on-loss in [run] of {}: 'panic' is not one of 'exit', 'rejoin'"),
        ('[run]\nnonblock = "1"', "cannot use nonblock in [run] of {}: it takes true or false"),
        ("[run]\nnonblock = 1", "cannot use nonblock in [run] of {}: it takes true or false"),
        ("[run]\nleaders = 1.5", "cannot use leaders in [run] of {}: '1.5' is not a number from 1 to 100"),
        ("[run]\nleaders = 0", "cannot use leaders in [run] of {}: '0' is not a number from 1 to 100"),
        ("[run]\nleaders = true", "cannot use leaders in [run] of {}: it takes a string or a number"),
        ("[run]\nconflict-exit-code = 256", "cannot use conflict-exit-code in [run] of {}: '256' is not"),
        ("[run]\nsignal = 19", "cannot use signal in [run] of {}: '19' does not end a process"),
        ('[run]\nresult = "a\\u0000b"', "cannot use result in [run] of {}: it has a character"),
        ('[election.other]\nlease = "soon"', "cannot use lease in [election.other] of {}: 'soon' is not"),
        # These are well-formed.
        ('[connection]\nhosts = "a:b"', "cannot use hosts in [connection] of {}: 'b' is not a port"),
        ('[run]\nlease = "90s"', "cannot use lease in [run] of {}: 90s is not within 2s and 60s"),
        ('[run]\nid = ""', "cannot use id in [run] of {}: it is empty"),
        ('[run]\nelection = "a//b"', "cannot use election in [run] of {}: election"),
        ('[run]\nlease = "4s"', "cannot use this timing: --grace 5s"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(ask: Ask, write: Write, text: str, wanted: str) -> None:
    """With its file, its table and its key, as 78: nobody has typed it now."""
    file = write(text)
    answer = ask("--config", file)
    assert answer.status == 78
    assert wanted.format(file) in answer.line


def test_a_value_that_is_not_used_is_checked_too(ask: Ask, write: Write) -> None:
    """Or it is found wrong on the day when somebody takes the option away."""
    assert ask("--config", write('[run]\nlease = "soon"\n'), "--lease", "10s").status == 78


def test_what_is_blamed_is_where_the_value_is_from(ask: Ask, write: Write) -> None:
    """The file says something else, and is not to blame."""
    answer = ask("--config", write('[run]\nlease = "30s"\n'), "--lease", "90s")
    assert (answer.status, answer.line) == (64, "zkleader: cannot use --lease: 90s is not within 2s and 60s")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"[run]\nlease 5s\n", "{}: expected '=' after a key in a key/value pair (at line 2, column 7)"),
        (b'[run]\n\nlease = "5s\n', "at line 3"),
        (b'[run]\n\nlease = "5s', "cannot read the configuration file {}: unterminated string (at the end of line 3)"),
        (b'[run]\nlease = "5s"\nlease = "6s"\n', "at line 3"),
        (b'[run]\nlease = "5s"\n# \xe4\n', "cannot read the configuration file {}: line 3 is not UTF-8"),
        (b"\0\1\2" * 1000, "at line 1"),
        (b"a = " + b"[" * 100_000, "cannot read the configuration file {}: it is nested too deeply"),
        (b"a = " + b"9" * 10_000, "cannot read the configuration file {}: exceeds the limit"),
        (b"#" * 300_000, "cannot use the configuration file {}: longer than 256 KiB"),
    ],
)  # fmt: skip
def test_what_is_not_toml_is_told_with_its_line(ask: Ask, write: Write, content: bytes, wanted: str) -> None:
    """Also a file that is something else altogether."""
    file = write(content)
    answer = ask("--config", file)
    assert answer.status == 78
    assert wanted.format(file) in answer.line


# ---- the file itself


@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH])
def test_a_file_that_others_may_write_is_refused(ask: Ask, write: Write, bit: int) -> None:
    """Whoever may write to it chooses the servers, and so who leads."""
    answer = ask("--config", write("", mode=0o644 | bit))
    assert answer.status == 78
    assert "group or others may write to it" in answer.line
    assert ask("--config", write("", mode=0o444)).status == 0


@pytest.mark.parametrize(
    ("owner", "us", "wanted"), [(0, 0, 0), (0, 5, 0), (5, 5, 0), (5, 0, 78), (6, 5, 78), (65534, 0, 78)]
)
def test_a_file_of_somebody_else_is_refused(
    ask: Ask, write: Write, monkeypatch: pytest.MonkeyPatch, owner: int, us: int, wanted: int
) -> None:
    """Who owns it may write to it at any time, whatever its mode says now; root could do so anyway."""
    file = write('[run]\nresult = "/x"\n')
    values = [*os.stat(file)]
    values[stat.ST_UID] = owner
    monkeypatch.setattr(config_file.os, "fstat", lambda _: os.stat_result(values))
    monkeypatch.setattr(config_file.os, "geteuid", lambda: us)
    answer = ask("--config", file)
    assert answer.status == wanted
    if wanted:
        reason = f"it belongs to user {owner}, neither to root nor to us"
        assert answer.line == f"zkleader: cannot use the configuration file {file}: {reason}"


def test_what_is_no_file_is_refused_at_once(ask: Ask, tmp_path: Path) -> None:
    """A FIFO that nobody writes to would hold us for ever."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, "/dev/zero"):
        answer = ask("--config", str(path))
        assert (answer.status, answer.line) == (
            78,
            f"zkleader: cannot use the configuration file {path}: not a regular file",
        )


def test_a_file_that_cannot_be_read_is_named(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a variable names it; nothing is run on the defaults instead."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, reason in (
        (str(tmp_path / "none"), "no such file or directory"),
        (str(loop), "too many levels of symbolic links"),
        ("x" * 300, "file name too long"),
    ):
        answer = ask("--config", path)
        assert (answer.status, answer.line) == (78, f"zkleader: cannot use the configuration file {path}: {reason}")
        monkeypatch.setenv("ZKLEADER_CONFIG", path)
        assert ask().status == 78
        monkeypatch.undo()


def test_a_file_that_may_not_be_read_is_an_error(ask: Ask, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default one too: without its hosts this host would elect alone."""
    config = next(option for option in run.params if option.name == "config")
    monkeypatch.setattr(config, "default", write(""))
    monkeypatch.delenv("ZKLEADER_CONFIG")

    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(config_file.os, "open", refuse)
    answer = ask()
    assert (answer.status, answer.line) == (
        78,
        f"zkleader: cannot use the configuration file {config.default}: permission denied",
    )


def test_the_default_file_is_read_if_it_is_there(
    ask: Ask, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that leads nowhere was meant to be there."""
    config = next(option for option in run.params if option.name == "config")
    assert config.default == "/etc/zkleader.toml"
    monkeypatch.delenv("ZKLEADER_CONFIG")
    default = tmp_path / "default"
    monkeypatch.setattr(config, "default", str(default))
    assert "# No file was read." in ask().out
    default.symlink_to(tmp_path / "moved")
    assert ask().status == 78
    default.unlink()
    default.symlink_to(write('[run]\nlease = "31s"\n'))
    assert ask().settings["lease"] == "31s"


def test_what_was_looked_at_is_what_is_read(ask: Ask, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a look and a read by name somebody could put another file there."""
    file, other = write('[run]\nlease = "31s"\n'), write('[run]\nlease = "32s"\n', mode=0o666)
    check = config_file._check

    def exchange(status: os.stat_result) -> None:
        check(status)
        Path(other).replace(file)

    monkeypatch.setattr(config_file, "_check", exchange)
    assert ask("--config", file).settings["lease"] == "31s"
    assert Path(file).stat().st_mode & stat.S_IWOTH


def test_help_needs_no_file(ask: Ask, write: Write) -> None:
    """Whoever has broken the file reads there how it should be."""
    for arguments in (("--config", write("broken"), "--help"), ("--help", "--config", write("broken"))):
        answer = ask(*arguments)
        assert (answer.status, answer.line) == (0, "")
        assert answer.out.startswith("Usage: ")


# ---- other subcommands


@pytest.fixture
def rehearse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Give `rehearse(command, *arguments)`: what two other subcommands are given; one uses part of [run]."""

    @click.command
    @connection_options
    @click.option("--wait")
    def look(**options: Any) -> None:
        click.echo(repr(options))

    @click.command
    @connection_options
    @click.option("--lease", cls=Setting, table="run", type=Duration(), default=20.0)
    @click.argument("election", required=False)
    def check(**options: Any) -> None:
        click.echo(repr(options))

    monkeypatch.setattr(main.program, "commands", {"run": run, "look": look, "check": check})

    def rehearse(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["zkleader", *arguments])
        status = main.main()
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    return rehearse


def test_what_only_visits_uses_the_connection_alone(write: Write, rehearse: Ask) -> None:
    """A slip in [run] keeps nobody from asking who leads; and what is called like an option of run is another one."""
    file = write('[connection]\nhosts = "x:1"\n[run]\nwait = "5m"\nleese = 5\n[election.a]\nb = 1\n')
    answer = rehearse("look", "--config", file)
    assert (answer.status, answer.line) == (0, "")
    assert ("'hosts': 'x:1'" in answer.out, "'wait': None" in answer.out) == (True, True)
    assert rehearse("look", "--config", write("[connection]\nhots = 1\n")).status == 78
    assert rehearse("look", "--config", write("[conection]\n")).status == 78


def test_what_uses_part_of_run_reads_the_whole_table(write: Write, rehearse: Ask) -> None:
    """A key is not unknown because this subcommand has no use for it; and a table is found by an argument as well."""
    file = write('[run]\nelection = "b"\nwait = "5m"\nlease = "30s"\n[election.a]\nid = "x"\nlease = "31s"\n')
    for arguments, lease, election in ((("a",), 31.0, "'a'"), (("b",), 30.0, "'b'"), ((), 30.0, "None")):
        answer = rehearse("check", "--config", file, *arguments)
        assert (answer.status, answer.line) == (0, "")
        assert f"'lease': {lease}" in answer.out
        assert f"'election': {election}" in answer.out
    assert rehearse("check", "--config", write("[run]\nleese = 5\n")).status == 78


# ---- printing


def test_what_is_printed_says_the_same_as_a_file(ask: Ask, write: Write, say: Callable[..., list[str]]) -> None:
    """It is how one begins a file, and how one moves from a unit's variables to one."""
    arguments = say(
        ("nonblock", True, "environment"),
        ("wait", "5m", "run"),
        ("once-per", "1d", "command line"),
        ("restart", "always", "election"),
        ("restart-delay", "3s", "run"),
        ("id", 'a "quoted" ünïcode \\ id', "command line"),
        ("verbose", True, "command line"),
        ("quiet", True, "run"),
    )
    first = ask(*arguments)
    second = ask("--config", write(first.out), "-e", "x")
    expected = first.settings | {"restart": "never", "restart-delay": "1s", "quiet": False}
    del expected["hook-timeout"]  # in a file it is given, and of no effect without a hook
    assert second.settings == expected


def test_every_setting_is_printed(ask: Ask) -> None:
    """With what it is if nobody has said anything, aligned."""
    answer = ask("-e", "x")
    assert {*answer.sources} | {"election"} == {setting.key for setting in SETTINGS.values()}
    for table in answer.out.split("\n\n")[1:]:
        assert len({line.index("  # ") for line in table.splitlines() if "  # " in line}) == 1


def test_what_is_ignored_is_printed(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with a slip in its name is what one is looking for."""
    monkeypatch.setenv("ZKLEADER_RUN_LEESE", "5s")
    assert "# ZKLEADER_RUN_LEESE is ignored: no option of run is called that." in ask().out


def test_a_path_cannot_break_out_of_its_comment(ask: Ask, tmp_path: Path) -> None:
    """What is printed stays a file, whatever the first one is called."""
    file = tmp_path / 'a\n[run]\nlease = "9s"'
    file.write_text("")
    assert ask("--config", str(file)).settings["lease"] == "20s"


@pytest.mark.parametrize(("arguments", "status"), [(("--lease", "4s"), 78), (("-w", "soon"), 64), (("no-such",), 127)])
def test_printing_refuses_what_a_run_would(ask: Ask, arguments: tuple[str, ...], status: int) -> None:
    """It is a rehearsal."""
    assert ask(*arguments).status == status


def test_printing_leaves_the_result_of_the_last_run(ask: Ask, tmp_path: Path) -> None:
    """A look changes nothing."""
    result = tmp_path / "result"
    result.write_text("{}")
    assert ask("--result", str(result)).settings["result"] == str(result)
    assert result.read_text() == "{}"
