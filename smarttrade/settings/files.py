"""What settings keep in files: tokens, and the certificate with its key."""

from __future__ import annotations

import ssl
from pathlib import Path

from ..web.access import Access
from .fields import PREFIX
from .model import Settings
from .sources import BadSettings
from .values import token

CERT, KEY, TOKENS = f"{PREFIX}TLS_CERT", f"{PREFIX}TLS_KEY", f"{PREFIX}TOKENS_FILE"


def check_files(settings: Settings) -> None:
    """Read them all once.

    Raises:
        BadSettings: one of them cannot be used; it says which, and why.
    """
    access_of(settings)
    tls_of(settings)


def access_of(settings: Settings) -> Access:
    """What is asked of clients. Raises: see `check_files`."""
    given = [secret.get_secret_value() for secret in settings.tokens]
    if settings.tokens_file is not None:
        given += _tokens_in(settings.tokens_file)
    return settings.access(dict.fromkeys(given))


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """How to speak TLS; None when it is not spoken. Raises: see `check_files`."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        missing, given = (CERT, KEY) if cert is None else (KEY, CERT)
        raise BadSettings([f"{missing} is not set: it belongs to {given}"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password given, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise BadSettings(
            [f"{CERT}={str(cert)!r}, {KEY}={str(key)!r}: cannot be used: {reason}"]
        ) from error
    return context


def _tokens_in(path: Path) -> list[str]:
    name = f"{TOKENS}={str(path)!r}"
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "not a text file"
        raise BadSettings([f"{name}: cannot be read: {reason}"]) from error
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(token(text).get_secret_value())
        except ValueError:
            raise BadSettings(
                [f"{name} line {number}: must be 16 or more letters, digits and any of - . _ ~ + /"]
            ) from None
    if not found:
        raise BadSettings([f"{name}: has no token in it"])
    return found
