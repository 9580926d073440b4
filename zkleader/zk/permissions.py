"""What others may do to the znodes that we create: ACLs, and how the user writes one.

It owns their syntax and the defaults.  It must not know which znodes there are, and does not promise that ZooKeeper
knows a scheme: servers may have authentication providers of their own.
"""

from __future__ import annotations

import re

from zkleader.core.value import Value

LETTERS = "rwcda"
"""Read, write, create, delete, admin, in the order of their bits."""

_ENTRY = rf"(?P<scheme>[A-Za-z][A-Za-z0-9_-]*):(?P<id>.*?):(?P<letters>[{LETTERS}]+)(?:,(?=.)|\Z)"
"""One permission and what parts it from the next.  An id may have colons, as a digest and an IPv6 address have, and
commas, as the name in a certificate has; so it ends only where letters follow that are the last ones before a comma."""

_DIGEST = r"[^:]+:[A-Za-z0-9+/]{27}="


class Permission(Value):
    """What one identity may do; ``letters`` are some of `LETTERS`."""

    scheme: str
    id: str
    letters: str

    @property
    def bits(self) -> int:
        """As ZooKeeper counts them."""
        return sum(1 << LETTERS.index(letter) for letter in set(self.letters))


AUTH = "auth"
"""The scheme that ZooKeeper replaces by whoever creates the znode, with all identities of that connection."""

OPEN = (Permission(scheme="world", id="anyone", letters=LETTERS),)
"""For whom no authentication was given: all may do all."""

OWN = (Permission(scheme=AUTH, id="", letters=LETTERS), Permission(scheme="world", id="anyone", letters="r"))
"""For whom it was: all for those who authenticate as we do, and to be seen by everybody."""


def parse_acl(text: str) -> tuple[Permission, ...]:
    """Return what ``SCHEME:ID:PERMS[,...]`` says.

    Raises:
        ValueError: it is not of that form; the message says what is wrong, and repeats no id that may be a password.
    """
    permissions: list[Permission] = []
    at = 0
    while at < len(text):
        found = re.compile(_ENTRY).match(text, at)
        if found is None:
            raise ValueError(f"permission {len(permissions) + 1} is not SCHEME:ID:PERMS with PERMS some of {LETTERS}")
        permissions.append(_checked(Permission(scheme=found["scheme"], id=found["id"], letters=found["letters"])))
        at = found.end()
    if not permissions:
        raise ValueError("it is empty")
    return tuple(permissions)


def _checked(permission: Permission) -> Permission:
    scheme, identity = permission.scheme, permission.id
    if scheme == "world" and identity != "anyone":
        raise ValueError(f"'{identity}' is not 'anyone', who alone is the world")
    if scheme == AUTH and identity:
        raise ValueError(f"the scheme {AUTH} has no id (as in {AUTH}::{LETTERS})")
    if scheme == "digest" and not re.fullmatch(_DIGEST, identity):
        raise ValueError("the id of the scheme digest is USER:HASH, with the hash of the password and not itself")
    if scheme not in ("world", AUTH) and not identity:
        raise ValueError(f"the scheme {scheme} lacks an id")
    return permission
