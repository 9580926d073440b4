"""The guard's first lines: executed by file name as ``python -I -S .../zkleader/guard/__main__.py FD...``.

It owns finding the package that it belongs to, and that no traceback ever reaches standard error.  It does not promise
anything about a Python that does not get as far as this file.
"""

import contextlib
import gc
import os
import sys


def main() -> int:
    """Run the guard with the descriptors named on the command line, and return its exit status."""
    # Appended, never prepended: nothing that lies beside the package may stand in for the standard library.
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.append(os.path.dirname(package))
    # What is imported stays for good; `process` switches it on again.
    gc.disable()
    from zkleader.guard import process  # noqa: PLC0415 - cannot be found before the line above

    return process.main(sys.argv[1:])


if __name__ == "__main__":
    try:
        STATUS = main()
    except BaseException as error:  # noqa: BLE001 - the last resort: one line in place of a traceback
        with contextlib.suppress(OSError):
            os.write(2, f"zkleader: guard failed: {type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
        STATUS = 70
    # Not sys.exit(): no clean-up of the interpreter's may raise or wait once everything is settled.
    os._exit(STATUS)
