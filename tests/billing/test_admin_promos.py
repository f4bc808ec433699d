"""Promo codes in the admin: made with their terms, switched off and on, and never changed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import PromoCode
from billing.rules import TICKS_PER_USD
from tests.billing.codes import make_code, redeem
from tests.billing.pages import text
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

CODES = "admin:billing_promocode"


def create(staff: Client, **fields: str) -> Any:
    form = {"code": "spring 25", "amount_usd": "25", "uses_per_team": "1", **fields}
    return staff.post(reverse(f"{CODES}_add"), form, follow=True)


def switch(staff: Client, promo: PromoCode, **fields: str) -> None:
    staff.post(reverse(f"{CODES}_change", args=[promo.pk]), fields)
    promo.refresh_from_db()


def test_staff_make_a_code_that_a_team_redeems(staff: Client, team: Team) -> None:
    response = create(
        staff,
        grant_days="40",
        max_uses="500",
        uses_per_team="2",
        first_purchase_only="on",
        valid_from_0="2026-03-01",
        valid_from_1="12:00:00",
        valid_until_0="2026-04-01",
        valid_until_1="00:00:00",
    )

    told = text(response)
    assert "was added." in told
    assert "successfully" not in told
    made = PromoCode.objects.get()
    assert (made.code, made.amount_ticks, made.grant_days) == ("SPRING25", 25 * TICKS_PER_USD, 40)
    assert (made.max_uses, made.uses_per_team, made.first_purchase_only) == (500, 2, True)
    assert (made.valid_from, made.valid_until) == (NOON, datetime(2026, 4, 1, tzinfo=UTC))
    event = AuditEvent.across_teams.get(operation="CreatePromoCode")
    assert (event.actor_kind, event.actor_label, event.team) == ("staff", "Sam Support", None)
    assert event.after is not None
    assert event.after["amount_ticks"] == 25 * TICKS_PER_USD
    assert redeem(team).remaining_ticks == 25 * TICKS_PER_USD


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"code": "a_b"}, "A code has letters A to Z, digits, and hyphens between."),
        ({"code": "-A"}, "A code has letters A to Z, digits, and hyphens between."),
        ({"code": "ta ken"}, "There is a code TAKEN already."),
        ({"amount_usd": "0"}, "greater than or equal to 0.01"),
        ({"amount_usd": "100000.01"}, "One use can give up to $100,000."),
        ({"grant_days": "0"}, "greater than or equal to 1"),
        ({"max_uses": "0"}, "greater than or equal to 1"),
        ({"uses_per_team": ""}, "This field is required."),
        (
            {"valid_until_0": "2026-03-01", "valid_until_1": "12:00:00"},
            "This time is over. A code has to end later.",
        ),
        (
            {
                "valid_from_0": "2026-03-03",
                "valid_from_1": "00:00",
                "valid_until_0": "2026-03-02",
                "valid_until_1": "00:00",
            },
            "The code would end before it begins.",
        ),
    ],
)
def test_terms_that_make_no_sense_are_explained(
    staff: Client, fields: dict[str, str], sentence: str
) -> None:
    make_code("TAKEN")

    assert sentence in create(staff, **fields).content.decode()
    assert PromoCode.objects.count() == 1


def test_staff_switch_a_code_off_and_on_and_change_nothing_else(staff: Client, team: Team) -> None:
    promo = make_code()

    switch(staff, promo, code="OTHER", amount_usd="1")
    assert (promo.code, promo.amount_ticks) == ("SPRING25", 25 * TICKS_PER_USD)
    with pytest.raises(billing.PromoCodeError):
        redeem(team)

    switch(staff, promo, is_on="on")
    redeem(team)
    event = AuditEvent.across_teams.get(operation="DisablePromoCode")
    assert (event.actor_label, event.before, event.after) == (
        "Sam Support",
        {"is_on": True},
        {"is_on": False},
    )
