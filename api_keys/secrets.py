"""Secrets of keys: how they are made, told from noise, shown and kept. Pure."""

import re
import secrets
import string
from hashlib import sha256
from typing import Final
from zlib import crc32

ALPHABET: Final = string.digits + string.ascii_letters
RANDOM_LENGTH: Final = 74
CHECKSUM_LENGTH: Final = 6  # What 32 bits take in base 62.
SECRET_LENGTH: Final = RANDOM_LENGTH + CHECKSUM_LENGTH
# How much of the end people may see, to tell secrets apart.
SHOWN_LENGTH: Final = 4
# What is as long can hardly be anything but a secret, of which some may have been cut off, or the
# digest of one. A commit of git is shorter.
_HIDDEN: Final = re.compile(r"[0-9A-Za-z]{56,}([0-9A-Za-z]{4})")


def new_secret(prefix: str) -> str:
    """Make up a secret: 440 random bits, and a checksum by which scanners know it for one."""
    start = f"{prefix}-" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return start + checksum_of(start)


def is_secret(text: str, prefix: str) -> bool:
    """Tell what this console may have made from noise. Whether some key has it, it cannot say."""
    if not re.fullmatch(rf"{re.escape(prefix)}-[0-9A-Za-z]{{{SECRET_LENGTH}}}", text):
        return False
    return text[-CHECKSUM_LENGTH:] == checksum_of(text[:-CHECKSUM_LENGTH])


def checksum_of(start: str) -> str:
    """Write the CRC-32 of what stands before it in base 62, as GitHub does in its own tokens."""
    rest, digits = crc32(start.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def redact(secret: str, prefix: str) -> str:
    """Leave what people may see of a secret, to tell keys apart."""
    return f"{prefix}-…{secret[-SHOWN_LENGTH:]}"


def hide(text: str) -> str:
    """Redact each secret, and each digest of one, in a text that others wrote."""
    return _HIDDEN.sub(r"…\1", text)


def has_secret(text: str) -> bool:
    """Say whether `hide` would redact something."""
    return _HIDDEN.search(text) is not None


def digest_of(secret: str) -> str:
    """Say what we keep of a secret: 440 random bits need no slow hash."""
    return sha256(secret.encode()).hexdigest()
