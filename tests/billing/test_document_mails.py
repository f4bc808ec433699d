"""The mail about a document: one for each, sent with it, and to whoever sees to the money."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import Invoice
from billing.rules import TICKS_PER_USD
from billing.services import TopUpTerms
from billing.services.documents import issue_receipt
from console.models import OutgoingMail
from tests.billing.pages import page
from tests.billing.spending import buy, keep_card, make_invoiced_team, spend_ticks
from tests.billing.test_documents import bought, save
from tests.factories import NOON, make_admin, make_member, make_team, make_user

pytestmark = pytest.mark.django_db

FIRST_OF_APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


def html(message: object) -> str:
    assert isinstance(message, EmailMultiAlternatives)
    return str(message.alternatives[0][0])


def assert_leads_to(invoice: Invoice, settings: Settings) -> None:
    """Look for the document's own page in both bodies of the latest mail."""
    address = settings.PUBLIC_URL + page("invoice", invoice.team, invoice.pk)
    assert address in str(mail.outbox[-1].body)
    assert f'href="{address}"' in html(mail.outbox[-1])


def test_who_buys_is_mailed_the_receipt_once(team: Team, settings: Settings) -> None:
    settings.TAX_PERCENT = Decimal(19)
    purchase = buy(team)

    for _ in range(2):
        billing.reconcile(purchase=purchase, now=NOON)

    assert subjects() == ["Receipt R-000001 of Larkspur Labs: $29.75"]
    body = str(mail.outbox[0].body)
    assert f"{purchase.buyer.display_name} bought $25.00 of credits for the team Lark" in body
    assert "Total: $29.75\nPaid with Visa ending 4242" in body
    assert "Open the receipt:" in body
    assert_leads_to(Invoice.of(team).get(), settings)


def test_what_auto_top_up_buys_is_mailed_each_time(team: Team) -> None:
    keep_card(team)
    terms = TopUpTerms(trigger_cents=2_000, amount_cents=5_000, month_max_cents=100_000)
    actor = Actor.for_user(make_admin(team))
    save(team)
    billing.set_top_up(team=team, actor=actor, terms=terms, now=NOON)

    for day in range(2):
        now = NOON + timedelta(days=day)
        billing.run_top_ups(now=now)
        billing.run_top_ups(now=now)
        spend_ticks(team, 50 * TICKS_PER_USD, now=now)

    assert subjects() == [
        "Receipt R-000001 of Larkspur Labs: $50.00",
        "Receipt R-000002 of Larkspur Labs: $50.00",
    ]
    assert "Auto top-up has bought $50.00 of credits for the team" in str(mail.outbox[0].body)


def test_a_bank_transfer_that_arrives_is_one_mail(team: Team) -> None:
    purchase = billing.begin_transfer(
        team=team,
        actor=Actor.for_user(make_admin(team)),
        amount_cents=25_000,
        idempotency_key="k",
        now=NOON,
    )
    mail.outbox.clear()

    for _ in range(2):
        billing.transfer_arrived(purchase=purchase, actor=SYSTEM, now=NOON)

    assert subjects() == ["Receipt R-000001 of Larkspur Labs: $250.00"]
    body = str(mail.outbox[0].body)
    assert (
        f"The bank transfer {purchase.transfer_reference} has arrived. $250.00 of credits" in body
    )
    assert "Total: $250.00\nPaid by bank transfer" in body


@pytest.mark.parametrize("has_card", [True, False])
def test_the_invoice_of_a_month_says_what_is_charged(settings: Settings, *, has_card: bool) -> None:
    team = make_invoiced_team(name="Larkspur Labs")
    if has_card:
        keep_card(team)
    save(team)
    spend_ticks(team, 3 * TICKS_PER_USD)

    for _ in range(2):
        billing.close_months(now=FIRST_OF_APRIL)

    assert subjects() == ["Invoice M-000001 of Larkspur Labs: $3.00"]
    body = str(mail.outbox[0].body)
    assert "used in March 2026 beyond its credits is invoiced." in body
    charged = "the default payment method, Visa ending 4242, is charged."
    missing = "there is no payment method on file. Add one, or pay the invoice."
    assert (charged if has_card else missing) in body
    assert (missing if has_card else charged) not in html(mail.outbox[0])
    assert_leads_to(Invoice.of(team).get(), settings)


def test_a_month_that_is_too_little_to_be_invoiced_is_told_by_no_mail() -> None:
    team = make_invoiced_team()
    spend_ticks(team, TICKS_PER_USD // 10)

    billing.close_months(now=FIRST_OF_APRIL)

    assert not mail.outbox


def test_a_refund_is_mailed_when_its_credit_note_is_written(team: Team, settings: Settings) -> None:
    purchase = buy(team)
    mail.outbox.clear()

    billing.refund(
        purchase=purchase, actor=Actor.for_user(make_user()), reason="Withdrawn", now=NOON
    )
    billing.reconcile_refunds(now=NOON)

    assert subjects() == ["Credit note C-000001 of Larkspur Labs: $25.00"]
    body = str(mail.outbox[0].body)
    assert "Unspent credits of receipt R-000001 of the team Larkspur Labs" in body
    assert "Total: $25.00\nPaid back to Visa ending 4242" in body
    assert_leads_to(Invoice.of(team).get(kind="credit"), settings)


@pytest.mark.django_db(transaction=True)
def test_a_document_that_is_rolled_back_is_told_by_no_mail(team: Team, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "console.outbox.Outbox"
    purchase = bought(team)

    with suppress(ZeroDivisionError), transaction.atomic():
        issue_receipt(purchase=purchase, paid_with="", now=NOON)
        raise ZeroDivisionError  # Whatever comes up before the commit.
    assert not OutgoingMail.objects.exists()

    with transaction.atomic():
        issue_receipt(purchase=purchase, paid_with="", now=NOON)
    assert OutgoingMail.objects.count() == 1


# --- Who reads it


def test_it_goes_to_the_billing_email_alone_where_there_is_one(team: Team) -> None:
    save(team)
    make_admin(team)

    issue_receipt(purchase=bought(team), paid_with="", now=NOON)

    assert [message.to for message in mail.outbox] == [["bills@larkspur.example"]]


def test_else_it_goes_to_each_address_that_may_change_billing_once(team: Team) -> None:
    purchase = bought(team)
    twin = make_admin(team)
    twin.set_unusable_password()  # Signs in by another way, with the same address.
    twin.email = purchase.buyer.email
    twin.save()
    make_member(team)

    issue_receipt(purchase=purchase, paid_with="", now=NOON)

    assert [message.to for message in mail.outbox] == [[purchase.buyer.email]]


@pytest.mark.parametrize("has_email", [True, False])
def test_a_mail_about_money_is_not_about_an_account(*, has_email: bool) -> None:
    team = make_team("Larkspur Labs")
    if has_email:
        save(team)

    issue_receipt(purchase=bought(team), paid_with="", now=NOON)

    assert "about the account" not in str(mail.outbox[0].body) + html(mail.outbox[0])
