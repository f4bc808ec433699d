"""What the console asks of a payment processor, and what a processor answers."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

# The code of an attempt that ended before the bank was asked: it says nothing about the card.
NOT_CHARGED: Final = "not_charged"
# The processor knows the card no more, or never lets it be charged: asking again is in vain.
METHOD_UNUSABLE: Final = "method_unusable"
# Why a card was refused, for the person who holds it. Other codes get the last sentence.
REASONS: Final = {
    "card_declined": "The bank declined the card. Try another card, or ask the bank why.",
    "insufficient_funds": "The card does not have enough funds. Try another card.",
    "expired_card": "The card has expired. Try another card.",
    "incorrect_cvc": "The security code is wrong. Check the card and enter it again.",
    "card_country": "We cannot take payments for the API by cards that were issued in India at the "
    "moment. Nothing was charged. Use a card that was issued elsewhere.",
    "authentication_failed": "The payment was not approved with the bank, so nothing was charged.",
    "authentication_required": "The bank wants to hear from the card's holder before it pays, and "
    "nobody was there to answer. Nothing was charged. Pay on the page, or use another card.",
    NOT_CHARGED: "The payment did not reach the processor, so nothing was charged. Try again.",
    METHOD_UNUSABLE: "This card can no longer be used. Nothing was charged. Add it again or choose "
    "another.",
    "amount_too_large": "The amount is more than a card can pay at once, so nothing was charged. "
    "Write to us, and we find another way.",
    "not_a_test_card": "The sandbox takes only the test cards listed on this page.",
    "not_entered": "The card was not entered to the end, so nothing was charged. Enter it again.",
}
AMEX: Final = "American Express"
OTHER_REASON: Final = "The payment was refused and nothing was charged. Try another card."


def reason(code: str) -> str:
    return REASONS.get(code, OTHER_REASON)


class ProcessorUnavailableError(Exception):
    """The processor could not be asked, or its answer was lost on the way."""

    def __init__(self) -> None:
        super().__init__("The payment processor does not answer at the moment. Try again later.")


class CustomerGoneError(Exception):
    """The processor does not know the team any more, nor the cards that it had."""


class Status(StrEnum):
    """How an attempt to collect money stands."""

    UNCHARGED = "uncharged"  # It was prepared, and nothing more.
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # It has taken nothing and never will.


@dataclass(frozen=True, slots=True)
class Result:
    """What a processor says about one attempt.

    `code` tells why it failed. With `client_secret` a browser can answer the bank's question.
    """

    status: Status
    reference: str
    code: str = ""
    client_secret: str = field(default="", repr=False)


class RefundStatus(StrEnum):
    """How a refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundResult:
    """What a processor says about one refund."""

    status: RefundStatus
    reference: str


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was typed. It lives as long as the request: never stored, never printed."""

    number: str = field(repr=False)
    expiry_month: int = field(repr=False)
    expiry_year: int = field(repr=False)
    cvc: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Method:
    """A card as the processor knows it. `country` is its issuer's, or empty if nobody knows.

    The same number has the same fingerprint, and does not follow from it.
    """

    reference: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    country: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A card, or an attempt to charge one, that the processor or its bank does not take."""

    code: str


@dataclass(frozen=True, slots=True)
class Setup:
    """A card that is about to be entered in the browser, at the processor's own fields."""

    reference: str
    client_secret: str = field(repr=False)


class BadSignatureError(Exception):
    """A message was not sent by the processor, or not now."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a processor says has happened. What it says of it is not kept: we ask."""

    id: str
    kind: str
    reference: str


class Processor(Protocol):
    """Takes money. Every method may raise ProcessorUnavailableError.

    Money moves in two steps, so that a crash or a lost answer between any two of ours leaves
    something to ask about: `prepare` moves nothing, and `charge` may be repeated with what it
    gave, but takes the money once.
    """

    name: str

    def customer(self, *, team: str, instead_of: str = "") -> str:
        """Make the team known to the processor, once; anew in place of what it has forgotten."""

    def forget_method(self, *, reference: str) -> None:
        """Make sure that a card is not charged again. May be repeated."""

    def prepare(self, *, amount_cents: int, customer: str, method: str, key: str) -> str | Refused:
        """Name an attempt to collect an amount. The same key gives the same attempt.

        Refused is what no later attempt could change, so it is final.
        """

    def charge(self, *, reference: str, is_off_session: bool) -> Result:
        """Take the money, if the bank lets us. Off-session nobody can answer its questions."""

    def find(self, *, reference: str) -> Result:
        """Say how an attempt stands."""

    def cancel(self, *, reference: str) -> Result:
        """Make sure that an attempt takes no money from now on, and say how it stands then.

        One that has succeeded before stays succeeded.
        """

    def refund(self, *, payment: str, amount_cents: int, key: str) -> RefundResult:
        """Pay back a part of what an attempt took, once per key."""

    def find_refund(self, *, payment: str, key: str) -> RefundResult | None:
        """Say how a refund stands, or None when no such refund has arrived."""


def passes_luhn(number: str) -> bool:
    """Whether the check digit of a card number is right."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return bool(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def brand_of(number: str) -> str:
    patterns = {"Visa": r"4", "Mastercard": r"5[1-5]|2[2-7]", AMEX: r"3[47]"}
    return next((name for name, start in patterns.items() if re.match(start, number)), "Card")
