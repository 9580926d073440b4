"""How candidates are spread over processes: one too few, and nobody would ever see the last takeover."""

from bench.crowd import IN_ONE_PROCESS, split


def test_no_process_holds_more_than_it_can_and_nobody_is_lost() -> None:
    """An election may reach over several processes, and a process hold many elections."""
    parts = split({"/a": IN_ONE_PROCESS + 5, "/b": 1, "/c": IN_ONE_PROCESS})
    assert parts == [
        ["/a", str(IN_ONE_PROCESS)],
        ["/a", "5", "/b", "1", "/c", str(IN_ONE_PROCESS - 6)],
        ["/c", "6"],
    ]
