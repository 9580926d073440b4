"""Certificates for tests, made when they are needed and of no use afterwards.

Owns authorities, what they sign, and how a ZooKeeper server is told to use it. Knows no pytest and starts nothing.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

DAY = timedelta(days=1)


class Authority:
    """A certificate authority of its own; `file` has its certificate."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.file = directory / "ca.pem"
        self.file.write_bytes(self._authority.cert_pem.bytes())

    def issue(self, *names: str, common_name: str | None = None, begins: float = -1, ends: float = 1) -> Path:
        """Return a file with a certificate for these names and its key; valid from and to so many days from now."""
        now = datetime.now(UTC)
        leaf = self._authority.issue_cert(
            *names, common_name=common_name, not_before=now + begins * DAY, not_after=now + ends * DAY
        )
        # The form that Java reads; OpenSSL reads both.
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        packed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file = self._directory / f"{common_name or names[0]}.pem"
        file.write_bytes(packed + b"".join(part.bytes() for part in leaf.cert_chain_pems))
        file.chmod(0o600)
        return file

    def server_settings(self, certificate: Path, *, client_auth: str = "want") -> dict[str, str]:
        """Return the settings of a server with this certificate; `client_auth` is none, want or need."""
        return {
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
            "ssl.keyStore.location": str(certificate),
            "ssl.keyStore.type": "PEM",
            "ssl.trustStore.location": str(self.file),
            "ssl.trustStore.type": "PEM",
            "ssl.clientAuth": client_auth,
        }
