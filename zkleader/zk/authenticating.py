"""Authentication of a connection: when it is over, and SASL as we want it.

It owns the part of kazoo between a session's handshake and its first request.  It must not know who is authenticated,
nor what is asked for then.  It does not promise that a user of the scheme ``digest`` is known to the server, which
takes any.

What kazoo does not do: it tells CONNECTED before authenticating, takes a server that dies meanwhile for one that
refuses, asks a server without SASL again and again as fast as it can, and breaks down where a server insists on SASL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.protocol.connection import ConnectionHandler
from kazoo.protocol.serialization import SASL

_DOMAIN = "zk-sasl-md5"
"""What ZooKeeper has in the place of a host name, whatever the server is called."""

_MOST_ROUNDS = 5
"""DIGEST-MD5 takes two: our empty beginning and the challenge, our response and the proof that the server knew us."""

_MOST_DROPS = 3
"""Servers before 3.6 hang up on who is refused, and one that just dies does the same; but not so often in a row."""

_REFUSALS = (exceptions.AuthFailedError.code, exceptions.SessionClosedRequireSaslError.code)


class AuthenticatedLink(ConnectionHandler):  # type: ignore[misc] # kazoo has no types
    """kazoo's end of its connections, in the place of that which a client was made with."""

    def __init__(self, client: KazooClient, sasl_options: dict[str, Any] | None, on_ready: Callable[[], None]) -> None:
        """Put it into a client that was not started; ``on_ready`` is called in the connection thread."""
        # The names below are kazoo's own affair; they were read in 2.11.
        super().__init__(client, client._conn_retry.copy(), client.logger, sasl_options)  # noqa: SLF001
        client._connection = self  # noqa: SLF001
        self._on_ready = on_ready
        self._drops = 0

    def _connect(self, host: str, hostip: str, port: int) -> Any:
        timeouts = super()._connect(host, hostip, port)
        # All that we have to show for ourselves was taken; nothing was asked for before, because nobody was told.
        self._drops = 0
        self._on_ready()
        return timeouts

    def _authenticate_with_sasl(self, _host: str, timeout: float) -> None:
        from puresasl.client import SASLClient  # noqa: PLC0415 # an extra; without it nobody gets here

        client = SASLClient(_DOMAIN, service="zookeeper", mechanism="DIGEST-MD5", **self.sasl_options)
        token = b""
        for xid in range(1, _MOST_ROUNDS + 1):
            challenge = self._exchange(xid, token, timeout)
            if not challenge:
                raise exceptions.AuthFailedError("does not authenticate by SASL")
            try:
                token = client.process(challenge) or b""
            except Exception as error:  # whatever pure-sasl meets in a challenge that is none
                raise exceptions.AuthFailedError("does not speak DIGEST-MD5 as it should") from error
            if client.complete:
                return
        raise exceptions.AuthFailedError("does not come to an end with SASL")

    def _exchange(self, xid: int, token: bytes, timeout: float) -> bytes | None:
        """Send a token; return the next challenge."""
        self._submit(SASL(token), timeout, xid)
        try:
            header, content, offset = self._read_header(timeout)
        except exceptions.ConnectionDropped as error:
            self._drops += 1
            if self._drops < _MOST_DROPS:
                raise
            raise exceptions.AuthFailedError("hangs up on SASL") from error
        if header.err in _REFUSALS:
            raise exceptions.AuthFailedError("refuses the user or the password of SASL")
        if header.err or header.xid != xid:
            raise exceptions.ConnectionDropped(f"SASL was answered with error {header.err}")
        challenge: bytes | None = SASL.deserialize(content, offset)[0]
        return challenge
