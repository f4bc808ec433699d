"""Paying the invoice of a month by hand, on its own page."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client

from accounts.models import Team
from billing import services as billing
from billing.models import Invoice
from billing.rules import TICKS_PER_USD
from tests.billing.pages import ASKS, CARD, page, text
from tests.billing.spending import keep_card, make_invoiced_team, spend_ticks
from tests.factories import make_admin

ISSUED = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def owing(client: Client) -> tuple[Team, Invoice]:
    team = make_invoiced_team()
    spend_ticks(team, 20 * TICKS_PER_USD)
    billing.close_months(now=ISSUED)
    client.force_login(make_admin(team))
    return team, Invoice.of(team).get()


def test_an_invoice_is_paid_with_a_card_that_is_kept_and_only_once(client: Client) -> None:
    with time_machine.travel(ISSUED, tick=False):
        team, invoice = owing(client)
        pay = page("pay_invoice", team, invoice.pk)
        assert "Pay $20.00" in text(client.get(pay))

        asked = client.post(pay, ASKS, follow=True)
        assert "Approve the payment" in text(asked)
        confirm = page("confirm_invoice", team, invoice.pk)
        declined = client.post(confirm, {"answer": "decline"}, follow=True)
        assert "was not approved with the bank" in text(declined)
        paid = client.post(pay, CARD, follow=True)
        again = client.post(pay, CARD, follow=True)

    for answer in (paid, again):
        assert answer.redirect_chain[-1] == (page("invoice", team, invoice.pk), 302)
        assert f"Invoice {invoice.reference} is paid." in text(answer)
    assert [method.name for method in billing.methods_on_file(team)] == ["Visa ending 4242"]
    assert billing.tier(team).paid_ticks == 20 * TICKS_PER_USD
    assert list(billing.differences()) == []


def test_an_invoice_is_paid_with_a_card_on_file(client: Client) -> None:
    with time_machine.travel(ISSUED, tick=False):
        team, invoice = owing(client)
        method = keep_card(team)

        paid = client.post(
            page("charge_invoice", team, invoice.pk), {"method": str(method.pk)}, follow=True
        )

    assert f"Invoice {invoice.reference} is paid." in text(paid)
    assert list(billing.differences()) == []
