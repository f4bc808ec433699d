"""How paying for something stands: what the pages of paying need to know before they ask."""

from dataclasses import dataclass
from enum import StrEnum

from billing import payments
from billing.models import Invoice, Payment, Purchase
from billing.services.collecting import Target, living_payment


class PayStanding(StrEnum):
    """What can be done about a purchase or an invoice, or what has become of it."""

    PAYABLE = "payable"
    PROCESSING = "processing"
    ASKED = "asked"  # The bank waits for its customer's answer.
    TRANSFER = "transfer"  # Money is awaited from a bank.
    PAID = "paid"
    EXPIRED = "expired"


_OF_PAYMENT = {
    Payment.Status.PROCESSING: PayStanding.PROCESSING,
    Payment.Status.REQUIRES_ACTION: PayStanding.ASKED,
    Payment.Status.SUCCEEDED: PayStanding.PAID,
}


@dataclass(frozen=True, slots=True)
class Payable:
    """A purchase or an invoice as the pages of paying see it."""

    target: Target
    payment: Payment | None  # The one that has paid, or may yet.
    standing: PayStanding
    reason: str  # Why the last attempt took nothing; empty if there was none.

    @property
    def purchase(self) -> Purchase | None:
        return self.target if isinstance(self.target, Purchase) else None

    @property
    def invoice(self) -> Invoice | None:
        return self.target if isinstance(self.target, Invoice) else None


def payable(target: Target) -> Payable:
    """Say how paying for it stands now, whatever has changed since it was read."""
    if isinstance(target, Purchase):
        target = Purchase.of(target.team).select_related("team", "buyer").get(pk=target.pk)
    else:
        target = Invoice.of(target.team).select_related("team", "receivable").get(pk=target.pk)
    payment = living_payment(target)
    return Payable(target, payment, _standing(target, payment), _reason(target))


def _standing(target: Target, payment: Payment | None) -> PayStanding:
    if payment:
        return _OF_PAYMENT[Payment.Status(payment.status)]
    if isinstance(target, Invoice):
        return PayStanding.PAYABLE if target.is_open else PayStanding.PAID
    if target.status == Purchase.Status.SUCCEEDED:
        return PayStanding.PAID
    if target.status == Purchase.Status.EXPIRED:
        return PayStanding.EXPIRED
    is_transfer = target.kind == Purchase.Kind.TRANSFER
    return PayStanding.TRANSFER if is_transfer else PayStanding.PAYABLE


def _reason(target: Target) -> str:
    if isinstance(target, Purchase):
        code = target.failure_code
    else:
        last = Payment.of(target.team).filter(invoice=target).order_by("-pk").first()
        code = last.failure_code if last else ""
    return payments.reason(code) if code else ""
