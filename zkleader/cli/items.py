"""What is offered to a shell, in click's form.

It owns when click's half of completion is imported: only when a shell asks, because every run has options that would
be completed.  It must not know what is completed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Items = list[CompletionItem[str]]


def items(texts: Iterable[str]) -> Items:
    """Return texts to choose from."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 # see above

    return [CompletionItem(text) for text in texts]


def as_file(begun: str) -> Items:
    """Return what has the shell complete the name of a file by itself."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 # see above

    return [CompletionItem(begun, type="file")]
