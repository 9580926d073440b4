"""Connection strings: what they say, and what is wrong with them.

It owns their syntax, which kazoo does not check, and that of paths.  It must not know kazoo, nor look anything up: the
configuration imports it.  It does not promise that a name has an address.
"""

from __future__ import annotations

import re
import socket

from zkleader.core.value import Value

DEFAULT_PORT = 2181

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = rf"(?=.{{1,254}}\Z){_LABEL}(\.{_LABEL})*\.?"
_SERVER = r"(?:\[(?P<v6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^\[\]:]+))(?::(?P<port>[^:]*))?"


class Server(Value):
    """One server of the ensemble: a name or an address, and a port."""

    host: str
    port: int
    name: str = ""
    """Of an address that was looked up, the name that it was found by: what its certificate has to be for."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Hosts(Value):
    """A connection string: the servers, and the chroot (empty or a path without a slash at its end)."""

    servers: tuple[Server, ...]
    chroot: str

    def __str__(self) -> str:
        return ",".join(map(str, self.servers)) + self.chroot


def parse_hosts(text: str) -> Hosts:
    """Return what ``HOST:PORT[,...][/chroot]`` says.

    Raises:
        ValueError: it is not of that form; the message says what is wrong with which part.
    """
    if "://" in text:
        raise ValueError(f"'{text}' is a URL, not HOST:PORT[,...][/CHROOT]")
    servers, slash, chroot = text.partition("/")
    if "," in chroot:
        # Taken as it stands it would be a chroot with a comma in its name, and another one for each order of servers:
        # an election of its own for every host.
        raise ValueError(f"'{text}' has servers behind the chroot, which stands once, at the end")
    path = check_path(slash + chroot.rstrip("/"), "chroot") if chroot.rstrip("/") else ""
    return Hosts(servers=tuple(_parse_server(part.strip()) for part in servers.split(",")), chroot=path)


def _parse_server(text: str) -> Server:
    found = re.fullmatch(_SERVER, text)
    if found is None:
        raise ValueError(f"'{text}' is not HOST:PORT")
    host = found["v6"] or found["host"]
    if found["v6"] is not None:
        if not _is_address(host):
            raise ValueError(f"'{host}' is not an IPv6 address")
    elif not re.fullmatch(_NAME, host):
        raise ValueError(f"'{host}' is not a host name")
    port = found["port"]
    if port is None:
        return Server(host=host, port=DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"'{port}' is not a port (1 to 65535)")
    return Server(host=host, port=int(port))


def check_path(path: str, what: str) -> str:
    """Return the path if ZooKeeper can take it.

    Raises:
        ValueError: it cannot; the message says why.
    """
    parts = path.split("/")
    if not path.startswith("/") or path == "/":
        raise ValueError(f"{what} '{path}' is not an absolute path below /")
    if any(part in ("", ".", "..") for part in parts[1:]):
        raise ValueError(f"{what} '{path}' has an empty part, '.' or '..'")
    if any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or 0xD800 <= ord(char) <= 0xF8FF for char in path):
        raise ValueError(f"{what} {path!r} has a character that ZooKeeper refuses")
    if parts[1] == "zookeeper":
        raise ValueError(f"{what} '{path}' lies in ZooKeeper's own /zookeeper")
    return path


def numeric(servers: tuple[Server, ...]) -> bool:
    """Whether no name has to be resolved."""
    return all(_is_address(server.host) for server in servers)


def _is_address(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except (OSError, UnicodeError):
        return False
    return True
