"""What staff can do about money: look it up, grant credits with a reason, set hard limits."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import BillingAccount, CreditGrant, LedgerEntry
from billing.payments import Card
from billing.rules import TICKS_PER_USD, BillingItem, Line
from tests.billing.pages import text
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db

GRANTS = "admin:billing_creditgrant"


@pytest.fixture
def team() -> Team:
    """Make a team that has bought credits and used some."""
    team = make_team("Larkspur Labs")
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=2_000, idempotency_key="p", now=NOON
    )
    card = Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")
    billing.pay(purchase=purchase, actor=actor, card=card, now=NOON)
    limit = 10 * TICKS_PER_USD
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=limit, now=NOON)
    request = billing.HoldRequest(uuid4(), team.pk, 0, TICKS_PER_USD, 7)
    billing.reserve([request], now=NOON, until=NOON)
    lines = [Line(BillingItem.COMPLETION, 7, TICKS_PER_USD)]
    billing.settle([billing.Settlement(request.request_id, team.pk, "m", lines)], now=NOON)
    return team


def give(staff: Client, team: Team, **fields: str) -> Any:
    form = {
        "team": str(team.pk),
        "kind": "free",
        "amount_usd": "12.50",
        "label": "An apology",
        "idempotency_key": str(uuid4()),
        **fields,
    }
    return staff.post(reverse(f"{GRANTS}_add"), form, follow=True)


def test_staff_grant_credits_through_the_service_under_their_own_name(
    staff: Client, team: Team
) -> None:
    response = give(staff, team)

    told = text(response)
    assert "was added." in told
    assert "successfully" not in told
    given = CreditGrant.of(team).get(label="An apology")
    assert (given.kind, given.remaining_ticks) == ("free", 12_5000_000_000)
    assert LedgerEntry.of(team).filter(grant=given, kind="grant").exists()
    event = AuditEvent.of(team).get(operation="GrantCredits")
    assert (event.actor_kind, event.actor_label) == ("staff", "Sam Support")


def test_a_grant_that_staff_send_twice_is_given_once(staff: Client, team: Team) -> None:
    key = str(uuid4())

    give(staff, team, idempotency_key=key)
    give(staff, team, idempotency_key=key)
    changed = give(staff, team, idempotency_key=key, amount_usd="99")

    assert CreditGrant.of(team).filter(label="An apology").count() == 1
    assert "already sent with other contents" in changed.content.decode()
    assert list(billing.differences()) == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"amount_usd": "0"}, "greater than or equal to 0.01"),
        ({"amount_usd": "100000.01"}, "One grant can be up to $100,000."),
        ({"label": ""}, "This field is required."),
        ({"kind": "prepaid"}, "Select a valid choice."),
        ({"expires_at_0": "2026-03-01", "expires_at_1": "12:00"}, "This time is over."),
    ],
)
def test_a_wrong_grant_is_explained_and_not_given(
    staff: Client, team: Team, fields: dict[str, str], sentence: str
) -> None:
    response = give(staff, team, **fields)

    assert sentence in re.sub(r"\s+", " ", response.content.decode())
    assert CreditGrant.of(team).count() == 1


def test_a_grant_to_a_team_that_was_deleted_is_refused_in_words(staff: Client, team: Team) -> None:
    Team.objects.filter(pk=team.pk).update(closed_at=NOON)

    response = give(staff, team)

    assert "The team Larkspur Labs was deleted." in response.content.decode()
    assert not CreditGrant.of(team).filter(label="An apology").exists()


def test_staff_can_not_edit_a_grant(staff: Client, team: Team) -> None:
    grant = CreditGrant.of(team).get()

    response = staff.post(reverse(f"{GRANTS}_change", args=[grant.pk]), {"label": "Mine"})

    assert response.status_code == 403


def test_staff_set_the_hard_limit_through_the_service(staff: Client, team: Team) -> None:
    account = BillingAccount.of(team).get()
    url = reverse("admin:billing_billingaccount_change", args=[account.pk])

    forged = {"spending_limit_ticks": "1", "held_ticks": "1", "paid_ticks": "1"}
    staff.post(url, {"hard_limit_usd": "5000", "least_tier": "0", **forged})

    account.refresh_from_db()
    assert account.hard_limit_ticks == 5000 * TICKS_PER_USD
    assert account.spending_limit_ticks == 10 * TICKS_PER_USD
    assert account.paid_ticks == 20 * TICKS_PER_USD
    event = AuditEvent.of(team).get(operation="SetHardLimit")
    assert event.actor_kind == "staff"
    assert event.happened_at <= timezone.now()


def test_the_highest_hard_limit_is_what_the_books_can_hold(staff: Client, team: Team) -> None:
    account = BillingAccount.of(team).get()
    url = reverse("admin:billing_billingaccount_change", args=[account.pk])

    staff.post(url, {"hard_limit_usd": "900000000", "least_tier": "0"})
    refused = staff.post(url, {"hard_limit_usd": "900000000.01", "least_tier": "0"})

    assert "A hard limit can be up to $900,000,000." in refused.content.decode()
    account.refresh_from_db()
    assert account.hard_limit_ticks == 900_000_000 * TICKS_PER_USD


def test_staff_give_a_team_a_tier_and_the_team_can_read_who_did_it(
    staff: Client, team: Team
) -> None:
    account = BillingAccount.of(team).get()
    url = reverse("admin:billing_billingaccount_change", args=[account.pk])
    form = {"hard_limit_usd": "0", "least_tier": "3"}

    staff.post(url, form)
    staff.post(url, form)  # Sent twice, it is one change.
    refused = staff.post(url, form | {"least_tier": "5"})

    assert "Select a valid choice." in refused.content.decode()
    assert billing.tier(team).tier == 3
    event = AuditEvent.of(team).get(operation="SetLeastTier")
    assert (event.actor_kind, event.actor_label) == ("staff", "Sam Support")
    assert (event.before, event.after) == ({"least_tier": 0}, {"least_tier": 3})
