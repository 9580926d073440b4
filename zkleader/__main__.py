"""The entry point: ``zkleader`` and ``python -m zkleader``."""

# The built-in half of `signal`: importing the other takes milliseconds, in which Ctrl-C would print a traceback.
import _signal  # type: ignore[import-not-found]

# Before any other import: a Ctrl-C from here on ends us as it ends any program.  Nothing exists yet that would have to
# be cleaned up.  Whoever ignores it (nohup, jobs in the background) goes on ignoring it.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
import sys

from zkleader.cli import main as cli


def main() -> None:
    """Run the program and end the process."""
    status = cli.main()
    try:
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
    except OSError as error:
        os._exit(cli.end_unwritten(error))
    sys.exit(status)


if __name__ == "__main__":
    main()
