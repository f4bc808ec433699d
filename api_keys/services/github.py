"""GitHub's signature on what its secret scanning reports, and the public keys to check it with.

A key need not be current. GitHub lists those that it has just replaced, too, and a report signed
before the change may come after it; what it does not trust any more, it takes off the list. Nothing
could be won by it either: a report stops a secret that its sender has to know.
"""

import binascii
import logging
from base64 import b64decode
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

import requests
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.core.cache import cache
from django.db import connection

logger = logging.getLogger(__name__)

FRESH_FOR: Final = timedelta(minutes=30)
# A list that is old but cannot be had anew still has GitHub's keys on it.
KEPT_FOR: Final = timedelta(days=1)
# Whatever ids strangers make up, and however often, GitHub is asked no more often than that.
ASKED_EVERY: Final = timedelta(minutes=1)
TIMEOUT: Final = (3.05, 7)  # Seconds to connect, and to wait for the answer.
ASKING: Final = "asking"
ANSWERED: Final = "answered"
FAILED: Final = "failed"
LONGEST_ID: Final = 128
LONGEST_SIGNATURE: Final = 256

_turn = Lock()


class BadSignatureError(Exception):
    """Nothing shows that the report comes from GitHub."""


class KeysUnavailableError(Exception):
    """GitHub's public keys cannot be had, so nobody can say where a report comes from."""

    def __init__(self) -> None:
        super().__init__("GitHub's public keys cannot be had at the moment. Send it again later.")


def verify(*, body: bytes, key_id: str, signature: str, now: datetime) -> None:
    """Return if one of GitHub's keys has signed exactly these bytes.

    Raises BadSignatureError, and KeysUnavailableError where that cannot be known.
    """
    if not key_id or not signature:
        raise BadSignatureError(
            "The headers Github-Public-Key-Identifier and Github-Public-Key-Signature are needed."
        )
    if len(key_id) > LONGEST_ID or len(signature) > LONGEST_SIGNATURE:
        raise BadSignatureError("The key's id or the signature is too long to be one.")
    try:
        signed = b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignatureError("The signature is not in base64.") from None
    try:
        _public_key(key_id, now).verify(signed, body, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise BadSignatureError("The signature does not fit the body.") from None


def _public_key(key_id: str, now: datetime) -> ec.EllipticCurvePublicKey:
    pem = _listed(key_id, now)
    if pem is None:
        raise BadSignatureError(f"GitHub lists no key {key_id}.")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadSignatureError(f"The key {key_id} is not on the curve P-256.")
    return key


# --- The list ---------------------------------------------------------------------------------


def _listed(key_id: str, now: datetime) -> str | None:
    """Find a key on GitHub's list, asking for the list where it is old or does not have the key.

    Nobody waits for another that asks, as strangers could then have every connection wait. What the
    old list does not know is not known until there is an answer.
    """
    name = f"github-keys:{settings.GITHUB_SECRET_SCANNING_KEYS_URL}"
    asked = f"{name}:asked"
    kept = cache.get(name)
    if not _answers(kept, key_id, now) and _turn.acquire(blocking=False):
        try:
            # Once a minute, whichever process does it.
            if cache.add(asked, ASKING, ASKED_EVERY.total_seconds()):
                if keys := _fetch():
                    kept = {"keys": keys, "at": now}
                    cache.set(name, kept, KEPT_FOR.total_seconds())
                cache.set(asked, ANSWERED if keys else FAILED, ASKED_EVERY.total_seconds())
            else:
                kept = cache.get(name)  # As it may have come meanwhile.
        finally:
            _turn.release()
    if kept and key_id in kept["keys"]:
        return str(kept["keys"][key_id])
    if kept is None or cache.get(asked) in {ASKING, FAILED}:
        raise KeysUnavailableError
    return None


def _answers(kept: dict[str, Any] | None, key_id: str, now: datetime) -> bool:
    return kept is not None and key_id in kept["keys"] and now - kept["at"] < FRESH_FOR


def _fetch() -> dict[str, str]:
    """Ask for the list: PEM by id. Empty where it cannot be had."""
    url = settings.GITHUB_SECRET_SCANNING_KEYS_URL
    if not connection.in_atomic_block:
        connection.close()  # Pages can have it for as long as GitHub takes to answer.
    try:
        answer = requests.get(url, timeout=TIMEOUT, headers={"Accept": "application/json"})
        answer.raise_for_status()
        listed = answer.json()["public_keys"]
        return {str(key["key_identifier"]): str(key["key"]) for key in listed}
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        logger.error("GitHub's public keys cannot be had from %s: %s", url, error)  # noqa: TRY400
        return {}
