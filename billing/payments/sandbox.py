"""A processor that needs no network and takes no money: it knows Stripe's published test cards.

It stands where a real one would, so it keeps its own record of payments, commits it on its own,
and can be asked about an attempt whose answer we lost.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from django.db import transaction

from billing.models import SandboxPayment
from billing.payments.base import Card, Result, Status, brand_of


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """A number, and what the sandbox answers to it."""

    number: str
    outcome: str
    status: SandboxPayment.Status = SandboxPayment.Status.FAILED
    code: str = ""

    @property
    def spaced(self) -> str:
        """As it is printed on a card."""
        cuts = (0, 4, 10, 15) if len(self.number) == AMEX_DIGITS else (0, 4, 8, 12, 16)
        return " ".join(self.number[a:b] for a, b in pairwise(cuts))


AMEX_DIGITS: Final = 15
_PAID = SandboxPayment.Status.SUCCEEDED
_ASKS = SandboxPayment.Status.REQUIRES_ACTION
TEST_CARDS: Final = (
    SandboxCard("4242424242424242", "Pays, Visa", _PAID),
    SandboxCard("5555555555554444", "Pays, Mastercard", _PAID),
    SandboxCard("378282246310005", "Pays, American Express", _PAID),
    SandboxCard("4000002500003155", "Asks for confirmation", _ASKS),
    SandboxCard("4000002760003184", "Asks for confirmation each time", _ASKS),
    SandboxCard("4000000000000002", "Declined", code="card_declined"),
    SandboxCard("4000000000009995", "Insufficient funds", code="insufficient_funds"),
    SandboxCard("4000000000000069", "Expired", code="expired_card"),
    SandboxCard("4000000000000127", "Wrong security code", code="incorrect_cvc"),
    SandboxCard("4000003560000008", "Issued in India", code="card_country"),
)
_ANY_OTHER = SandboxCard("", "", code="not_a_test_card")


class Sandbox:
    """The built-in processor."""

    name = "sandbox"

    def charge(self, *, amount_cents: int, card: Card, idempotency_key: str) -> Result:
        known = next((c for c in TEST_CARDS if c.number == card.number), _ANY_OTHER)
        payment, _ = SandboxPayment.objects.get_or_create(
            idempotency_key=idempotency_key,
            defaults={
                "amount_cents": amount_cents,
                "status": known.status,
                "code": known.code,
                "card_brand": brand_of(card.number),
                "card_last4": card.number[-4:],
            },
        )
        return _result(payment)

    def confirm(self, *, reference: str, approved: bool) -> Result:
        with transaction.atomic():
            payment = SandboxPayment.objects.select_for_update().get(pk=reference)
            if payment.status == SandboxPayment.Status.REQUIRES_ACTION:
                if approved:
                    payment.status = SandboxPayment.Status.SUCCEEDED
                else:
                    payment.status = SandboxPayment.Status.FAILED
                    payment.code = "authentication_failed"
                payment.save(update_fields=["status", "code"])
        return _result(payment)

    def find(self, *, idempotency_key: str) -> Result | None:
        payment = SandboxPayment.objects.filter(idempotency_key=idempotency_key).first()
        return _result(payment) if payment else None

    def cancel(self, *, idempotency_key: str) -> Result:
        with transaction.atomic():
            # An attempt that has yet to arrive will find this one in its place.
            payment, _ = SandboxPayment.objects.select_for_update().get_or_create(
                idempotency_key=idempotency_key,
                defaults={
                    "amount_cents": 0,
                    "status": SandboxPayment.Status.CANCELLED,
                    "code": "not_charged",
                },
            )
            if payment.status == SandboxPayment.Status.REQUIRES_ACTION:
                payment.status = SandboxPayment.Status.CANCELLED
                payment.code = "authentication_failed"
                payment.save(update_fields=["status", "code"])
        return _result(payment)


_STATUSES: Final = {
    SandboxPayment.Status.SUCCEEDED: Status.SUCCEEDED,
    SandboxPayment.Status.REQUIRES_ACTION: Status.REQUIRES_ACTION,
    SandboxPayment.Status.FAILED: Status.FAILED,
    SandboxPayment.Status.CANCELLED: Status.FAILED,
}


def _result(payment: SandboxPayment) -> Result:
    return Result(
        status=_STATUSES[SandboxPayment.Status(payment.status)],
        code=payment.code,
        reference=str(payment.pk),
        brand=payment.card_brand,
        last4=payment.card_last4,
    )
