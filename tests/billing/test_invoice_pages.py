"""Invoices, as people read and download them."""

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.rules import Permission
from billing import services as billing
from billing.models import BillingAccount, Invoice, Receivable
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from tests.billing.pages import CARD, begun, give, page, text
from tests.billing.spending import buy, spend
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

FIRST_OF_APRIL = datetime(2026, 4, 1, tzinfo=UTC)
PROMPT, ANSWER = BillingItem.PROMPT_TEXT, BillingItem.COMPLETION


def use(team: Team, *, model: str = "atlas") -> None:
    """Let a team be invoiced, and use $3.34 of two things."""
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=100 * TICKS_PER_USD, now=NOON)
    spend(
        team,
        Line(PROMPT, 500_000, 20_000),
        Line(ANSWER, 234, TICKS_PER_CENT),
        model=model,
    )


def invoiced(team: Team, **fields: str) -> Invoice:
    """Make the invoice of March."""
    use(team, **fields)
    billing.close_months(now=FIRST_OF_APRIL)
    return Invoice.of(team).get(kind=Invoice.Kind.MONTH)


def table(response: Any) -> list[list[str]]:
    return list(csv.reader(StringIO(response.content.decode())))


def test_a_purchase_leaves_a_receipt_that_names_seller_buyer_and_card(
    alice: Client, team: Team
) -> None:
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    assert "R-000001" in text(alice.get(page("invoices", team)))

    words = text(alice.get(page("invoice", team, Invoice.of(team).get().pk)))

    assert "Receipt R-000001" in words
    assert "Issued on 1 Mar 2026" in words
    assert "paid with Visa ending 4242" in words
    assert "Billed to Larkspur Labs Alice person-" in words
    assert "Total (USD) $25.00" in words
    assert "Credits are not refundable, except where the law requires it." in words


def test_a_receipt_stays_as_it_was_when_names_change(
    alice: Client, team: Team, settings: Settings
) -> None:
    buy(team)
    settings.SUPPORT_EMAIL = "new@example.test"
    Team.objects.filter(pk=team.pk).update(name="Renamed")

    words = text(alice.get(page("invoice", team, Invoice.of(team).get().pk)))

    assert "support@localhost" in words
    assert "Billed to Larkspur Labs" in words


def test_a_months_invoice_is_itemised_and_says_what_is_to_be_paid(
    alice: Client, team: Team, settings: Settings
) -> None:
    settings.TAX_PERCENT, settings.TAX_NAME = Decimal(19), "VAT"
    give(team, 2)
    invoice = invoiced(team)

    words = text(alice.get(page("invoice", team, invoice.pk)))

    assert "Invoice M-000001 Open · Issued on 1 Apr 2026 for usage in March 2026, UTC" in words
    assert "atlas Prompt text tokens 500,000 $2.00 $1.00" in words
    assert "atlas Completion text tokens 234 $10,000.00 $2.34" in words
    assert (
        "Usage $3.34 Paid by credits \N{MINUS SIGN}$2.00 Total before tax $1.34 VAT (19%) $0.25"
        in words
    )
    assert "Total (USD) $1.59" in words
    assert "$1.59 is still to be paid. The default payment method is tried on 1 Apr 2026" in words
    assert (
        f'href="{page("pay_invoice", team, invoice.pk)}"'
        in alice.get(page("invoice", team, invoice.pk)).text
    )


def test_the_list_tells_open_from_paid_and_adds_up_what_is_open(alice: Client, team: Team) -> None:
    buy(team)
    spend(team, Line(ANSWER, 2_500, TICKS_PER_CENT))
    invoice = invoiced(team)

    words = text(alice.get(page("invoices", team)))
    assert "$3.34 is still to be paid." in words
    assert "M-000001 Usage in March 2026 1 Apr 2026 $3.34 Open Pay now PDF" in words
    assert "R-000001 Credit purchase 1 Mar 2026 Visa ending 4242 $25.00 Paid PDF" in words

    Receivable.of(team).update(paid_at=NOON, next_try_at=None, paid_with="Visa ending 0341")
    words = text(alice.get(page("invoices", team)))
    assert "still to be paid" not in words
    assert "M-000001 Usage in March 2026 1 Apr 2026 Visa ending 0341 $3.34 Paid PDF" in words
    assert "Pay now" not in text(alice.get(page("invoice", team, invoice.pk)))


def test_an_overdue_invoice_says_what_it_blocks(alice: Client, team: Team) -> None:
    invoice = invoiced(team)
    Receivable.of(team).update(next_try_at=None)
    BillingAccount.of(team).update(invoicing_blocked_at=NOON)

    for words in (
        text(alice.get(page("invoices", team))),
        text(alice.get(page("invoice", team, invoice.pk))),
    ):
        assert "requests are refused when credits are used up" in words
        assert "Overdue" in words
        assert not re.search(r"\bOpen\b", words)
    assert 'class="pill" data-tone="bad"' in alice.get(page("invoices", team)).text


def test_who_may_only_read_billing_is_offered_no_payment(client: Client, team: Team) -> None:
    invoice = invoiced(team)
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))

    for name, args in (("invoices", []), ("invoice", [invoice.pk])):
        words = text(client.get(page(name, team, *args)))
        assert "M-000001" in words
        assert "Pay now" not in words
    assert client.get(page("invoice_pdf", team, invoice.pk)).status_code == 200


def test_a_pdf_is_named_by_its_number_and_the_same_each_time(alice: Client, team: Team) -> None:
    buy(team)
    address = page("invoice_pdf", team, Invoice.of(team).get().pk)

    first, second = alice.get(address), alice.get(address)

    assert first.headers["Content-Type"] == "application/pdf"
    assert first.headers["Content-Disposition"] == 'attachment; filename="R-000001.pdf"'
    assert first.content.startswith(b"%PDF-")
    assert first.content == second.content


def test_the_csv_has_each_billing_item_and_adds_up(alice: Client, team: Team) -> None:
    give(team, 2)
    invoice = invoiced(team)

    response = alice.get(page("invoice_csv", team, invoice.pk))

    assert response.headers["Content-Disposition"] == 'attachment; filename="M-000001.csv"'
    head, *rows = table(response)
    assert rows == [
        [
            "M-000001",
            "2026-03",
            "atlas",
            "prompt_text",
            "Prompt text tokens",
            "500000",
            "0.0000020000",
            "1.0000000000",
            "1.00",
        ],
        [
            "M-000001",
            "2026-03",
            "atlas",
            "completion",
            "Completion text tokens",
            "234",
            "0.0100000000",
            "2.3400000000",
            "2.34",
        ],
        ["M-000001", "2026-03", "", "", "Paid by credits", "", "", "-2.0000000000", "-2.00"],
    ]
    assert sum(Decimal(row[head.index("amount_usd")]) for row in rows) == Decimal("1.34")


def test_a_model_named_as_a_formula_is_text_in_the_csv(alice: Client, team: Team) -> None:
    invoice = invoiced(team, model="=1+1")

    rows = table(alice.get(page("invoice_csv", team, invoice.pk)))

    assert rows[1][2] == "'=1+1"


def test_a_receipt_has_no_billing_items(alice: Client, team: Team) -> None:
    buy(team)
    receipt = Invoice.of(team).get()

    assert alice.get(page("invoice_csv", team, receipt.pk)).status_code == 404
    assert "CSV" not in text(alice.get(page("invoice", team, receipt.pk)))


@pytest.mark.parametrize("name", ["invoice", "invoice_pdf", "invoice_csv"])
def test_the_invoice_of_another_team_does_not_exist(alice: Client, team: Team, name: str) -> None:
    other = make_team()
    make_admin(other)
    invoice = invoiced(other)

    assert alice.get(page(name, team, invoice.pk)).status_code == 404
    assert alice.get(page(name, other, invoice.pk)).status_code == 404


def test_a_team_without_invoices_is_told_what_will_be_there(alice: Client, team: Team) -> None:
    words = text(alice.get(page("invoices", team)))

    assert "Each purchase of credits leaves a receipt here" in words


def test_many_invoices_are_read_with_as_many_queries_as_few(
    alice: Client, team: Team, django_assert_num_queries: Callable[..., Any]
) -> None:
    invoiced(team)
    alice.get(page("invoices", team))
    with CaptureQueriesContext(connection) as few:
        alice.get(page("invoices", team))
    for _ in range(12):
        buy(team)

    with django_assert_num_queries(len(few)):
        alice.get(page("invoices", team))


def test_a_credit_note_is_shown_as_money_that_came_back(alice: Client, team: Team) -> None:
    purchase = buy(team)
    staff = Actor.for_user(make_admin(make_team()))
    refund = billing.refund(purchase=purchase, actor=staff, reason="Withdrawal", now=NOON)
    assert refund.status == "succeeded"

    words = text(alice.get(page("invoices", team)))
    assert "C-000001 Credit note 1 Mar 2026 Visa ending 4242 \N{MINUS SIGN}$25.00 Credited" in words
    note = Invoice.of(team).get(kind=Invoice.Kind.CREDIT)
    words = text(alice.get(page("invoice", team, note.pk)))
    assert "Credited · Issued on 1 Mar 2026, paid back to Visa ending 4242" in words
    assert "Unspent credits of receipt R-000001 $25.00" in words


def test_a_receipt_and_the_credit_note_that_refunded_it_lead_to_each_other(
    alice: Client, team: Team
) -> None:
    purchase, other = buy(team), buy(team)
    billing.refund(
        purchase=purchase,
        actor=Actor.for_user(make_admin(make_team())),
        reason="Withdrawal",
        now=NOON,
    )
    receipt = Invoice.of(team).get(purchase=purchase)
    note = Invoice.of(team).get(kind=Invoice.Kind.CREDIT)

    for shown, words, named in (
        (receipt, "Refunded by", note),
        (note, "Refund of", receipt),
    ):
        html = alice.get(page("invoice", team, shown.pk)).text
        assert f'{words} <a href="{page("invoice", team, named.pk)}">{named.reference}</a>' in html
    untouched = Invoice.of(team).get(purchase=other)
    assert "Refunded by" not in text(alice.get(page("invoice", team, untouched.pk)))


def test_what_came_by_bank_transfer_was_paid_and_paid_back_by_one(
    alice: Client, team: Team
) -> None:
    purchase = billing.begin_transfer(
        team=team,
        actor=Actor.for_user(make_admin(team)),
        amount_cents=2_500,
        idempotency_key="k",
        now=NOON,
    )
    billing.transfer_arrived(purchase=purchase, actor=SYSTEM, now=NOON)
    staff = Actor.for_user(make_admin(make_team()))
    refund = billing.refund(purchase=purchase, actor=staff, reason="Withdrawal", now=NOON)
    billing.settle_transfer_refund(refund=refund, is_paid=True, now=NOON)

    for kind, words in (("purchase", "paid by"), ("credit", "paid back by")):
        shown = Invoice.of(team).get(kind=kind)
        assert f", {words} bank transfer<" in alice.get(page("invoice", team, shown.pk)).text
        assert ("Payment", f"{words.capitalize()} bank transfer") in billing.printed(shown).facts
