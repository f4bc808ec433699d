"""Tokens of mailed links. The mail alone has the token; what is kept can only recognise it."""

import secrets
from hashlib import sha256


def new_token() -> str:
    return secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()
