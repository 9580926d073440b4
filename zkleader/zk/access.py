"""How an ensemble is reached, and the two ways in which it is not.

It is what options, the configuration file and the library agree on, and what the guard hands to the program that
releases.  It must not know kazoo: the configuration imports it.
"""

from __future__ import annotations

from typing import Any

from zkleader.core.actions import AUTHENTICATE
from zkleader.core.value import Value
from zkleader.errors import ZkLeaderError
from zkleader.zk.credentials import Credential
from zkleader.zk.hosts import Hosts, parse_hosts
from zkleader.zk.permissions import OPEN, OWN, Permission


def in_sentence(trouble: str) -> str:
    """Return what a connection has met as what follows a colon."""
    return trouble[:1].lower() + trouble[1:]


class UnreachableError(ZkLeaderError):
    """No server could be reached, or none has answered; the message says why."""

    @classmethod
    def of(cls, trouble: str) -> UnreachableError:
        """Return it with the trouble that connections have met, if they have met any."""
        return cls(in_sentence(trouble or "no server answers"))


class NotPermittedError(ZkLeaderError):
    """Authentication was refused, or an ACL does not permit it; the message says what, ``why`` the reason."""

    def __init__(self, what: str, why: str = "not permitted") -> None:
        super().__init__(what)
        self.why = why

    @classmethod
    def of(cls, what: str, trouble: str) -> NotPermittedError:
        """Return it with the trouble that the session met as the reason, if it is the session that was refused."""
        return cls(what, trouble) if what == AUTHENTICATE and trouble else cls(what)


class Tls(Value):
    """How a connection is secured; files are in PEM, named by absolute paths, and read for each connection."""

    ca: str | None = None
    """Certificates of the authorities to trust; None: those that the system trusts."""
    certificate: str | None = None
    """Our own certificate, for servers that want one, with those up to the authority's."""
    key: str | None = None
    """Its private key, if it is not in the same file."""
    is_verified: bool = True
    """Whether a server must have a certificate of an authority's for the name that it is reached by."""


class Access(Value):
    """A way to an ensemble."""

    hosts: Hosts
    credentials: tuple[Credential, ...] = ()
    acl: tuple[Permission, ...] = ()
    """Wanted for the znodes that we create; empty: what suits the credentials."""
    tls: Tls | None = None

    @property
    def schemes(self) -> tuple[str, ...]:
        """By which we authenticate, each once."""
        return tuple(dict.fromkeys(credential.scheme for credential in self.credentials))

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """What is permitted, and to whom, on each znode that we create.

        A certificate of ours changes nothing: most hosts have one each, and the first would lock the others out.
        """
        return self.acl or (OWN if self.credentials else OPEN)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `from_json` reads; it holds secrets."""
        return {
            "hosts": str(self.hosts),
            "credentials": [credential.as_dict() for credential in self.credentials],
            "acl": [permission.as_dict() for permission in self.acl],
            "tls": None if self.tls is None else self.tls.as_dict(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Access:
        """Return what `to_json` has given.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        return cls(
            hosts=parse_hosts(content["hosts"]),
            credentials=tuple(Credential(**part) for part in content["credentials"]),
            acl=tuple(Permission(**part) for part in content["acl"]),
            tls=None if content["tls"] is None else Tls(**content["tls"]),
        )
