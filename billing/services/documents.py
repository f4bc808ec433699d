"""Issuing documents: numbered without gaps, and never changed afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings

from accounts.models import Team, User
from billing.models import BillingCycle, Invoice, InvoiceSeries, Purchase, Refund
from billing.rules import cents_from_ticks, tax_cents
from billing.services.details import details
from billing.services.mails import send_mail
from billing.services.methods import default_method
from billing.services.month_lines import lines_of

RECEIPTS: Final = "R"
MONTHS: Final = "M"
CREDIT_NOTES: Final = "C"


class BooksDifferError(Exception):
    """What the requests of a month add up to is not what the books say that it cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The bill of a month before it has a number."""

    month: date
    seller: dict[str, Any]
    buyer: dict[str, Any]
    lines: list[dict[str, Any]]
    credits_used_ticks: int
    subtotal_cents: int
    tax_cents: int
    tax_percent: Decimal
    tax_name: str

    @property
    def total_cents(self) -> int:
        return self.subtotal_cents + self.tax_cents


def issue_receipt(*, purchase: Purchase, paid_with: str, now: datetime) -> Invoice:
    """Write the receipt of a paid purchase, in the caller's transaction."""
    return _issue(
        RECEIPTS,
        team=purchase.team,
        kind=Invoice.Kind.PURCHASE,
        issued_at=now,
        purchase=purchase,
        seller=_seller(),
        # Of what was bought by itself nobody is the buyer, who may have left long ago.
        buyer=_buyer(
            purchase.team, None if purchase.kind == purchase.Kind.AUTO else purchase.buyer
        ),
        lines=[{"description": "Prepaid credits", "amount_cents": purchase.amount_cents}],
        subtotal_cents=purchase.amount_cents,
        tax_cents=purchase.tax_cents,
        tax_percent=purchase.tax_percent,
        tax_name=settings.TAX_NAME if purchase.tax_percent else "",
        total_cents=purchase.total_cents,
        paid_with=paid_with,
    )


def draft_month(*, team: Team, month: date, cycles: Sequence[BillingCycle]) -> Draft:
    """Say what the bill of a month is, or would be now.

    `cycles` are the months that it bills: its own, and those before it that were too little to be
    billed alone. Raises BooksDifferError.
    """
    lines = lines_of(team, month=month, months=[cycle.month for cycle in cycles])
    accrued = sum(cycle.accrued_ticks for cycle in cycles)
    credits_used = sum(cycle.charged_ticks for cycle in cycles) - accrued
    if sum(line["ticks"] for line in lines) != accrued + credits_used:
        raise BooksDifferError(
            f"The requests of team {team.pk} up to {month:%B %Y} do not add up to what its months "
            "say. Run verify_ledger."
        )
    if credits_used:
        lines.append(
            {
                "description": "Paid by credits",
                "ticks": -credits_used,
                "amount_cents": cents_from_ticks(-credits_used),
            }
        )
    subtotal = cents_from_ticks(accrued)
    if rounding := subtotal - sum(line["amount_cents"] for line in lines):
        lines.append({"description": "Rounding", "amount_cents": rounding})
    return Draft(
        month=month,
        seller=_seller(),
        buyer=_buyer(team),
        lines=lines,
        credits_used_ticks=credits_used,
        subtotal_cents=subtotal,
        tax_cents=tax_cents(subtotal, settings.TAX_PERCENT),
        tax_percent=settings.TAX_PERCENT,
        tax_name=settings.TAX_NAME if settings.TAX_PERCENT else "",
    )


def issue_month(
    *, team: Team, month: date, cycles: Sequence[BillingCycle], now: datetime
) -> Invoice:
    """Write the invoice of a month, in the caller's transaction.

    Raises BooksDifferError.
    """
    draft = draft_month(team=team, month=month, cycles=cycles)
    return _issue(
        MONTHS,
        team=team,
        kind=Invoice.Kind.MONTH,
        issued_at=now,
        month=month,
        seller=draft.seller,
        buyer=draft.buyer,
        lines=draft.lines,
        credits_used_ticks=draft.credits_used_ticks,
        subtotal_cents=draft.subtotal_cents,
        tax_cents=draft.tax_cents,
        tax_percent=draft.tax_percent,
        tax_name=draft.tax_name,
        total_cents=draft.total_cents,
    )


def issue_credit(*, refund: Refund, now: datetime) -> Invoice:
    """Write the credit note of a refund that was paid back, in the caller's transaction.

    It corrects the receipt, so it is made out to whom that was and has its tax.
    """
    receipt = Invoice.across_teams.get(purchase=refund.purchase_id)
    line = {
        "description": f"Unspent credits of receipt {receipt.reference}",
        "amount_cents": refund.amount_cents,
    }
    return _issue(
        CREDIT_NOTES,
        team=receipt.team,
        kind=Invoice.Kind.CREDIT,
        issued_at=now,
        refund=refund,
        seller=_seller(),
        buyer=receipt.buyer,
        lines=[line],
        subtotal_cents=refund.amount_cents,
        tax_cents=refund.tax_cents,
        tax_percent=receipt.tax_percent,
        tax_name=receipt.tax_name,
        total_cents=refund.amount_cents + refund.tax_cents,
        paid_with=receipt.paid_with,
    )


def _issue(series_code: str, **fields: Any) -> Invoice:
    """Give a document its number, last of all and under the lock of its series, and mail of it.

    A transaction that fails gives its number back, and others wait for it no longer than a mail
    takes to be written down.
    """
    series, _ = InvoiceSeries.objects.select_for_update().get_or_create(code=series_code)
    series.last_number += 1
    series.save(update_fields=["last_number"])
    issued = Invoice.across_teams.create(series=series, number=series.last_number, **fields)
    words = {"invoice": issued, "purchase": issued.purchase, "method": default_method(issued.team)}
    send_mail(issued.team, "document_issued", words)
    return issued


def counterpart(invoice: Invoice) -> Invoice | None:
    """Find the credit note that a receipt was refunded by, or the receipt of a credit note."""
    issued = Invoice.of(invoice.team)
    if invoice.purchase_id:
        return issued.filter(refund__purchase=invoice.purchase_id).first()
    if invoice.refund_id:
        return issued.filter(purchase__refund=invoice.refund_id).first()
    return None


def _seller() -> dict[str, Any]:
    return {
        "name": settings.SELLER_NAME,
        "email": settings.SUPPORT_EMAIL,
        "address": settings.SELLER_ADDRESS,
        "tax_number": settings.SELLER_TAX_NUMBER,
    }


def _buyer(team: Team, contact: User | None = None) -> dict[str, Any]:
    """Copy what a document is made out to: the saved details, or before there are any the team.

    Printed words are kept beside codes: how a country or a number is written may change.
    """
    person = {"contact": contact.display_name, "email": contact.email} if contact else {}
    saved = details(team)
    if saved is None:
        return {"name": team.name, **person}
    return {
        "name": saved.name,
        **person,
        "email": saved.email,
        "address": saved.address,
        "country": saved.country,
        "tax_id": saved.tax_id,
    }
