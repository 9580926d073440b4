"""What other threads and signals hand to the main loop: nothing is lost, whoever stops taking in the middle."""

import select
import signal
import subprocess
import sys

from zkleader.inbox import Inbox, SignalArrived

USR1 = SignalArrived(signal=signal.SIGUSR1)
USR2 = SignalArrived(signal=signal.SIGUSR2)


def is_ready(inbox: Inbox) -> bool:
    """Whether a poll would return at once."""
    poll = select.poll()
    poll.register(inbox, select.POLLIN)
    return bool(poll.poll(0))


def test_items_come_one_at_a_time_in_order() -> None:
    """An item may end a candidacy, and then those behind it are the next one's."""
    inbox = Inbox()
    inbox.put(USR1)
    inbox.put(USR2)
    assert [inbox.take(), inbox.take(), inbox.take()] == [USR1, USR2, None]


def test_what_was_not_taken_still_wakes() -> None:
    """A signal in one batch with the end of a candidacy must not wait for the next one to be noticed."""
    inbox = Inbox()
    inbox.put(USR1)
    inbox.put(USR2)
    inbox.take()
    assert is_ready(inbox)
    inbox.take()
    assert inbox.take() is None
    assert not is_ready(inbox)


def test_a_signal_wakes_and_is_taken() -> None:
    """In a process of its own: which has no other threads, and may lose a signal for good."""
    program = (
        "import os, select, signal\n"
        "from zkleader.inbox import Inbox, SignalArrived\n"
        "inbox = Inbox()\n"
        "inbox.take_signals((signal.SIGUSR1, signal.SIGTSTP))\n"
        "poll = select.poll()\n"
        "poll.register(inbox, select.POLLIN)\n"
        "for number in (signal.SIGUSR1, signal.SIGTSTP):\n"
        "    os.kill(os.getpid(), number)\n"
        "    while (item := inbox.take()) is None:\n"
        "        assert poll.poll(10_000)\n"
        "    assert item == SignalArrived(signal=number)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_a_full_socket_loses_nothing() -> None:
    """Bytes only wake; the queue is what counts."""
    inbox = Inbox()
    many = 100_000
    for _ in range(many):
        inbox.put(USR1)
    assert sum(item is USR1 for item in iter(inbox.take, None)) == many
    assert not is_ready(inbox)
