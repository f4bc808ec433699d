"""What the console asks of a payment processor, and what a processor answers."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

# Why a card was refused, for the person who holds it. Other codes get the last sentence.
REASONS: Final = {
    "card_declined": "The bank declined the card. Try another card, or ask the bank why.",
    "insufficient_funds": "The card does not have enough funds. Try another card.",
    "expired_card": "The card has expired. Try another card.",
    "incorrect_cvc": "The security code is wrong. Check the card and enter it again.",
    "card_country": "We cannot take payments for the API by cards that were issued in India at the "
    "moment. Nothing was charged. Use a card that was issued elsewhere.",
    "authentication_failed": "The payment was not approved with the bank, so nothing was charged.",
    "not_charged": "The payment did not reach the processor, so nothing was charged. Try again.",
    "not_a_test_card": "The sandbox takes only the test cards listed on this page.",
}
AMEX: Final = "American Express"
OTHER_REASON: Final = "The payment was refused and nothing was charged. Try another card."


def reason(code: str) -> str:
    return REASONS.get(code, OTHER_REASON)


class Status(StrEnum):
    """How an attempt to pay stands."""

    SUCCEEDED = "succeeded"
    REQUIRES_ACTION = "requires_action"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What a processor says about one attempt. `code` tells why it failed."""

    status: Status
    code: str
    reference: str
    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was typed. It lives as long as the request: never stored, never printed."""

    number: str = field(repr=False)
    expiry_month: int = field(repr=False)
    expiry_year: int = field(repr=False)
    cvc: str = field(repr=False)


class Processor(Protocol):
    """Takes money. Each method may be repeated with the same key: it acts once."""

    name: str

    def charge(self, *, amount_cents: int, card: Card, idempotency_key: str) -> Result:
        """Try to take an amount from a card."""

    def confirm(self, *, reference: str, approved: bool) -> Result:
        """Tell what the card's holder answered to `requires_action`."""

    def find(self, *, idempotency_key: str) -> Result | None:
        """Say how an attempt stands, or None when no such attempt has arrived."""

    def cancel(self, *, idempotency_key: str) -> Result:
        """Make sure that an attempt takes no money from now on, even if it has yet to arrive.

        Answers how it stands then: an attempt that has succeeded before stays succeeded.
        """


def passes_luhn(number: str) -> bool:
    """Whether the check digit of a card number is right."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return bool(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def brand_of(number: str) -> str:
    patterns = {"Visa": r"4", "Mastercard": r"5[1-5]|2[2-7]", AMEX: r"3[47]"}
    return next((name for name, start in patterns.items() if re.match(start, number)), "Card")
