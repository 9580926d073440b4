"""What tests of this directory call a candidate."""

from collections.abc import Callable

from program import Program

LEASE = 4.0
"""Seconds: short, so that waiting one out does not take long, and long enough for a loaded machine."""

GRACE = 1.0
"""Seconds."""

SHORT = f"--lease {LEASE}s --grace {GRACE}s"
"""Both as options, on a command line that is typed."""

Candidate = Callable[..., Program]
"""`candidate(id, *options, hosts=, witness=, command=, env=)`: a run in the test's election."""
