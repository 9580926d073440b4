"""TLS: the context of a connection, its handshake within a limit, and why it fails, in words.

It owns the standard library's ``ssl``.  It must not know kazoo.  What kazoo does not do: verify the name that the user
has given (it is handed addresses), cap the handshake, and tell why it failed; so kazoo is handed sockets that have
their handshake behind them.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from zkleader.zk.access import Tls
from zkleader.zk.files import opened, problem
from zkleader.zk.hosts import Server

_AUTHORITIES = "CA file"
_CERTIFICATE = "client certificate"
_KEY = "client key"

_NO_ISSUER = frozenset({2, 18, 19, 20, 21, 27, 28})
"""OpenSSL's verify codes for a chain that ends at nobody who is trusted: ``X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT``,
``DEPTH_ZERO_SELF_SIGNED_CERT``, ``SELF_SIGNED_CERT_IN_CHAIN``, ``UNABLE_TO_GET_ISSUER_CERT_LOCALLY``,
``UNABLE_TO_VERIFY_LEAF_SIGNATURE``, ``CERT_UNTRUSTED``, ``CERT_REJECTED``."""
_NOT_YET_VALID = 9
_EXPIRED = 10
_WRONG_NAME = frozenset({62, 64})
"""Host name and address mismatch."""

_OF_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA")
"""In the names of alerts by which a server refuses ours, or the lack of one."""
_PLAIN = "hangs up in the TLS handshake (is this a plaintext port?)"
_WANTS_CERTIFICATE = "wants a client certificate (see --tls-cert)"
_MAY_WANT_CERTIFICATE = " (it may want a client certificate: --tls-cert)"
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
_OF_VERSIONS = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS")


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return a context with the files as they are now: a certificate that was renewed counts from then on.

    Raises:
        AccessProblem: a file cannot be used; the message names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = SecuredSocket
    if not tls.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is None:
        context.load_default_certs()
    if tls.ca is not None:
        _load_authorities(context, tls.ca, _AUTHORITIES)
    if tls.certificate is not None:
        _load_certificate(context, tls.certificate, tls.key)
    elif tls.key is not None:
        raise problem(_KEY, tls.key, "there is no certificate for it (--tls-cert)")
    return context


def _load_authorities(context: ssl.SSLContext, path: str, what: str) -> None:
    with _named(path, what) as name:
        try:
            context.load_verify_locations(name)
        except ssl.SSLError:
            raise problem(what, path, "no certificate in PEM can be read from it") from None


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    # First by itself: of the two together OpenSSL does not say which one it cannot read.
    _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, _CERTIFICATE)
    with contextlib.ExitStack() as stack:
        certificate_name = stack.enter_context(_named(certificate, _CERTIFICATE))
        key_name = None if key is None else stack.enter_context(_named(key, _KEY))
        try:
            context.load_cert_chain(certificate_name, key_name, password=_refuse_passphrase)
        except _EncryptedError:
            raise problem(_KEY, key or certificate, "it is encrypted, and there is nobody to ask") from None
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = f"it is not the key of {certificate}"
            elif key is None:
                raise problem(_CERTIFICATE, certificate, "its private key is not in it (--tls-key)") from None
            else:
                reason = "no private key in PEM can be read from it"
            raise problem(_KEY, key or certificate, reason) from None


@contextlib.contextmanager
def _named(path: str, what: str) -> Iterator[str]:
    """Give a name of the file that was opened, whatever ``path`` is the name of meanwhile: OpenSSL takes names only."""
    with opened(path, what) as descriptor:
        yield f"/proc/self/fd/{descriptor}"


class _EncryptedError(Exception):
    pass


def _refuse_passphrase() -> str:
    """Stand in for OpenSSL's own way to ask, which is to read the terminal."""
    raise _EncryptedError


class SecuredSocket(ssl.SSLSocket):
    """Tells what a server says against us in words, where kazoo would repeat OpenSSL's.

    A server that speaks TLS 1.3 refuses our certificate only when we believe the handshake to be over.
    """

    peer = ""
    """How the server is called in these words."""
    has_certificate = False
    """Whether we have one to show."""

    def recv(self, *args: Any) -> bytes:
        """Receive; errors have words."""
        try:
            return super().recv(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise  # no error: there is nothing yet
        except ssl.SSLError as error:
            raise _in_words(error, self) from None


def _in_words(error: OSError, connection: SecuredSocket) -> OSError:
    """Return an error of a secured connection's as one whose text is for users."""
    return ConnectionAbortedError(errno.ECONNABORTED, f"{connection.peer} {_reason(error, connection)}")


def secure(connection: socket.socket, tls: Tls, server: Server) -> SecuredSocket:
    """Return a connection as one that is to be secured: `shake_hands` does it.

    Raises:
        AccessProblem: a file cannot be used (any more).
    """
    # Of an address with a zone, and of a name that says that it is whole, only the rest stands in certificates.
    name = (server.name or server.host).partition("%")[0].rstrip(".")
    secured = context_of(tls).wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
    assert isinstance(secured, SecuredSocket)
    secured.peer, secured.has_certificate = str(server), tls.certificate is not None
    return secured


def shake_hands(connection: SecuredSocket, within: float) -> None:
    """Take so many seconds for the handshake.

    Raises:
        OSError: it failed; its words say why.
    """
    connection.settimeout(within)  # for all of it: Python counts over the reads and writes of a handshake
    try:
        connection.do_handshake()
    except OSError as error:
        raise _in_words(error, connection) from error


def _reason(error: OSError, connection: SecuredSocket) -> str:
    """Say what is wrong, as what follows the name of the server."""
    if isinstance(error, TimeoutError):
        return f"does not finish the TLS handshake within {connection.gettimeout():g} s"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return _PLAIN
    if not isinstance(error, ssl.SSLError):
        return f"fails in TLS: {error.strerror}"
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that {_reason_of_refusal(error, connection)}"
    if reason in _NOT_TLS:
        return _PLAIN
    if any(word in reason for word in _OF_OUR_CERTIFICATE):
        alert = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        return f"refuses our client certificate ({alert})" if connection.has_certificate else _WANTS_CERTIFICATE
    if "HANDSHAKE_FAILURE" in reason:  # what OpenSSL as a server says of TLS 1.2 without our certificate
        return f"refuses the TLS handshake{'' if connection.has_certificate else _MAY_WANT_CERTIFICATE}"
    if any(word in reason for word in _OF_VERSIONS):
        return "shares no version or cipher of TLS with us"
    return f"fails in TLS: {reason.replace('_', ' ').lower() or error}"


def _reason_of_refusal(error: ssl.SSLCertVerificationError, connection: SecuredSocket) -> str:
    if error.verify_code in _NO_ISSUER:
        return "no authority trusted here has signed"
    if error.verify_code in _WRONG_NAME:
        return f"is not for {connection.server_hostname}"
    if error.verify_code == _EXPIRED:
        return "has expired"
    if error.verify_code == _NOT_YET_VALID:
        return "is not valid yet"
    return f"is refused: {error.verify_message}"


def speaks_tls(server: Server, within: float) -> bool:
    """Say whether something that speaks TLS listens there; it is asked, and the answer not used for anything else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((server.host, server.port), within) as connection:
            context.wrap_socket(connection).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    return True
