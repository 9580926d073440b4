"""A real ssh server on a loopback port, with keys and a home of its own.

Owns one dropbear (a server, a client and a key generator in one small package without a service) and every session of
it. The server looks for authorized keys in the user's home: in a mount namespace of its own the user has another one.
Knows no pytest.
"""

import os
import pwd
import shutil
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Self

from processes import MARK, bound_to_us, children, kill_marked
from waiting import wait_until

from zkleader.demo.server import free_port

PROGRAMS = ("dropbear", "dropbearkey", "dbclient")
# $1: the passwd file to be seen; further: the server.
SERVE = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
NAMESPACE = ("unshare", "--mount", "--propagation", "private")


def why_not() -> str:
    """Return why there can be no such server here, or an empty string."""
    if os.geteuid() != 0:
        return "only root may have a mount namespace"
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return f"there is no {missing[0]} (apt-get install --no-install-recommends dropbear-bin)"
    probe = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False)
    return f"we may not have a mount namespace: {probe.stderr.strip()}" if probe.returncode != 0 else ""


class SshServer:
    """One running server; `client` is the beginning of a command line whose last word is to be run by it."""

    def __init__(self, directory: Path) -> None:
        self._mark = uuid.uuid4().hex
        user = pwd.getpwuid(os.geteuid())
        home = directory / "home"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        home.chmod(0o700)
        keys = [directory / "host.key", directory / "client.key"]
        told = [self._make_key(key) for key in keys]
        authorized = home / ".ssh" / "authorized_keys"
        authorized.write_text(next(line for line in told[1].splitlines() if line.startswith("ssh-")) + "\n")
        authorized.chmod(0o600)
        passwd = directory / "passwd"
        passwd.write_text(f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{home}:/bin/sh\n")
        port = free_port()
        server = ("dropbear", "-F", "-E", "-s", "-j", "-k", "-p", f"127.0.0.1:{port}", "-r", str(keys[0]), "-P", "")
        self._log = directory / "dropbear.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                bound_to_us(*NAMESPACE, "sh", "-c", SERVE, "sh", str(passwd), *server),
                env=os.environ | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.client = ("dbclient", "-y", "-y", "-i", str(keys[1]), "-p", str(port), f"{user.pw_name}@127.0.0.1")
        try:
            wait_until(lambda: self._accepts(port), what="an ssh server")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _make_key(path: Path) -> str:
        line = ["dropbearkey", "-t", "ed25519", "-f", str(path)]
        return subprocess.run(line, capture_output=True, text=True, check=True, timeout=30).stdout

    def _accepts(self, port: int) -> bool:
        assert self._process.poll() is None, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_no_session(self) -> None:
        """Wait until the server has ended every connection, and so closed its ends of the programs' streams."""
        wait_until(lambda: not children(self._process.pid), what="the end of every connection")

    def close(self) -> None:
        """End the server and its sessions; programs that were started by it bear marks of their own."""
        kill_marked(self._mark)
        self._process.kill()
        self._process.wait(10)
