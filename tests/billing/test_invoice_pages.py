"""Receipts, as people read them."""

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Team
from billing.models import Invoice
from tests.billing.pages import CARD, begun, page, text
from tests.factories import make_admin, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_a_purchase_leaves_a_receipt_that_names_seller_buyer_and_card(
    alice: Client, team: Team
) -> None:
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    assert "R-000001" in text(alice.get(page("invoices", team)))

    words = text(alice.get(page("invoice", team, Invoice.of(team).get().pk)))

    assert "Receipt R-000001" in words
    assert "Issued on 1 Mar 2026" in words
    assert "paid with Visa ending 4242" in words
    assert "Billed to Larkspur Labs Alice, person-" in words
    assert "Total $25.00" in words


def test_a_receipt_stays_as_it_was_when_names_change(
    alice: Client, team: Team, settings: Settings
) -> None:
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    settings.SUPPORT_EMAIL = "new@example.test"
    Team.objects.filter(pk=team.pk).update(name="Renamed")

    words = text(alice.get(page("invoice", team, Invoice.of(team).get().pk)))

    assert "support@localhost" in words
    assert "Billed to Larkspur Labs" in words


def test_the_receipt_of_another_team_does_not_exist(alice: Client, team: Team) -> None:
    other = make_team()
    stranger = Client()
    stranger.force_login(make_admin(other))
    stranger.post(page("checkout", other, begun(stranger, other).pk), CARD)

    assert alice.get(page("invoice", team, Invoice.of(other).get().pk)).status_code == 404


def test_a_team_without_invoices_is_told_what_will_be_there(alice: Client, team: Team) -> None:
    assert "Each purchase of credits leaves a receipt here." in text(
        alice.get(page("invoices", team))
    )
