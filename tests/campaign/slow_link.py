"""A link that takes its time: every frame between a port and its bridge is held for so long.

For kernels without netem. The port is moved to a bridge of its own; between that and the old one stand two taps, and a
thread of ours that carries frames from one to the other when they are due. A tap gets whole frames, with the checksums
that a virtual link would leave out, so nothing on the hosts has to be told.
"""

import contextlib
import fcntl
import itertools
import os
import selectors
import struct
import threading
import time
from collections import deque
from typing import Self

from campaign.namespace import Namespace

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA  # <linux/if_tun.h>
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME = 65536
_numbers = itertools.count()


def why_not() -> str:
    """Return why there can be no slow link here, or an empty string."""
    return "" if os.access(TUN, os.R_OK | os.W_OK) else f"there is no {TUN}"


class SlowLink:
    """A port of a bridge, slowed from entering to leaving."""

    def __init__(self, namespace: Namespace, port: str, bridge: str, seconds: float) -> None:
        self._namespace = namespace
        self._port = port
        self._bridge = bridge
        self._seconds = seconds
        number = next(_numbers)
        self._own_bridge = f"slow{number}"
        self._names = (f"near{number}", f"far{number}")
        self._taps: list[int] = []
        self._stop_in, self._stop_out = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        with self._namespace.entered():
            self._taps = [_open_tap(name) for name in self._names]
        near, far = self._names
        self._ip(
            f"link add {self._own_bridge} type bridge",
            f"link set {self._own_bridge} up",
            f"link set {near} master {self._own_bridge} up",
            f"link set {far} master {self._bridge} up",
            f"link set {self._port} master {self._own_bridge}",
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ip(f"link set {self._port} master {self._bridge}", f"link del {self._own_bridge}")
        os.close(self._stop_out)
        self._thread.join()
        # With its descriptor a tap goes.
        for descriptor in (*self._taps, self._stop_in):
            os.close(descriptor)

    def _ip(self, *lines: str) -> None:
        self._namespace.run("ip", "-batch", "-", given="\n".join(lines))

    def _carry(self) -> None:
        held: deque[tuple[float, int, bytes]] = deque()  # when due, where to, what
        other = dict(zip(self._taps, reversed(self._taps), strict=True))
        with selectors.DefaultSelector() as selector:
            for descriptor in (*self._taps, self._stop_in):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                wait = max(0.0, held[0][0] - time.monotonic()) if held else None
                for key, _ in selector.select(wait):
                    if key.fd == self._stop_in:
                        return
                    with contextlib.suppress(BlockingIOError):
                        held.append((time.monotonic() + self._seconds, other[key.fd], os.read(key.fd, FRAME)))
                while held and held[0][0] <= time.monotonic():
                    _, descriptor, frame = held.popleft()
                    with contextlib.suppress(OSError):  # a full queue drops it, as a wire does
                        os.write(descriptor, frame)


def _open_tap(name: str) -> int:
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor
