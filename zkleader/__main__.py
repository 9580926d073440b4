"""The entry point: ``zkleader`` and ``python -m zkleader``."""

import os
import signal
import sys


def main() -> None:
    """Run the program and end the process."""
    # Before any import that takes time: a Ctrl-C in between ends us as it ends any program, without a traceback.
    # Nothing exists yet that would have to be cleaned up.  Whoever ignores it (nohup, cron jobs in the background)
    # goes on ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from zkleader.cli.main import main as run_program  # noqa: PLC0415 # see above

    status = run_program()
    try:
        sys.stdout.flush()
    except OSError:
        os._exit(1)
    sys.exit(status)


if __name__ == "__main__":
    main()
