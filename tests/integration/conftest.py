"""Candidates of one election on real servers, running a witness unless told otherwise."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import GRACE, LEASE, Candidate
from program import Program
from zookeeper import Server

WITNESS = Path(__file__).resolve().parent.parent / "witness.py"


@pytest.fixture
def candidate(programs: Callable[..., Program], zookeeper: Server, election: str, beats: Path) -> Candidate:
    """Give `candidate(id, *options, hosts=, witness=, command=, env=)`: a run in the test's election."""

    def start(
        name: str,
        *options: str,
        hosts: str = "",
        witness: tuple[str, ...] = (),
        command: tuple[str, ...] = (),
        program: tuple[str, ...] = (sys.executable, "-m", "zkleader"),
        **rest: object,
    ) -> Program:
        timing = () if "--lease" in options else ("--lease", f"{LEASE}s", "--grace", f"{GRACE}s")
        line = command or (sys.executable, "-I", "-S", str(WITNESS), str(beats), *witness)
        where = ("-z", hosts or zookeeper.hosts, "-e", election, "--id", name)
        return programs("run", "-v", *where, *timing, *options, "--", *line, command=program, **rest)

    return start
