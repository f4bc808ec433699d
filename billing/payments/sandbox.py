"""A processor that needs no network and takes no money: it knows Stripe's published test cards.

It stands where a real one would, so it keeps its own record of cards, payments and refunds,
commits it on its own, and can be asked about an attempt whose answer we lost.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from billing.models import SandboxMethod, SandboxPayment, SandboxRefund
from billing.payments.base import (
    METHOD_UNUSABLE,
    Card,
    Method,
    RefundResult,
    RefundStatus,
    Refused,
    Result,
    Status,
    brand_of,
)

PAYS: Final = SandboxMethod.Outcome.PAYS
ASKS: Final = SandboxMethod.Outcome.ASKS
ALWAYS_ASKS: Final = SandboxMethod.Outcome.ALWAYS_ASKS
DECLINES: Final = SandboxMethod.Outcome.DECLINES


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """A number, and what the sandbox answers to it: with a code, already when it is entered."""

    number: str
    told: str
    outcome: SandboxMethod.Outcome = PAYS
    code: str = ""
    country: str = "US"

    @property
    def spaced(self) -> str:
        """As it is printed on a card."""
        cuts = (0, 4, 10, 15) if len(self.number) == AMEX_DIGITS else (0, 4, 8, 12, 16)
        return " ".join(self.number[a:b] for a, b in pairwise(cuts))


AMEX_DIGITS: Final = 15
TEST_CARDS: Final = (
    SandboxCard("4242424242424242", "Pays, Visa"),
    SandboxCard("5555555555554444", "Pays, Mastercard"),
    SandboxCard("378282246310005", "Pays, American Express"),
    SandboxCard("4000002500003155", "Asks for confirmation, if somebody is there", ASKS),
    SandboxCard("4000002760003184", "Asks for confirmation each time", ALWAYS_ASKS),
    SandboxCard("4000000000000341", "Is taken, and declined when it is charged", DECLINES),
    SandboxCard("4000000000000002", "Declined", code="card_declined"),
    SandboxCard("4000000000009995", "Insufficient funds", code="insufficient_funds"),
    SandboxCard("4000000000000069", "Expired", code="expired_card"),
    SandboxCard("4000000000000127", "Wrong security code", code="incorrect_cvc"),
    SandboxCard("4000003560000008", "Issued in India", country="IN"),
)
_ANY_OTHER = SandboxCard("", "", code="not_a_test_card")


class Sandbox:
    """The built-in processor."""

    name = "sandbox"

    def customer(self, *, team: str, instead_of: str = "") -> str:  # noqa: ARG002
        return f"customer-{team}"

    def tokenise(self, *, customer: str, card: Card) -> Method | Refused:
        """Take a card in, as a real processor does in the browser. Its number is forgotten."""
        known = next((c for c in TEST_CARDS if c.number == card.number), _ANY_OTHER)
        if known.code:
            return Refused(known.code)
        method = SandboxMethod.objects.create(
            customer=customer,
            outcome=known.outcome,
            brand=brand_of(card.number),
            last4=card.number[-4:],
            exp_month=card.expiry_month,
            exp_year=card.expiry_year,
            country=known.country,
        )
        return Method(
            reference=str(method.pk),
            brand=method.brand,
            last4=method.last4,
            exp_month=method.exp_month,
            exp_year=method.exp_year,
            country=method.country,
            fingerprint=salted_hmac("billing.sandbox", card.number, algorithm="sha256").hexdigest(),
        )

    def forget_method(self, *, reference: str) -> None:
        methods = SandboxMethod.objects.filter(pk=reference, detached_at=None)
        methods.update(detached_at=timezone.now())

    def prepare(self, *, amount_cents: int, customer: str, method: str, key: str) -> str | Refused:
        card = SandboxMethod.objects.filter(pk=method, customer=customer).first()
        if card is None:
            return Refused(METHOD_UNUSABLE)
        payment, _ = SandboxPayment.objects.get_or_create(
            idempotency_key=key,
            defaults={
                "amount_cents": amount_cents,
                "method": card,
                "status": SandboxPayment.Status.PREPARED,
                "card_brand": card.brand,
                "card_last4": card.last4,
            },
        )
        return str(payment.pk)

    @transaction.atomic
    def charge(self, *, reference: str, is_off_session: bool) -> Result:
        payment = _locked(reference)
        if payment.status != SandboxPayment.Status.PREPARED or payment.method is None:
            return _result(payment)
        outcome = payment.method.outcome
        asks = outcome == ALWAYS_ASKS or (outcome == ASKS and not is_off_session)
        if outcome == DECLINES or payment.method.detached_at:
            code = METHOD_UNUSABLE if payment.method.detached_at else "card_declined"
            return _decide(payment, SandboxPayment.Status.FAILED, code)
        if asks and is_off_session:
            return _decide(payment, SandboxPayment.Status.FAILED, "authentication_required")
        if asks:
            return _decide(payment, SandboxPayment.Status.REQUIRES_ACTION)
        return _decide(payment, SandboxPayment.Status.SUCCEEDED)

    @transaction.atomic
    def answer(self, *, reference: str, approved: bool) -> Result:
        """Tell what the card's holder answered to `requires_action`, as the bank's page would."""
        payment = _locked(reference)
        if payment.status != SandboxPayment.Status.REQUIRES_ACTION:
            return _result(payment)
        if approved:
            return _decide(payment, SandboxPayment.Status.SUCCEEDED)
        return _decide(payment, SandboxPayment.Status.FAILED, "authentication_failed")

    def find(self, *, reference: str) -> Result:
        return _result(SandboxPayment.objects.get(pk=reference))

    @transaction.atomic
    def cancel(self, *, reference: str) -> Result:
        payment = _locked(reference)
        if payment.status == SandboxPayment.Status.PREPARED:
            return _decide(payment, SandboxPayment.Status.CANCELLED, "not_charged")
        if payment.status == SandboxPayment.Status.REQUIRES_ACTION:
            return _decide(payment, SandboxPayment.Status.CANCELLED, "authentication_failed")
        return _result(payment)

    @transaction.atomic
    def refund(self, *, payment: str, amount_cents: int, key: str) -> RefundResult:
        paid = _locked(payment)
        if made := self.find_refund(payment=payment, key=key):
            return made
        room = paid.amount_cents - paid.refunded_cents
        if paid.status != SandboxPayment.Status.SUCCEEDED or amount_cents > room:
            return RefundResult(RefundStatus.FAILED, "")
        SandboxPayment.objects.filter(pk=paid.pk).update(
            refunded_cents=F("refunded_cents") + amount_cents
        )
        refund = SandboxRefund.objects.create(
            payment=paid, idempotency_key=key, amount_cents=amount_cents
        )
        return RefundResult(RefundStatus.SUCCEEDED, str(refund.pk))

    def find_refund(self, *, payment: str, key: str) -> RefundResult | None:
        refund = SandboxRefund.objects.filter(payment__pk=payment, idempotency_key=key).first()
        return RefundResult(RefundStatus.SUCCEEDED, str(refund.pk)) if refund else None


def _locked(reference: str) -> SandboxPayment:
    payments = SandboxPayment.objects.select_related("method")
    return payments.select_for_update(of=("self",)).get(pk=reference)


def _decide(payment: SandboxPayment, status: SandboxPayment.Status, code: str = "") -> Result:
    payment.status, payment.code = status, code
    payment.save(update_fields=["status", "code"])
    return _result(payment)


_STATUSES: Final = {
    SandboxPayment.Status.PREPARED: Status.UNCHARGED,
    SandboxPayment.Status.SUCCEEDED: Status.SUCCEEDED,
    SandboxPayment.Status.REQUIRES_ACTION: Status.REQUIRES_ACTION,
    SandboxPayment.Status.FAILED: Status.FAILED,
    SandboxPayment.Status.CANCELLED: Status.FAILED,
}


def _result(payment: SandboxPayment) -> Result:
    status = _STATUSES[SandboxPayment.Status(payment.status)]
    return Result(status=status, reference=str(payment.pk), code=payment.code)
