"""Hooks as they are given: what is refused before anybody campaigns."""

import pytest

from zkleader import hooks
from zkleader.config import UsageProblem


@pytest.mark.parametrize("text", ["true", "ip address add 198.51.100.7/24 dev eth0", "if x; then y; fi # 'z", "exit 3"])
def test_what_the_shell_understands_is_taken_and_not_run(text: str) -> None:
    """Whether its programs are there only running it tells, and that would be a hook out of its turn."""
    hooks.check_hook(text, "--on-lost")


@pytest.mark.parametrize("text", ["", " \n", "if x", "'", "a & & b", "a\0b"])
def test_what_it_does_not_is_refused(text: str) -> None:
    """Found out when it is due it would be too late."""
    with pytest.raises(UsageProblem) as told:
        hooks.check_hook(text, "--on-lost")
    assert told.value.option == "--on-lost"
    assert "\n" not in str(told.value)


def test_a_time_out_needs_a_hook() -> None:
    """One that is for nothing is a mistake."""
    with pytest.raises(UsageProblem):
        hooks.check_hooks(None, None, has_timeout=True)
    hooks.check_hooks("true", None, has_timeout=True)
    hooks.check_hooks(None, "true", has_timeout=True)
    hooks.check_hooks(None, None, has_timeout=False)
