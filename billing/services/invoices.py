"""Issuing documents: numbered without gaps, and never changed afterwards."""

from datetime import datetime
from typing import Any, Final

from django.conf import settings

from accounts.models import Team, User
from billing.models import Invoice, InvoiceSeries, Purchase
from billing.services.details import details

RECEIPTS: Final = "R"


def issue_receipt(*, purchase: Purchase, now: datetime) -> Invoice:
    """Write the receipt of a paid purchase, in the caller's transaction.

    The number is given last of all, under the lock of its series: a transaction that fails gives
    its number back, and others wait for it no longer than a commit takes.
    """
    team = purchase.team
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
        buyer=_buyer(team, purchase.buyer),
        lines=[{"description": "Prepaid credits", "amount_cents": purchase.amount_cents}],
        subtotal_cents=purchase.amount_cents,
        total_cents=purchase.amount_cents,
        paid_with=purchase.card,
    )


def _buyer(team: Team, contact: User) -> dict[str, Any]:
    """Copy what a document is made out to: the saved details, or before there are any the team.

    Printed words are kept beside codes: how a country or a number is written may change.
    """
    saved = details(team)
    if saved is None:
        return {"name": team.name, "contact": contact.display_name, "email": contact.email}
    return {
        "name": saved.name,
        "contact": contact.display_name,
        "email": saved.email,
        "address": saved.address,
        "country": saved.country,
        "tax_id": saved.tax_id,
    }
