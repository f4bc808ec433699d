"""Having a month invoiced before its end, on the page of its preview."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import BillingAccount, Invoice
from billing.rules import TICKS_PER_USD
from tests.billing.spending import keep_card, spend_ticks
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def use(team: Team, ticks: int) -> None:
    limit = 100 * TICKS_PER_USD
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=limit, now=NOON)
    spend_ticks(team, ticks)


def page(team: Team, name: str) -> str:
    return reverse(f"billing:{name}", args=[team.pk])


def test_a_team_has_its_month_invoiced_and_paid_and_can_then_end(alice: Client, team: Team) -> None:
    use(team, 12 * TICKS_PER_USD)
    keep_card(team)
    assert "Invoice now" in alice.get(page(team, "invoice_preview")).text

    answer = alice.post(page(team, "invoice_now"), follow=True)

    assert "The default payment method is charged within minutes" in answer.text
    assert Invoice.of(team).get(kind=Invoice.Kind.MONTH).total_cents == 1_200
    assert BillingAccount.of(team).get().spending_limit_ticks == 0
    billing.collect_due(now=NOON)
    accounts.close_team(team=team, actor=SYSTEM, now=NOON)
    assert list(billing.differences()) == []


def test_twice_invoices_once(alice: Client, team: Team) -> None:
    use(team, TICKS_PER_USD)

    alice.post(page(team, "invoice_now"))
    answer = alice.post(page(team, "invoice_now"), follow=True)

    assert "There is nothing to invoice." in answer.text
    assert Invoice.of(team).count() == 1


def test_it_is_not_offered_for_what_is_too_little(alice: Client, team: Team) -> None:
    use(team, TICKS_PER_USD // 10)

    assert "Invoice now" not in alice.get(page(team, "invoice_preview")).text
