"""What the user wants of a candidacy.

It owns the wishes that the core decides by, and the paths of an election's lease records.  It must not check them:
``config`` has, and the core takes them as they are.
"""

from __future__ import annotations

from zkleader.core import queue
from zkleader.core.acts import Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Timing
from zkleader.core.records import Identity
from zkleader.core.restart import Restart
from zkleader.core.value import Value


class Rules(Value):
    """What the user wants.  ``wait`` and ``connect_timeout`` in seconds, ``election`` with chroot."""

    election: str
    identity: Identity
    timing: Timing
    connect_timeout: float
    leaders: int = 1
    """So many may lead at once."""
    wait: float | None = None
    """How long to wait for candidates ahead: None for ever, 0 not at all."""
    once_per: float | None = None
    """Run once per this many seconds over all hosts; None: every time."""
    restart: Restart = Restart.NEVER
    """Whether the command is started again when it has ended by itself."""
    restart_delay: float = 1.0
    """Seconds before the first of such starts."""
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    """What becomes of the command while leadership is in doubt and the lease runs on."""
    hooks: Hooks = Hooks()
    retry_failed: bool = False
    """A run that has ended with another status than 0 does not count."""

    @property
    def stop_after(self) -> float:
        """Seconds from the sending of the last confirmed renewal to the stop signal for want of another."""
        return self.timing.stop_after_with(self.on_disconnect)

    def record_path(self, slot: int) -> str:
        """Return the path of a slot's lease record."""
        return f"{self.election}/{queue.RECORD_PREFIX}{slot}"

    def slot_at(self, path: str) -> int | None:
        """Return the slot whose lease record has this path, None if none has."""
        parent, _, name = path.rpartition("/")
        return queue.slot_of(name) if parent == self.election else None
