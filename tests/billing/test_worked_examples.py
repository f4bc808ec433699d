"""Worked examples, with every figure found by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import BillingCycle, CreditGrant, Invoice
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from tests.billing.spending import buy, make_invoiced_team, spend, spend_ticks
from tests.billing.test_refunds import give_back
from tests.factories import NOON

pytestmark = pytest.mark.django_db

APRIL = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
DOLLAR = TICKS_PER_USD


def promo(team: Team, dollars: int, *, days: int | None) -> None:
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=billing.GrantKind.PROMO,
        amount_ticks=dollars * DOLLAR,
        label=f"${dollars}",
        idempotency_key=f"promo {dollars}",
        expires_at=NOON + timedelta(days=days) if days else None,
        now=NOON,
    )


def assert_clean() -> None:
    assert list(billing.differences()) == []


def test_the_order_of_use() -> None:
    """$2 until the 10th, $3 for ever, $25 bought, then the invoice.

    Spent: 1 | 3 | 20 | 10. The second takes the last dollar of the first grant and 2 of the next;
    the third its last dollar and 19 bought ones; the last the 6 that are left and 4 invoiced.
    """
    team = make_invoiced_team(usd=50)
    buy(team, cents=2_500)
    promo(team, 3, days=None)
    promo(team, 2, days=9)
    left = []

    for dollars in (1, 3, 20, 10):
        spend_ticks(team, dollars * DOLLAR)
        grants = CreditGrant.of(team).in_order_of_use()
        left.append([grant.remaining_ticks // DOLLAR for grant in grants])

    assert left == [[1, 3, 25], [0, 1, 25], [0, 0, 6], [0, 0, 0]]
    assert billing.balance(team, now=NOON).accrued_ticks == 4 * DOLLAR
    assert_clean()


def test_a_month_with_promo_prepaid_invoiced_and_tax(settings: Settings) -> None:
    """Promo $5 and prepaid $25 pay 30 of 46.9 dollars; 16.90 are billed, and 19 % of them.

    1,000,000 prompt tokens at $0.000003 are $3.00; 2,195,000 of the answers at $0.00002 are
    $43.90. 46.90 - 30 = 16.90; 16.90 x 0.19 = 3.211, so $3.21; together $20.11.
    """
    settings.TAX_PERCENT, settings.TAX_NAME = Decimal("19.00"), "VAT"
    team = make_invoiced_team(usd=50)
    promo(team, 5, days=20)
    purchase = buy(team, cents=2_500)
    assert (purchase.tax_cents, purchase.total_cents) == (475, 2_975)
    spend(team, Line(BillingItem.PROMPT_TEXT, 1_000_000, 30_000))
    spend(team, Line(BillingItem.COMPLETION, 2_195_000, 200_000))

    billing.close_months(now=APRIL)

    invoice = Invoice.of(team).get(kind=Invoice.Kind.MONTH)
    assert [(line["description"], line["amount_cents"]) for line in invoice.lines] == [
        ("Prompt text tokens", 300),
        ("Completion text tokens", 4_390),
        ("Paid by credits", -3_000),
    ]
    assert (invoice.subtotal_cents, invoice.tax_cents, invoice.total_cents) == (1_690, 321, 2_011)
    billing.collect_due(now=APRIL)
    # 25 bought and 16.90 invoiced, both without their tax.
    assert billing.tier(team).paid_ticks == 41 * DOLLAR + 90 * TICKS_PER_CENT
    assert_clean()


def test_a_refund(settings: Settings) -> None:
    """Of $250.00 with 47.50 tax, 100 and a third of a cent are spent.

    149.99 and two thirds of a cent are left, so $149.99 go back; 47.50 x 149.99 / 250 = 28.4981,
    so $28.50 of tax; together $178.49. Two thirds of a cent stay.
    """
    settings.TAX_PERCENT = Decimal("19.00")
    team = make_invoiced_team(usd=50)
    purchase = buy(team, cents=25_000)
    assert purchase.total_cents == 29_750
    spend_ticks(team, 100 * DOLLAR + TICKS_PER_CENT // 3)

    refund = give_back(purchase)

    assert (refund.amount_cents, refund.tax_cents) == (14_999, 2_850)
    left = CreditGrant.of(team).get().remaining_ticks
    assert left == TICKS_PER_CENT - TICKS_PER_CENT // 3
    assert_clean()


def test_a_cent_that_does_not_divide() -> None:
    """Three models cost a third of a cent more than a dollar each: 3.01 dollars, not 3.00.

    Each line is 100 cents when it is rounded alone; the sum of the ticks, 300.99999999 cents less
    one tick each, rounds to 301. A line of rounding says so.
    """
    team = make_invoiced_team(usd=50)
    for model in ("atlas", "boreas", "calypso"):
        spend(team, Line(BillingItem.COMPLETION, 1, DOLLAR + TICKS_PER_CENT // 3), model=model)

    billing.close_months(now=APRIL)

    invoice = Invoice.of(team).get()
    assert [line["amount_cents"] for line in invoice.lines] == [100, 100, 100, 1]
    assert invoice.subtotal_cents == 301
    assert BillingCycle.of(team).get().accrued_ticks == 3 * (DOLLAR + 33_333_333)
    assert_clean()
