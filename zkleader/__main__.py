"""The entry point: ``zkleader`` and ``python -m zkleader``."""

# The built-in half of `signal`: importing the other takes milliseconds, in which Ctrl-C would print a traceback.
import _signal  # type: ignore[import-not-found]

# Before any other import: a Ctrl-C from here on ends us as it ends any program.  Nothing exists yet that would have to
# be cleaned up.  Whoever ignores it (nohup, jobs in the background) goes on ignoring it.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import gc

# What is imported stays for good: looking through it again and again would find nothing, and COMMAND waits.  It is
# switched on again by whoever runs for long: ``cli.main``, and for ``run`` ``cli.process``.
gc.disable()

import os
import sys

from zkleader.cli import main as cli


def main() -> None:
    """Run the program and end the process."""
    status = cli.main()
    try:
        sys.stdout.flush()
    except OSError as error:
        os._exit(cli.end_unwritten(error))
    sys.exit(status)


if __name__ == "__main__":
    main()
