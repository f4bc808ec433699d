"""What people do on the billing pages, and what leads to what they read there."""

import re
from typing import Any
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import CreditGrant, Purchase
from billing.rules import TICKS_PER_USD, BillingItem, Line
from tests.factories import NOON

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 30", "cvc": "123"}
DECLINED = {**CARD, "number": "4000 0000 0000 0002"}
ASKS = {**CARD, "number": "4000 0027 6000 3184"}


def page(name: str, team: Team, *args: object) -> str:
    return reverse(f"billing:{name}", args=[team.pk, *args])


def text(response: Any) -> str:
    """Read the words of a page as a person does."""
    words = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", words)


def begin(client: Client, team: Team, **fields: str) -> Any:
    form = {"preset": "25", "idempotency_key": str(uuid4()), **fields}
    return client.post(page("buy", team), form)


def begun(client: Client, team: Team) -> Purchase:
    begin(client, team)
    return Purchase.of(team).latest("created_at")


def give(team: Team, dollars: int, **fields: Any) -> None:
    billing.grant(
        **{
            "team": team,
            "actor": SYSTEM,
            "kind": CreditGrant.Kind.FREE,
            "amount_ticks": dollars * TICKS_PER_USD,
            "label": "Welcome credits",
            "idempotency_key": str(uuid4()),
            "now": NOON,
            **fields,
        }
    )


def spend(team: Team, dollars: int) -> None:
    request = billing.HoldRequest(uuid4(), team.pk, dollars * TICKS_PER_USD, 0, 1)
    billing.reserve([request], now=NOON, until=NOON)
    lines = [Line(BillingItem.COMPLETION, dollars, TICKS_PER_USD)]
    billing.settle([billing.Settlement(request.request_id, team.pk, "atlas", lines)], now=NOON)
