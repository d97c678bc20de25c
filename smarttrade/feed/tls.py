"""The certificates that are trusted, for REST and streams alike."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import certifi

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
"""A Python that was built elsewhere does not find its machine's certificates by itself. Source:
Go, crypto/x509/root_linux.go."""


class BadCertificates(ValueError):
    """SSL_CERT_FILE or SSL_CERT_DIR cannot be used; one line that names it."""


def client_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Trust the certificates of this machine and of certifi; or those that the environment names.

    A company's own authority is usually in the machine's store only, and a minimal container has
    certifi's only. SSL_CERT_FILE and SSL_CERT_DIR replace both, as with curl.

    Raises:
        BadCertificates: the environment names some that cannot be loaded.
    """
    file, directory = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file or directory:
        return _named_context(file or None, directory or None)
    context = ssl.create_default_context()
    for bundle in (*SYSTEM_BUNDLES, certifi.where()):
        with suppress(OSError):
            context.load_verify_locations(bundle)
    return context


def _named_context(file: str | None, directory: str | None) -> ssl.SSLContext:
    if directory is not None and not Path(directory).is_dir():
        raise BadCertificates(f"SSL_CERT_DIR={directory!r}: must be a directory of certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file, directory)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        text = f"SSL_CERT_FILE={file!r}: must be a PEM file of certificates: {reason}"
        raise BadCertificates(text) from error
    return context
