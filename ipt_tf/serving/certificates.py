"""Certificates and their keys, in files (PEM)."""

import ssl
from pathlib import Path


def context_of(
    certificate: Path, key: Path, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH
) -> ssl.SSLContext:
    """Returns a context with a certificate of one's own.

    Args:
        certificate: file of the certificate, and of those that it was signed with.
        key: file of its private key.
        purpose: SERVER_AUTH in a client, CLIENT_AUTH in a server.

    Raises:
        OSError: a file cannot be read.
        ValueError: they are not a certificate and its key, or the key is encrypted.
    """
    for file in (certificate, key):
        file.read_bytes()  # for an error that names the file
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True  # OpenSSL would ask at the terminal
        return ""

    context = ssl.create_default_context(purpose)
    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError:
        if asked:
            raise ValueError(f"{key} is encrypted; `openssl pkey -in {key} -out FILE` decrypts it") from None
        raise ValueError(f"{certificate} and {key} are not a certificate and its key (PEM)") from None
    return context
