"""What is on a document, and that it stays: numbers, parties, lines, tax. Figures are by hand."""

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import BillingCycle, Invoice, Purchase, Refund
from billing.rules import TICKS_PER_CENT, BillingItem, Line, cents_from_ticks, tax_cents
from billing.services import Details
from billing.services.documents import (
    BooksDifferError,
    draft_month,
    issue_credit,
    issue_month,
    issue_receipt,
)
from tests.billing.pages import give
from tests.billing.spending import make_invoiced_team, spend
from tests.billing.test_verify_ledger import tamper
from tests.factories import NOON, make_admin, make_team

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
FIRST_OF_APRIL = datetime(2026, 4, 1, tzinfo=UTC)
PROMPT, ANSWER = BillingItem.PROMPT_TEXT, BillingItem.COMPLETION
BERLIN = Details(
    name="Larkspur Labs GmbH",
    email="bills@larkspur.example",
    line1="Torstraße 1",
    city="Berlin",
    postal_code="10119",
    country="DE",
    tax_id_type="eu_vat",
    tax_number="DE136695976",
)


def save(team: Team, details: Details = BERLIN) -> None:
    saved = billing.details(team)
    billing.save_details(
        team=team,
        actor=SYSTEM,
        details=details,
        seen_at=saved.changed_at if saved else None,
        now=NOON,
    )


def bought(team: Team, *, cents: int = 25_000, **fields: Any) -> Purchase:
    """Record a purchase that was paid; its money is not this file's business."""
    return Purchase.across_teams.create(
        team=team,
        buyer=make_admin(team, name="Alice"),
        amount_cents=cents,
        status=Purchase.Status.SUCCEEDED,
        idempotency_key=f"key {Purchase.of(team).count()}",
        created_at=NOON,
        lapses_at=NOON,
        completed_at=NOON,
        **fields,
    )


def paid_back(purchase: Purchase, *, cents: int, tax: int = 0) -> Refund:
    return Refund.across_teams.create(
        team=purchase.team,
        purchase=purchase,
        amount_cents=cents,
        tax_cents=tax,
        reason="Right of withdrawal",
        made_by=purchase.buyer,
        status=Refund.Status.SUCCEEDED,
        created_at=NOON,
        decided_at=NOON,
    )


def cycles(team: Team) -> list[BillingCycle]:
    return list(BillingCycle.of(team).order_by("month"))


def lines(invoice: Any) -> list[tuple[str, int]]:
    return [(line["description"], line["amount_cents"]) for line in invoice.lines]


@pytest.mark.parametrize(
    ("net", "percent", "tax"),
    [
        (25_000, "19", 4_750),
        (250, "7.25", 18),  # 18.125
        (50, "19", 10),  # 9.5
        (150, "7", 11),  # 10.5
        (149, "7", 10),  # 10.43
        (0, "19", 0),
        (1_000_000_00, "0", 0),
    ],
)
def test_tax_is_rounded_half_up_to_the_cent(net: int, percent: str, tax: int) -> None:
    assert tax_cents(net, Decimal(percent)) == tax


@given(st.integers(min_value=-(10**16), max_value=10**16))
def test_a_rounded_amount_is_half_a_cent_away_at_most(ticks: int) -> None:
    assert abs(cents_from_ticks(ticks) * TICKS_PER_CENT - ticks) <= TICKS_PER_CENT // 2
    assert cents_from_ticks(-ticks) == -cents_from_ticks(ticks)


@pytest.mark.django_db
def test_a_receipt_has_the_tax_of_the_purchase_and_not_of_today(settings: Settings) -> None:
    purchase = bought(make_team(), tax_cents=4_750, tax_percent=Decimal(19))
    settings.TAX_PERCENT, settings.TAX_NAME = Decimal(25), "VAT"

    receipt = issue_receipt(purchase=purchase, paid_with="Visa ending 4242", now=NOON)

    assert receipt.reference == "R-000001"
    assert (receipt.subtotal_cents, receipt.tax_cents, receipt.total_cents) == (
        25_000,
        4_750,
        29_750,
    )
    assert (receipt.tax_percent, receipt.tax_name) == (Decimal(19), "VAT")
    assert (receipt.paid_with, receipt.standing) == ("Visa ending 4242", "Paid")
    assert lines(receipt) == [("Prepaid credits", 25_000)]


@pytest.mark.django_db
def test_seller_and_buyer_are_as_they_were_at_issue(settings: Settings) -> None:
    settings.SELLER_NAME, settings.SELLER_TAX_NUMBER = "Console Inc.", "91-1144442"
    settings.SELLER_ADDRESS = ["1 Example Road", "Springfield"]
    team = make_team("Larkspur Labs")
    save(team)

    receipt = issue_receipt(purchase=bought(team), paid_with="", now=NOON)
    settings.SELLER_NAME = "Other Inc."
    billing.forget_details(team=team)
    receipt.refresh_from_db()

    assert receipt.seller == {
        "name": "Console Inc.",
        "email": "support@localhost",
        "address": ["1 Example Road", "Springfield"],
        "tax_number": "91-1144442",
    }
    assert receipt.buyer == {
        "name": "Larkspur Labs GmbH",
        "contact": "Alice",
        "email": "bills@larkspur.example",
        "address": ["Torstraße 1", "10119 Berlin", "Germany"],
        "country": "DE",
        "tax_id": {
            "type": "eu_vat",
            "name": "VAT number (European Union)",
            "number": "DE136695976",
        },
    }


@pytest.mark.django_db
def test_each_series_counts_for_itself_and_has_no_gaps() -> None:
    team = make_invoiced_team()
    spend(team, Line(ANSWER, 100, TICKS_PER_CENT))
    first, second = bought(team), bought(team)
    issue_receipt(purchase=first, paid_with="", now=NOON)
    with suppress(ZeroDivisionError), transaction.atomic():
        issue_receipt(purchase=second, paid_with="", now=NOON)
        raise ZeroDivisionError  # Whatever comes up before the commit.

    issued = [
        issue_receipt(purchase=second, paid_with="", now=NOON),
        issue_month(team=team, month=MARCH, cycles=cycles(team), now=FIRST_OF_APRIL),
        issue_credit(refund=paid_back(first, cents=100), now=NOON),
    ]

    assert [document.reference for document in issued] == ["R-000002", "M-000001", "C-000001"]


@pytest.mark.django_db
def test_a_month_with_credits_a_tax_and_a_cent_that_does_not_divide(settings: Settings) -> None:
    """By hand: $2.469134 of prompts, $1.00001 of answers and $0.0045 of pictures are $3.473644.

    Credits pay $1 of that. $2.473644 are $2.47, and 19 % of them 46.93 cents.
    """
    settings.TAX_PERCENT, settings.TAX_NAME = Decimal(19), "VAT"
    team = make_invoiced_team()
    give(team, 1)
    spend(team, Line(PROMPT, 1_234_567, 20_000), Line(ANSWER, 100_001, 100_000))
    spend(team, Line(BillingItem.PROMPT_IMAGE, 45, 1_000_000))

    invoice = issue_month(team=team, month=MARCH, cycles=cycles(team), now=FIRST_OF_APRIL)

    assert lines(invoice) == [
        ("Prompt text tokens", 247),
        ("Prompt image tokens", 0),
        ("Completion text tokens", 100),
        ("Paid by credits", -100),
    ]
    assert invoice.credits_used_ticks == 100 * TICKS_PER_CENT
    assert (invoice.subtotal_cents, invoice.tax_cents, invoice.total_cents) == (247, 47, 294)
    assert (invoice.month, invoice.is_open, invoice.standing) == (MARCH, True, "Open")


@pytest.mark.django_db
def test_cents_lost_by_rounding_lines_are_a_line_too() -> None:
    """Three lines of 0.4 cents are 0 each, and 1.2 cents together."""
    team = make_invoiced_team()
    for model in ("atlas", "opal", "zinc"):
        spend(team, Line(PROMPT, 4, TICKS_PER_CENT // 10), model=model)

    draft = draft_month(team=team, month=MARCH, cycles=cycles(team))

    assert lines(draft) == [("Prompt text tokens", 0)] * 3 + [("Rounding", 1)]
    assert draft.subtotal_cents == draft.total_cents == 1


@pytest.mark.django_db
def test_a_bill_over_two_months_names_the_earlier_one() -> None:
    team = make_invoiced_team()
    spend(team, Line(PROMPT, 30, TICKS_PER_CENT))
    spend(team, Line(PROMPT, 40, TICKS_PER_CENT), now=FIRST_OF_APRIL)

    invoice = issue_month(team=team, month=APRIL, cycles=cycles(team), now=FIRST_OF_APRIL)

    assert [(line.get("month"), line["amount_cents"]) for line in invoice.lines] == [
        ("2026-03", 30),
        (None, 40),
    ]
    assert invoice.subtotal_cents == 70


@pytest.mark.django_db
def test_a_month_whose_requests_do_not_add_up_is_not_billed() -> None:
    team = make_invoiced_team()
    spend(team, Line(PROMPT, 100, TICKS_PER_CENT))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_billingcycle SET charged_ticks = charged_ticks + 1")

    with pytest.raises(BooksDifferError, match="do not add up"):
        issue_month(team=team, month=MARCH, cycles=cycles(team), now=FIRST_OF_APRIL)

    assert not Invoice.of(team).exists()


@pytest.mark.django_db
def test_a_credit_note_is_made_out_as_the_receipt_was_and_names_it(settings: Settings) -> None:
    settings.TAX_NAME = "VAT"
    team = make_team("Larkspur Labs")
    purchase = bought(team, tax_cents=4_750, tax_percent=Decimal(19))
    receipt = issue_receipt(purchase=purchase, paid_with="Visa ending 4242", now=NOON)
    save(team)
    settings.TAX_NAME = "GST"

    note = issue_credit(refund=paid_back(purchase, cents=10_000, tax=1_900), now=NOON)

    assert note.buyer == receipt.buyer
    assert lines(note) == [("Unspent credits of receipt R-000001", 10_000)]
    assert (note.subtotal_cents, note.tax_cents, note.total_cents) == (10_000, 1_900, 11_900)
    assert (note.tax_percent, note.tax_name) == (Decimal(19), "VAT")
    assert (note.standing, note.paid_with) == ("Credited", "Visa ending 4242")


@pytest.mark.django_db
def test_a_bill_names_the_team_until_somebody_saves_details() -> None:
    team = make_invoiced_team(name="Larkspur Labs")

    assert draft_month(team=team, month=MARCH, cycles=[]).buyer == {"name": "Larkspur Labs"}
    save(team)
    assert draft_month(team=team, month=MARCH, cycles=[]).buyer["name"] == "Larkspur Labs GmbH"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (
            "UPDATE billing_invoice SET tax_cents = 48, total_cents = 295 WHERE team_id = %s",
            "invoice M-1 is over 247 cents at 19.00 %, but its tax is 48",
        ),
        (
            (
                "UPDATE billing_invoice SET lines = jsonb_set(lines, '{0,quantity}', '1')"
                " WHERE team_id = %s"
            ),
            "invoice M-1 has a line of 1 at 20000 ticks that is over 24691340000",
        ),
    ],
    ids=["tax", "line"],
)
def test_verify_ledger_finds_a_document_that_does_not_add_up(
    settings: Settings, change: str, difference: str
) -> None:
    settings.TAX_PERCENT = Decimal(19)
    team = make_invoiced_team()
    spend(team, Line(PROMPT, 1_234_567, 20_000))
    billing.close_months(now=FIRST_OF_APRIL)
    assert list(billing.differences()) == []

    tamper(change, team.pk)

    assert difference in [found.sentence for found in billing.differences()]
