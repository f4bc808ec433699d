"""What the database keeps of billing for good: no path changes or deletes it."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.actors import Actor
from billing import services as billing
from billing.models import Charge, Invoice, LedgerEntry
from billing.payments import Card
from billing.rules import TICKS_PER_USD, BillingItem, Line
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db

VISA = Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")
FINAL = [LedgerEntry, Charge, Invoice]


@pytest.fixture
def _books() -> None:
    """Buy some credits and spend some."""
    team = make_team()
    buyer = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=buyer, amount_cents=500, idempotency_key="p", now=NOON
    )
    billing.pay(purchase=purchase, actor=buyer, card=VISA, now=NOON)
    request = billing.HoldRequest(uuid4(), team.pk, 0, TICKS_PER_USD, 1)
    billing.reserve([request], now=NOON, until=NOON)
    lines = [Line(BillingItem.COMPLETION, 1, TICKS_PER_USD)]
    billing.settle([billing.Settlement(request.request_id, team.pk, "m", lines)], now=NOON)


@pytest.mark.usefixtures("_books")
@pytest.mark.parametrize("model", FINAL)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_refuses_to_touch_history(model: Any, statement: str) -> None:
    before = list(model.across_teams.order_by("pk").values())
    plural = str(model._meta.verbose_name_plural)

    with (
        pytest.raises(IntegrityError, match=f"{plural.capitalize()} are never changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(model._meta.db_table))

    assert before
    assert list(model.across_teams.order_by("pk").values()) == before
