"""What a passkey was asked for, so that its answer to one question is none to another.

allauth keeps one question per session, and takes any answer to it at any door. But the door asks
the key to see its person (by a PIN, a fingerprint), since it is all that is asked there; the other
two only prefer that.
"""

from enum import StrEnum
from typing import Any

from allauth.mfa.webauthn.internal.auth import begin_authentication, get_state, set_state

from accounts.models import User


class Ceremony(StrEnum):
    """What an answer is good for."""

    SIGN_IN = "sign-in"
    SECOND_STEP = "second-step"
    PROOF = "proof"


def ask(ceremony: Ceremony, user: User | None = None) -> dict[str, Any]:
    """Make the question for the browser; it takes the place of one that was open."""
    options: dict[str, Any] = begin_authentication(user)
    assign(ceremony)
    return options


def assign(ceremony: Ceremony) -> None:
    """Say what the question is for that a view of allauth has just made."""
    set_state((get_state() or {}) | {"ceremony": ceremony})


def is_asked(ceremony: Ceremony) -> bool:
    """Say whether the open question is for this; at the door also, that it asks for the person."""
    state = get_state() or {}
    strict = ceremony != Ceremony.SIGN_IN or state.get("user_verification") == "required"
    return strict and state.get("ceremony") == ceremony
