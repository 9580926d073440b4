"""Who we are to ZooKeeper: users and passwords, and the file that they come from.

It owns the form of that file, and that a password is shown nowhere.  It must not know how ZooKeeper is told.  It does
not promise that ZooKeeper knows the user: it takes any for the scheme ``digest``, and only its ACLs tell them apart.
"""

from __future__ import annotations

from zkleader.core.value import Value
from zkleader.zk.files import AccessProblem, problem, read_secret

DIGEST = "digest"
SASL = "sasl"

WHAT = "authentication file"

_FORM = f"'{DIGEST} USER:PASSWORD' or '{SASL} USER:PASSWORD'"


class Credential(Value):
    """A user and a password for one scheme, `DIGEST` or `SASL` (DIGEST-MD5)."""

    _hidden = ("password",)

    scheme: str
    user: str
    password: str


def read_credentials(path: str) -> tuple[Credential, ...]:
    """Return what the file says: a credential a line; blank lines and those that begin with ``#`` say nothing.

    Raises:
        AccessProblem: it cannot be used; the message names the file and the line, and repeats nothing of it.
    """
    credentials: list[Credential] = []
    for number, line in enumerate(read_secret(path, WHAT).split("\n"), start=1):
        # Nothing but the end of a line is taken off it: a password may end with a blank.
        text = line.removesuffix("\r")
        if not text.strip() or text.startswith("#"):
            continue
        scheme, _, rest = text.partition(" ")
        user, colon, password = rest.partition(":")
        if scheme not in (DIGEST, SASL) or not (user.strip() and colon and password):
            raise problem(WHAT, path, f"line {number} is not {_FORM}")
        if scheme == SASL and any(known.scheme == SASL for known in credentials):
            raise problem(WHAT, path, f"line {number} is a second one for {SASL}")
        if scheme == SASL and not rest.isascii():
            # What is hashed would be other bytes with Java than with pure-sasl.
            raise problem(WHAT, path, f"line {number} is not ASCII, and {SASL} takes nothing else")
        credentials.append(Credential(scheme=scheme, user=user, password=password))
    if not credentials:
        raise problem(WHAT, path, f"no line is {_FORM}")
    if any(known.scheme == SASL for known in credentials):
        _check_sasl()
    return tuple(credentials)


def _check_sasl() -> None:
    try:
        import puresasl.client  # noqa: F401, PLC0415 # only who asks for it needs it
    except ImportError:
        how = "pure-sasl is not installed (pip install 'zkleader[sasl]')"
        raise AccessProblem(f"cannot authenticate by {SASL}: {how}") from None
