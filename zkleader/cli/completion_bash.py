"""Completion in bash: what it needs beyond click.

It owns the script, what of a line is the word that is completed, and that what is offered stays one word: elections are
named by whoever may write to ZooKeeper, and bash puts what it is handed into the line as it is, where ``$(...)`` would
run.  (zsh and fish quote by themselves.)  It must not know what is offered (``completion`` does).  It is imported only
when a shell asks.
"""

from __future__ import annotations

import os
import re
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

_CLOSED = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
"""What of a line is quoted, and ends."""

_NOT_PLAIN = re.compile(r"[^\w@%+=:,./-]")
"""What may mean something to bash."""

_NOT_QUOTABLE = re.compile(r"['\"\\$`!]")
"""What ends one of the quotes or means something in it."""


class Bash(BashComplete):
    """Completion for bash, whose words end at colons and equals signs as well: ``-z zk1:2181`` would be three.

    So the line is taken, as far as the cursor, and of what completes a word only what follows the last of these is
    handed back.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE=${COMP_LINE:0:COMP_POINT} COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = 0
        """How many characters of the word are in the line already."""
        self._is_quoted = False
        """Whether the word stands in quotes that are still open."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the one that it stands in."""
        line = os.environ.get("COMP_LINE", "")
        if not line:
            return super().get_completion_args()
        _, *words = split_arg_string(line)
        # All that is quoted and ends is a letter here, so that a blank is one that ends a word.
        bare = _CLOSED.sub("x", line)
        opening = re.search(r"['\"]", bare)
        self._is_quoted = opening is not None
        incomplete = "" if not words or (bare[-1].isspace() and not self._is_quoted) else words.pop()
        if opening is not None:  # colons do not end a word in quotes, but the quotes begin one
            self._kept = max(0, len(incomplete) - len(bare[opening.end() :]))
        else:
            begun = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
            self._kept = 1 + max(begun.rfind(character) for character in ":=")
        return words, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return a line for the script; an empty one if the word cannot be put into the line as one."""
        text = item.value[self._kept :]
        if item.type == "plain":
            if not text.isprintable() or (self._is_quoted and _NOT_QUOTABLE.search(text)):
                return ""
            if not self._is_quoted:
                text = _NOT_PLAIN.sub(r"\\\g<0>", text)
        return f"{item.type},{text}"


def register() -> None:
    """Have click use it."""
    add_completion_class(Bash)
