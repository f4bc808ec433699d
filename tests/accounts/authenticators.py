"""An authenticator app and a security key for tests: they hold real secrets and really sign."""

import hashlib
import json
import secrets
import time
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
)

from accounts.models import User
from accounts.services.factors import ALONE

Flag = AuthenticatorData.FLAG


def code_of(secret: str, ahead: int = 0) -> str:
    """Say what an app shows now, or some half minutes later."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead)))


def add_app(user: User) -> str:
    """Give the person an app, and return its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return str(secret)


class SecurityKey:
    """What a phone or a plugged-in key does when a browser asks it."""

    def __init__(self, user: User, *, origin: str = "", host: str = "localhost") -> None:
        self.origin = origin or settings.PUBLIC_URL
        self.host = hashlib.sha256(host.encode()).digest()
        self.user_handle = user.pk.hex.encode()
        self.id = secrets.token_bytes(16)
        self._secret = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        numbers = self._secret.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        public = {1: 2, 3: -7, -1: 1} | point  # An ES256 key on P-256, as RFC 9053 numbers it.
        attested = AttestedCredentialData.create(b"\0" * 16, self.id, public)  # type: ignore[arg-type]
        flags = Flag.UP | Flag.UV | Flag.AT
        data = AuthenticatorData.create(self.host, flags, 0, bytes(attested))
        attestation = AttestationObject.create("none", data, {})
        client_data = self._client_data("webauthn.create", options)
        response = {
            "clientDataJSON": websafe_encode(client_data),
            "attestationObject": websafe_encode(bytes(attestation)),
        }
        return self._credential(response) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def get(self, options: dict[str, Any], *, verified: bool = True) -> dict[str, Any]:
        flags = Flag.UP | Flag.UV if verified else Flag.UP
        data = AuthenticatorData.create(self.host, flags, 0)
        client_data = self._client_data("webauthn.get", options)
        signed = bytes(data) + hashlib.sha256(client_data).digest()
        response = {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(bytes(data)),
            "signature": websafe_encode(self._secret.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": websafe_encode(self.user_handle),
        }
        return self._credential(response)

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        challenge = options["publicKey"]["challenge"]
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = websafe_encode(self.id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response} | {
            "clientExtensionResults": {}
        }


def add_key(user: User, name: str = "Laptop", *, alone: bool = True, **origin: str) -> SecurityKey:
    """Give the person a key that was added earlier, to sign in with it alone or not."""
    key = SecurityKey(user, **origin)
    options = {"publicKey": {"challenge": websafe_encode(secrets.token_bytes(32))}}
    added = WebAuthn.add(user, name, key.create(options)).instance
    added.data[ALONE] = alone
    added.save()
    return key


def factor_types(user: User) -> set[str]:
    return set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
