"""The library's door: its names cost nothing until they are used, and what cannot work is refused where it stands."""

import math
import subprocess
import sys

import pytest
from program import CHECKOUT

import zkleader
from zkleader import ConfigurationError, Election, ZkLeaderError


def test_importing_the_package_imports_nothing() -> None:
    """The guard imports it, and starts in milliseconds."""
    program = "import sys; before = set(sys.modules); import zkleader; print(*(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert ran.stdout.split() == ["zkleader"]


def test_the_library_needs_neither_the_command_line_nor_the_guard() -> None:
    """What its users import with it is theirs to carry."""
    program = "import sys, zkleader; zkleader.Election; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    loaded = set(ran.stdout.split())
    assert not loaded & {"click", "structlog", "psutil", "asyncio", "zkleader.supervisor", "zkleader.guard.loop"}


def test_every_name_of_the_library_is_found() -> None:
    """By those who complete on them too; and no other."""
    for name in zkleader._LIBRARY:
        assert getattr(zkleader, name) is not None
    assert set(zkleader._LIBRARY) <= set(dir(zkleader))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = zkleader.Nothing  # type: ignore[attr-defined]


def test_every_error_has_the_same_base() -> None:
    """Whoever wants to catch all of them names one."""
    errors = [getattr(zkleader, name) for name in zkleader._LIBRARY if name.endswith("Error")]
    assert len(errors) == 10
    assert all(issubclass(error, ZkLeaderError) for error in errors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hosts": "http://x"}, "hosts: 'http://x' is a URL"),
        ({"path": "/"}, "path: election '/' is not an absolute path below /"),
        ({"path": ""}, "path: "),
        ({"lease": 1.0}, "lease: 1s is not within 2s and 60s"),
        ({"lease": 4.0}, "cannot use this timing: grace 5s [+] margin 0.29s"),
        ({"grace": -1.0}, "grace"),
        ({"connect_timeout": 0.0}, "connect_timeout"),
        ({"id": ""}, "id: it is empty"),
        ({"grace": math.nan}, "grace: nan is no finite number of seconds"),
        ({"lease": math.nan}, "lease: nan is no finite number of seconds"),
        ({"connect_timeout": math.nan}, "connect_timeout: nan is no finite number of seconds"),
        ({"connect_timeout": math.inf}, "connect_timeout: inf is no finite number of seconds"),
        ({"grace": -(10**400)}, "grace: -1000000000"),
        ({"lease": "20"}, "lease: '20' is no finite number of seconds"),
        ({"grace": None}, "grace: None is no finite number of seconds"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_done(arguments: dict[str, object], message: str) -> None:
    """With the name of the argument, and no option's."""
    known: dict[str, object] = {"hosts": "127.0.0.1:1", "path": "job"}
    with pytest.raises(ConfigurationError, match=message) as refused:
        Election(**known | arguments)  # type: ignore[arg-type]
    assert "--" not in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_name_is_the_election_that_run_means_by_it() -> None:
    """A program and a command that is run may lead the same one."""
    assert repr(Election("zk1,zk2/app", "job")) == "<Election /zkleader/job at zk1:2181,zk2:2181/app>"
    assert repr(Election("zk1", "/own/path")) == "<Election /own/path at zk1:2181>"
