"""What billing does on its own, as the worker calls it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from accounts.actors import SYSTEM, Actor
from billing import services as billing
from billing import tasks
from billing.models import CreditGrant, Hold, Purchase
from tests.billing.crashes import after_charging
from tests.factories import NOON, make_admin, make_funded_team, make_team

pytestmark = pytest.mark.django_db


def test_credits_that_are_over_leave_the_books() -> None:
    team = make_team()
    given = billing.grant(
        team=team,
        actor=SYSTEM,
        kind=CreditGrant.Kind.FREE,
        amount_ticks=1000,
        label="Welcome",
        idempotency_key="w",
        expires_at=NOON + timedelta(days=1),
        now=NOON,
    )

    tasks.expire_grants(timestamp=0)

    given.refresh_from_db()
    assert given.remaining_ticks == 0


def test_holds_that_nobody_ended_are_given_back() -> None:
    team = make_funded_team(ticks=1000)
    request = billing.HoldRequest(uuid4(), team.pk, 1000, 0, 1)
    billing.reserve([request], now=NOON, until=NOON)

    tasks.sweep_holds(timestamp=0)

    assert Hold.of(team).get().state == Hold.State.EXPIRED
    assert billing.balance(team, now=NOON).available_ticks == 1000


def test_money_that_a_crash_left_with_the_processor_becomes_credits() -> None:
    team = make_team()
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=500, idempotency_key="p", now=NOON
    )
    after_charging(purchase, actor)

    tasks.reconcile_purchases(timestamp=0)

    assert Purchase.of(team).get().status == Purchase.Status.SUCCEEDED
    assert CreditGrant.of(team).count() == 1
