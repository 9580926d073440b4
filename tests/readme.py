"""README as tests read it: its printed lines and its tables.

Owns the few forms that README uses; what is written in another one is not found, and that fails.
"""

import re
from pathlib import Path

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def readme_block(first_line: str) -> str:
    """Return the indented block that begins with this line, without its indentation."""
    found = re.search(rf"^    {re.escape(first_line)}\n(?:(?:    .*)?\n)*", README, flags=re.MULTILINE)
    assert found is not None, first_line
    return re.sub(r"^    ", "", found[0], flags=re.MULTILINE).rstrip()


def readme_table(*header: str) -> list[list[str]]:
    """Return the rows of the table with this header; cells keep their backquotes."""
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
    """Return the cells of a table's line."""
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]


def quoted(cell: str) -> list[str]:
    """Return what stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)
