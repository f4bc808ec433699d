"""Issuing documents: numbered without gaps, and never changed afterwards."""

from datetime import datetime
from typing import Final

from django.conf import settings

from billing.models import Invoice, InvoiceSeries, Purchase

RECEIPTS: Final = "R"


def issue_receipt(*, purchase: Purchase, now: datetime) -> Invoice:
    """Write the receipt of a paid purchase, in the caller's transaction.

    The number is given last of all, under the lock of its series: a transaction that fails gives
    its number back, and others wait for it no longer than a commit takes.
    """
    team, buyer = purchase.team, purchase.buyer
    series, _ = InvoiceSeries.objects.select_for_update().get_or_create(code=RECEIPTS)
    series.last_number += 1
    series.save(update_fields=["last_number"])
    return Invoice.across_teams.create(
        team=team,
        series=series,
        number=series.last_number,
        kind=Invoice.Kind.PURCHASE,
        status=Invoice.Status.PAID,
        issued_at=now,
        purchase=purchase,
        seller={"name": settings.CONSOLE_NAME, "email": settings.SUPPORT_EMAIL},
        buyer={"name": team.name, "contact": buyer.display_name, "email": buyer.email},
        lines=[{"description": "Prepaid credits", "amount_cents": purchase.amount_cents}],
        subtotal_cents=purchase.amount_cents,
        total_cents=purchase.amount_cents,
        paid_with=purchase.card,
    )
