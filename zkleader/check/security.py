"""What protects the way to the servers, and what we have shown them of ourselves.

It owns the judgement of how an ensemble was reached; that it was reached is not its affair.  It does not promise that a
server knows a user of the scheme ``digest``: it takes any.
"""

from __future__ import annotations

from zkleader.check.finding import Finding, ok, warn
from zkleader.zk.access import Access
from zkleader.zk.credentials import DIGEST


def judge(access: Access) -> list[Finding]:
    """Return what there is to say; of neither TLS nor authentication nothing, where neither is wanted."""
    found: list[Finding] = []
    if access.tls is not None:
        is_verified = access.tls.is_verified
        text = "servers are verified by their names" if is_verified else "servers are not verified (--tls-no-verify)"
        found.append(ok("tls", text) if is_verified else warn("tls", text))
    if access.schemes:
        text = f"authenticated by {', '.join(access.schemes)}"
        is_readable = DIGEST in access.schemes and access.tls is None
        text += "; without --tls the password of digest can be read on the way" if is_readable else ""
        found.append(warn("login", text) if is_readable else ok("login", text))
    return found
