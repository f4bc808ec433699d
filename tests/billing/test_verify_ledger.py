"""`manage.py verify_ledger`: silent about honest books, and exact about every kind of tampering."""

from datetime import UTC, datetime
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import Charge, CreditGrant, Hold, Invoice, LedgerEntry, Purchase
from billing.payments import Card
from billing.rules import TICKS_PER_USD, BillingItem, Line
from tests.billing.codes import make_code, redeem
from tests.billing.spending import buy, keep_card, make_invoiced_team, spend_ticks
from tests.factories import NOON, make_admin, make_funded_team, make_team

pytestmark = pytest.mark.django_db

APRIL, MAY = (datetime(2026, month, 1, 0, 5, tzinfo=UTC) for month in (4, 5))

VISA = Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")


@pytest.fixture
def team() -> Team:
    """Make a team with some of everything: bought, spent, invoiced, held and expired."""
    team = make_team()
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=500, idempotency_key="p", now=NOON
    )
    billing.pay(purchase=purchase, actor=actor, card=VISA, now=NOON)
    limit = 10 * TICKS_PER_USD
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=limit, now=NOON)
    for tokens in (3, 4):
        request = billing.HoldRequest(uuid4(), team.pk, 0, TICKS_PER_USD, 5)
        billing.reserve([request], now=NOON, until=NOON)
        lines = [Line(BillingItem.COMPLETION, tokens, TICKS_PER_USD)]
        billing.settle([billing.Settlement(request.request_id, team.pk, "m", lines)], now=NOON)
    live = billing.HoldRequest(uuid4(), team.pk, 0, TICKS_PER_USD, 1)
    billing.reserve([live], now=NOON, until=NOON)
    return team


@pytest.fixture
def redeemed() -> Team:
    """Make a team that has used a promo code."""
    team = make_team()
    make_code()
    redeem(team)
    return team


def verify() -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("verify_ledger", stdout=out, stderr=err)
    except SystemExit as stop:
        return int(str(stop.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def unlock_final_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("ledgerentry", "charge", "invoice"):
            cursor.execute(f"ALTER TABLE billing_{table} DISABLE TRIGGER billing_row_is_final")


def tamper(statement: str, *values: UUID) -> None:
    """Change rows behind everyone's back, as only the owner of the tables can."""
    with connection.cursor() as cursor:
        unlock_final_rows()
        cursor.execute(statement, values)
        assert cursor.rowcount == 1


@pytest.mark.usefixtures("team", "redeemed")
def test_honest_books_have_no_difference() -> None:
    make_funded_team(usd="25")

    assert verify() == (0, "3 teams, 6 entries: no difference\n", "")


TAMPERING = {
    "a grant's remainder": (
        "UPDATE billing_creditgrant SET remaining_ticks = remaining_ticks + 1 WHERE team_id = %s",
        "has 1 ticks left, but its entries sum to 0",
    ),
    "what a payment took": (
        "UPDATE billing_payment SET amount_cents = amount_cents + 1 WHERE team_id = %s",
        "of 501 cents is succeeded, but its purchase is succeeded and of 500",
    ),
    "a payment that is gone": (
        "DELETE FROM billing_payment WHERE team_id = %s",
        "is paid by card, but no payment of it is",
    ),
    "a grant's amount": (
        "UPDATE billing_creditgrant SET amount_ticks = amount_ticks + 1 WHERE team_id = %s",
        "is of 50000000001 ticks, but its first entry adds 50000000000",
    ),
    "an entry's amount": (
        (
            "UPDATE billing_ledgerentry SET amount_ticks = amount_ticks - 1 WHERE id ="
            " (SELECT max(id::text)::uuid FROM billing_ledgerentry WHERE team_id = %s"
            " AND grant_id IS NOT NULL AND kind = 'charge')"
        ),
        "entries sum to -1",
    ),
    "an entry that is gone": (
        "DELETE FROM billing_ledgerentry WHERE team_id = %s AND month IS NOT NULL",
        "the invoice of 2026-03 carries 20000000000 ticks, but its entries take 0",
    ),
    "a month's sum": (
        "UPDATE billing_billingcycle SET accrued_ticks = 7 WHERE team_id = %s",
        "the invoice of 2026-03 carries 7 ticks, but its entries take 20000000000",
    ),
    "a month that is gone": (
        "DELETE FROM billing_billingcycle WHERE team_id = %s",
        "the invoice of 2026-03 carries 0 ticks",
    ),
    "a charge's cost": (
        (
            "UPDATE billing_charge SET cost_ticks = cost_ticks + 1"
            " WHERE team_id = %s AND cost_ticks = 30000000000"
        ),
        "costs 30000000001 ticks, but its entries take 30000000000",
    ),
    "a charge's loss": (
        "UPDATE billing_charge SET loss_ticks = 1 WHERE team_id = %s AND cost_ticks = 30000000000",
        "costs 30000000000 ticks and lost 1, but its lines add up to 30000000000",
    ),
    "a charge's lines": (
        (
            "UPDATE billing_charge SET lines = '[[\"completion\", 2, 5]]'"
            " WHERE team_id = %s AND cost_ticks = 30000000000"
        ),
        "but its lines add up to 10",
    ),
    "what the account holds": (
        "UPDATE billing_billingaccount SET held_ticks = 0 WHERE team_id = %s",
        "the account holds 0 ticks, but its 1 live holds add up to 10000000000",
    ),
    "a hold that is gone": (
        "DELETE FROM billing_hold WHERE team_id = %s AND state = 'live'",
        "the account holds 10000000000 ticks, but its 0 live holds add up to 0",
    ),
    "a settled hold that is gone": (
        (
            "DELETE FROM billing_hold WHERE id = (SELECT id FROM billing_charge"
            " WHERE team_id = %s AND cost_ticks = 30000000000)"
        ),
        "has no settled hold",
    ),
    "a hold that was never charged": (
        (
            "UPDATE billing_hold SET state = 'settled', ended_at = now()"
            " WHERE team_id = %s AND state = 'live'"
        ),
        "is settled, but has no charge",
    ),
    "a hold that was too small": (
        (
            "UPDATE billing_hold SET amount_ticks = 1 WHERE id = (SELECT id FROM billing_charge"
            " WHERE team_id = %s AND cost_ticks = 30000000000)"
        ),
        "costs 30000000000 ticks and lost 0, but 1 were held",
    ),
    "a purchase's amount": (
        "UPDATE billing_purchase SET amount_cents = 501 WHERE team_id = %s",
        "is of 501 cents and succeeded, but granted 50000000000 ticks",
    ),
    "what the account has paid": (
        "UPDATE billing_billingaccount SET paid_ticks = 7 WHERE team_id = %s",
        "says that 7 ticks were paid, but its purchases and invoices add up to 50000000000",
    ),
    "a purchase's status": (
        "UPDATE billing_purchase SET status = 'failed', completed_at = NULL WHERE team_id = %s",
        "is of 500 cents and failed, but granted 50000000000 ticks",
    ),
    "a grant without its purchase": (
        "UPDATE billing_creditgrant SET idempotency_key = 'purchase:none' WHERE team_id = %s",
        "says that it was bought, but there is no such purchase",
    ),
    "a receipt's amount": (
        "UPDATE billing_invoice SET subtotal_cents = 1, total_cents = 1 WHERE team_id = %s",
        "its receipt is over 1",
    ),
    "a receipt's lines": (
        "UPDATE billing_invoice SET lines = '[]' WHERE team_id = %s",
        "R-1 is over 500 cents, but its lines add up to 0",
    ),
    "a receipt that is gone": (
        "DELETE FROM billing_invoice WHERE team_id = %s",
        "has no receipt",
    ),
    "a receipt's number": (
        "UPDATE billing_invoice SET number = 7 WHERE team_id = %s",
        "series R has given 1 numbers, but has 1 documents, from 7 to 7",
    ),
    "an entry of another time": (
        (
            "UPDATE billing_ledgerentry SET kind = 'expiry' WHERE team_id = %s AND kind = 'charge'"
            " AND grant_id IS NOT NULL AND amount_ticks = -30000000000"
        ),
        "before it is over",
    ),
}


@pytest.mark.parametrize(("statement", "sentence"), TAMPERING.values(), ids=TAMPERING)
def test_tampering_is_found_and_named(team: Team, statement: str, sentence: str) -> None:
    tamper(statement, team.pk)

    code, out, err = verify()

    assert code == 1
    assert sentence in out
    assert f"team {team.pk}: " in out or "series" in sentence
    assert "differences" in err


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "DELETE FROM billing_promoredemption WHERE team_id = %s",
            "says that a code gave it, but nobody redeemed that",
        ),
        (
            "UPDATE billing_promoredemption SET nth = 2 WHERE team_id = %s",
            "use 2 of the code SPRING25 gave grant",
        ),
        (
            "UPDATE billing_creditgrant SET kind = 'free' WHERE team_id = %s",
            "which is not of 250000000000 ticks for it",
        ),
    ],
)
def test_a_code_that_was_tampered_with_is_found(
    redeemed: Team, statement: str, sentence: str
) -> None:
    tamper(statement, redeemed.pk)

    code, out, _ = verify()

    assert code == 1
    assert f"team {redeemed.pk}: " in out
    assert sentence in out


@pytest.mark.usefixtures("redeemed")
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE billing_promocode SET uses = 2",
            "the code SPRING25 says 2 uses, but was redeemed 1",
        ),
        ("UPDATE billing_promocode SET uses_per_team = 0", "but a team may 0 times"),
        ("UPDATE billing_promocode SET amount_ticks = 7", "which is not of 7 ticks for it"),
    ],
)
def test_a_code_whose_uses_do_not_explain_it_is_found(statement: str, sentence: str) -> None:
    tamper(statement)

    assert sentence in verify()[1]


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE billing_ledgerentry SET team_id = %s WHERE kind = 'grant'",
            "which belongs to team",
        ),
        (
            "UPDATE billing_ledgerentry SET team_id = %s WHERE month IS NOT NULL",
            "is for charge",
        ),
    ],
)
def test_an_entry_that_wandered_to_another_team_is_found(
    team: Team, statement: str, sentence: str
) -> None:
    other = make_team()

    tamper(statement, other.pk)

    code, out, _ = verify()
    assert code == 1
    assert f"team {other.pk}: " in out
    assert sentence in out
    assert f"belongs to team {team.pk}" in out


def test_the_check_does_not_change_anything(team: Team) -> None:
    models = (CreditGrant, LedgerEntry, Charge, Hold, Purchase, Invoice)
    before = [list(model.of(team).order_by("pk").values()) for model in models]

    verify()

    assert [list(model.of(team).order_by("pk").values()) for model in models] == before


@pytest.fixture
def billed() -> Team:
    """Make a team with a paid month, an open one, a purchase, and a refund of another."""
    team = make_invoiced_team()
    keep_card(team)
    spend_ticks(team, 2 * TICKS_PER_USD)
    billing.close_months(now=APRIL)
    billing.collect_due(now=APRIL)
    spend_ticks(team, TICKS_PER_USD, now=APRIL)
    billing.close_months(now=MAY)
    given_back = buy(team, now=MAY)
    actor = Actor.for_user(make_admin(team))
    billing.refund(purchase=given_back, actor=actor, reason="Law", now=MAY)
    return team


TAMPERED = {
    "UPDATE billing_billingcycle SET invoice_id = NULL WHERE month = '2026-03-01'": [
        "over 200 cents, with lines of 20000000000 ticks, but its months add up to 0 ticks",
        "is of 2026-03, but that month is not on it",
        "closed months without an invoice add up to 20000000000 ticks, enough for one",
    ],
    "UPDATE billing_billingcycle SET closed_at = NULL WHERE month = '2026-03-01'": [
        "2026-03 is on invoice",
    ],
    "UPDATE billing_billingaccount SET open_month = '2026-04-01'": [
        "2026-04 is closed, but something can still be added to it",
    ],
    "UPDATE billing_receivable SET paid_at = NULL, next_try_at = now() WHERE paid_at IS NOT NULL": [
        "is open, but payments took 200 cents for it",
        "the account says that",
    ],
    "UPDATE billing_payment SET amount_cents = 1 WHERE invoice_id IS NOT NULL": [
        "over 200 cents is paid, but payments took 1 cents for it",
    ],
    "DELETE FROM billing_receivable WHERE paid_at IS NULL": [
        "is of a kind that is collected, but is not",
    ],
    "UPDATE billing_receivable SET next_try_at = NULL": [
        "an invoice is overdue, but invoicing goes on",
    ],
    "UPDATE billing_billingaccount SET invoicing_blocked_at = now()": [
        "invoicing is stopped, but no invoice is overdue",
    ],
    "UPDATE billing_refund SET amount_cents = 1": [
        "of 1 cents is succeeded, but its entries take 250000000000 ticks",
        "but its credit note is over 2500 and 0",
    ],
    "UPDATE billing_refund SET tax_cents = 1": [
        "of 2500 and 1 cents is succeeded, but its credit note is over 2500 and 0",
        "gives back a tax of 1 cents, but 2500 of 2500 cents had one of 0",
    ],
}


@pytest.mark.usefixtures("billed")
@pytest.mark.parametrize("tampering", TAMPERED)
def test_each_tampering_with_what_is_billed_and_paid_back_is_named(tampering: str) -> None:
    assert verify()[0] == 0

    with connection.cursor() as cursor:
        cursor.execute(tampering)

    status, told, _ = verify()
    assert status
    assert len(told.strip().splitlines()) == len(TAMPERED[tampering]), told
    for sentence in TAMPERED[tampering]:
        assert sentence in told, told
