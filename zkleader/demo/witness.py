"""The built-in COMMAND: appends a line ``CLOCK_MONOTONIC_ns TOKEN HOST`` to a file every few ms until it is killed.

It cannot act unseen.  On one machine that clock is one for all processes, so lines of several witnesses order what
they did.  It is run as a file, by a bare interpreter: it imports nothing of ours.

    python -I -S witness.py FILE
"""

import os
import sys
import time

BEAT_INTERVAL = 0.003


def main() -> None:
    """Write beats for ever."""
    who = f"{os.environ.get('ZKLEADER_TOKEN', '0')} {os.environ.get('ZKLEADER_ID', '?')}"
    # One write of one line with O_APPEND: lines of several processes do not mix.
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    while True:
        os.write(file, f"{time.monotonic_ns()} {who}\n".encode())
        time.sleep(BEAT_INTERVAL)


if __name__ == "__main__":
    main()
