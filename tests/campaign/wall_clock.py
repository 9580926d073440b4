"""A wall clock that can be stepped for some processes and for nobody else."""

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("wall_clock.c")
HOUR = 3600


def why_not() -> str:
    """Return why there can be no such clock here, or an empty string."""
    return (
        "" if shutil.which("cc") else "there is no C compiler (apt-get install --no-install-recommends gcc libc6-dev)"
    )


class WallClock:
    """One clock, kept beside a file of this name; `env` is the environment of those who go by it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        library = file.with_suffix(".so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True, timeout=60)
        self.step(0)
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(file)}

    def step(self, seconds: int) -> None:
        """Set it so many seconds ahead of the host's."""
        # In place: they have the file mapped.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))
