"""A team with a row in every table of billing, for pages that show all of them."""

from datetime import UTC, datetime

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import PromoCode
from billing.rules import TICKS_PER_USD
from billing.services import refunds
from tests.billing.codes import make_code, redeem
from tests.billing.spending import buy, make_invoiced_team, spend_ticks
from tests.factories import make_user

APRIL = datetime(2026, 4, 1, 9, 43, tzinfo=UTC)


def make_everything(name: str) -> Team:
    """Let a team use $3 on an invoice that nobody has paid yet, buy, and be refunded $25 of it."""
    team = make_invoiced_team(name=name)
    actor = Actor.for_user(make_user(f"Alice of {name}"))
    spend_ticks(team, 3 * TICKS_PER_USD)
    billing.close_months(now=APRIL)
    if not PromoCode.objects.exists():
        make_code()
    redeem(team, now=APRIL)
    purchase = buy(team, now=APRIL)
    buy(team, now=APRIL)
    billing.set_top_up(
        team=team, actor=actor, terms=billing.TopUpTerms(2_000, 5_000, 100_000), now=APRIL
    )
    details = billing.Details(
        name=f"{name} GmbH",
        email="accounts@larkspur.example",
        line1="Torstraße 1",
        postal_code="10119",
        city="Berlin",
        country="DE",
    )
    billing.save_details(team=team, actor=SYSTEM, details=details, seen_at=None, now=APRIL)
    refunds.begin_refund(purchase=purchase, actor=actor, reason="Withdrawn", now=APRIL)
    return team
