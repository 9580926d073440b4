"""Who may import what: the architecture as a test.

The guard must start fast and outlive whatever breaks above it, so it may load next to nothing. The core must be pure,
or the property test proves nothing. kazoo, click and fork each have one home. Import statements are read from the
source (also those inside functions); what a fresh interpreter really loads is asked of one.
"""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "zkleader"
HEAVY = {"kazoo", "click", "structlog", "psutil", "subprocess", "asyncio"}
IMPURE = {"time", "os", "socket", "threading", "logging", "signal", "random"}
FORKS = {"fork", "forkpty", "posix_spawn", "posix_spawnp"}

# What a part may import of ours: parts, or single modules of a part. "zkleader" itself (the version) is free for all.
PARTS = {
    "core": {"core"},
    "named_file": set[str](),
    "zk": {"zk", "core", "errors", "named_file"},
    "guard": {"guard", "core"},
    "exit_status": set[str](),
    "config": {"core", "exit_status", "zk.access", "zk.hosts"},  # what they say, which needs no kazoo
    "harmless": set[str](),
    "log": {"core", "harmless"},
    "systemd": {"core"},
    "signals": {"core"},
    "errors": set[str](),
    "sessions": {"core", "zk"},
    "reaching": {"config", "zk"},
    "library": {"core", "zk", "config", "errors", "guard.system", "reaching", "sessions"},
    "inbox": {"core", "sessions"},
    "terminal": {"core", "guard"},
    "job": {"core", "terminal"},
    "custody": {"core", "guard", "config", "terminal"},
    "guard_words": {"core", "config", "result"},
    "resign": {"core", "zk", "guard", "sessions"},
    "check": {"core", "zk", "guard", "config", "exit_status", "status.text"},
    "hooks": {"config"},
    "demo": {
        "core",
        "exit_status",
        "guard",
    },  # the guard's ways to find and end processes; candidates are programs of their own
    "whole_file": {"config"},
    "result": {"core", "log", "whole_file"},
    "metrics": {"core"},
    "metrics_file": {"core", "config", "metrics", "whole_file"},
    "status": {"core", "harmless", "zk.access"},
    "supervisor": {
        "core", "zk", "guard", "config", "custody", "exit_status", "guard_words", "job", "log", "systemd", "inbox",
        "result", "sessions", "signals", "metrics_file",
    },
}  # fmt: skip
FREE = {"cli", "__main__", "__init__"}  # the outermost ring, and the library's lazy door

SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(name: str) -> str:
    """Return the part of the package that a module belongs to: the name after the first dot."""
    return [*name.split("."), "__init__"][1]


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names of what a file imports, wherever the statement stands."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            # `from zkleader import core` imports a module, `from zkleader.core import x` perhaps one too.
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imported_roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def loaded_by(module: str) -> set[str]:
    """Return the names of the modules that importing `module` loads in a fresh interpreter."""
    # What a bare interpreter has loaded (a .pth file's doing, say) is not ours to answer for, so it is subtracted.
    program = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=30)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def homes(words: set[str]) -> set[str]:
    """Return the parts whose source imports any of these top-level modules."""
    return {part_of(module_name(path)) for path in SOURCES if imported_roots(path) & words}


GUARD = {"zkleader.guard.loop"} | {name for name in map(module_name, SOURCES) if part_of(name) == "guard"}


@pytest.mark.parametrize("module", sorted(GUARD))
def test_the_guard_loads_nothing_heavy(module: str) -> None:
    """The guard stands between COMMAND and its start, and must work when everything above it is stuck."""
    roots = {name.partition(".")[0] for name in loaded_by(module)}
    assert not roots & HEAVY


@pytest.mark.parametrize("module", sorted(module_name(path) for path in SOURCES if "core" in path.parts))
def test_the_core_loads_nothing_of_ours_but_the_core(module: str) -> None:
    """The core is what the model explores: what it drags in would have to be modelled too."""
    ours = {name for name in loaded_by(module) if name.partition(".")[0] == "zkleader"}
    assert {name for name in ours if part_of(name) not in ("core", "__init__")} == set()


def test_the_core_is_pure() -> None:
    """No clock, no I/O, no threads, no chance: the same events give the same actions, always."""
    found = {
        (module_name(path), name)
        for path in SOURCES
        if part_of(module_name(path)) == "core"
        for name in imported_roots(path)
        if name not in sys.stdlib_module_names - IMPURE and name != "zkleader"
    }
    assert found == set()


def test_kazoo_has_one_home() -> None:
    """No kazoo exception leaves zkleader.zk, because nobody else could name one."""
    assert homes({"kazoo"}) <= {"zk"}


def test_click_has_one_home() -> None:
    """The command line is one way in; the library is another and must not need click."""
    assert homes({"click"}) <= {"cli", "__main__"}


def test_system_calls_by_hand_have_one_home() -> None:
    """A fork or prctl outside the guard would be a second place to get signals, threads and children wrong."""
    assert homes({"ctypes", "psutil"}) <= {"guard"}
    forking = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            by_attribute = isinstance(node, ast.Attribute) and node.attr in FORKS
            by_name = isinstance(node, ast.ImportFrom) and any(alias.name in FORKS for alias in node.names)
            if by_attribute or by_name:
                forking.add(part_of(module_name(path)))
    assert forking <= {"guard"}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_dependencies_go_one_way(path: Path) -> None:
    """Inner parts know nothing of outer ones; a part that this table lacks is a decision somebody has to make."""
    part = part_of(module_name(path))
    if part in FREE:
        return
    assert part in PARTS, f"{part} has no place in the table of {Path(__file__).name}"
    allowed = PARTS[part]
    # `from zkleader import __version__` names no part.
    known = {part_of(module_name(source)) for source in SOURCES} - {"__init__"}
    ours = {name.partition(".")[2] for name in imports(path) if name.startswith("zkleader.") and part_of(name) in known}
    foreign = {
        name for name in ours if not any(name == inner or name.startswith(f"{inner}.") for inner in allowed | {part})
    }
    assert foreign == set()


def test_the_judge_of_the_demonstration_is_pure() -> None:
    """Its verdict is believed because it is tested with planted overlaps: it may see nothing but what it is given."""
    pure = sys.stdlib_module_names - IMPURE
    found = set(imports(PACKAGE / "demo" / "timeline.py"))
    assert {name for name in found if name.partition(".")[0] not in pure} == {"zkleader.core.value.Value"}


def test_the_configuration_loads_no_kazoo() -> None:
    """A wrong value is refused before anything is created, and `--help` answers at once."""
    roots = {name.partition(".")[0] for name in loaded_by("zkleader.config")}
    assert not roots & {"kazoo", "psutil", "structlog", "ssl", "puresasl"}


def test_the_command_line_loads_no_tls() -> None:
    """It takes as long to import as half of kazoo; who speaks plain text gets it with kazoo, when the guard starts."""
    roots = {name.partition(".")[0] for name in loaded_by("zkleader.cli.main")}
    assert not roots & {"kazoo", "ssl", "puresasl"}
