"""A later version of the program that writes format 1 with additional fields: a copy of this one, with records patched.

It is a whole copy in a directory of its own, so that its guard, and the program that releases for a dead supervisor,
are that version too.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from program import CHECKOUT

ADDED = {"text": "später", "parts": [1, 2.5, None, {"deep": {"deeper": []}}]}
"""What it adds, to each of what it writes: under ``added``."""

_PATCH = f"""

ADDED = {ADDED!r}
_candidate_data, _claimed, _renewed, _released = candidate_data, claimed, renewed, released


def _more(content, *inner):
    content = content | {{"added": ADDED | {{"by": content.get("holder")}}}}
    for name in inner:
        if isinstance(content.get(name), dict):
            content[name] = content[name] | {{"added": ADDED}}
    return content


def candidate_data(*given, **named):
    return _dump(json.loads(_candidate_data(*given, **named)) | {{"added": ADDED}})


def claimed(*given, last_run=None, **named):
    claim = _claimed(*given, last_run=last_run, **named)
    return LeaseRecord(content=_more(claim.content, *(["last_run"] if last_run is not None else [])))


def renewed(*given, **named):
    return LeaseRecord(content=_more(_renewed(*given, **named).content))


def released(*given, **named):
    return LeaseRecord(content=_more(_released(*given, **named).content, "previous", "last_run"))
"""


def make(directory: Path) -> tuple[str, ...]:
    """Make that version in a directory; return how it is started."""
    package = directory / "zkleader"
    shutil.copytree(CHECKOUT / "zkleader", package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "core" / "records.py").open("a") as records:
        records.write(_PATCH)
    start = f"import sys; sys.path.insert(0, {str(directory)!r}); from zkleader.__main__ import main; main()"
    return (sys.executable, "-c", start)


def added_by(content: dict[str, Any]) -> str:
    """Check that what was added to a record stands there whole; return by which candidacy."""
    added = dict(content["added"])
    holder: str = added.pop("by")
    assert added == ADDED
    return holder
