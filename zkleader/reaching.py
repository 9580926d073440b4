"""How an ensemble is reached, as users say it: in words and by names of files, all of which are looked at at once.

It owns what fits together, and the errors that name what does not: options, keys of the configuration file and
arguments of the library are called alike.  It must not know where they are from.  It does not promise that a server
exists, nor that it takes what we have to show.
"""

from __future__ import annotations

import os

from zkleader.config import ConfigurationProblem, UsageProblem
from zkleader.zk.access import Access, Tls
from zkleader.zk.credentials import read_credentials
from zkleader.zk.files import AccessProblem
from zkleader.zk.hosts import parse_hosts
from zkleader.zk.permissions import AUTH, parse_acl


def reach(
    *,
    hosts: str,
    auth_file: str | None = None,
    acl: str | None = None,
    tls: bool = False,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    tls_no_verify: bool = False,
) -> Access:
    """Return the way to an ensemble.

    Raises:
        UsageProblem: a value, or a combination of them, is wrong.
        ConfigurationProblem: a file cannot be used.
    """
    try:
        servers = parse_hosts(hosts)
    except ValueError as error:
        raise UsageProblem(str(error), "--hosts") from None
    try:
        permissions = () if acl is None else parse_acl(acl)
    except ValueError as error:
        raise UsageProblem(str(error), "--acl") from None
    if any(permission.scheme == AUTH for permission in permissions) and auth_file is None and tls_cert is None:
        raise UsageProblem(f"its {AUTH} is whoever --auth-file or --tls-cert says we are", "--acl")
    if not tls:
        # Never in plain text where somebody has said how to verify.
        given = {"ca": tls_ca, "cert": tls_cert, "key": tls_key, "no-verify": tls_no_verify or None}
        for name in (name for name, value in given.items() if value is not None):
            raise UsageProblem("it needs --tls", f"--tls-{name}")
    try:
        return Access(
            hosts=servers,
            credentials=() if auth_file is None else read_credentials(auth_file),
            acl=permissions,
            tls=_tls_of(tls_ca, tls_cert, tls_key, is_verified=not tls_no_verify) if tls else None,
        )
    except AccessProblem as problem:
        raise ConfigurationProblem(str(problem)) from None


def _tls_of(ca: str | None, certificate: str | None, key: str | None, *, is_verified: bool) -> Tls:
    # Absolute, because they are read again for each connection, also by others in our place.
    ca, certificate, key = (None if path is None else os.path.abspath(path) for path in (ca, certificate, key))
    wanted = Tls(ca=ca, certificate=certificate, key=key, is_verified=is_verified)
    from zkleader.zk.tls import context_of  # noqa: PLC0415 # who speaks plain text need not wait for its import

    context_of(wanted)
    return wanted
