"""Buying credits: paid once, granted once, and nothing lost when we crash in between."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from psycopg import sql
from pytest_django import Settings

from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from audit.models import AuditEvent
from billing import payments
from billing import services as billing
from billing.models import CreditGrant, Invoice, Payment, Purchase, SandboxPayment
from billing.payments import SANDBOX, Card
from billing.payments.base import REASONS
from billing.rules import TICKS_PER_CENT
from tests.billing.crashes import after_charging, before_asking, before_charging
from tests.factories import NOON, make_admin, make_team

VISA = "4242424242424242"
DECLINED = "4000000000000002"
CHARGE_DECLINED = "4000000000000341"
ASKS = "4000002760003184"

pytestmark = pytest.mark.django_db


def card(number: str = VISA) -> Card:
    return Card(number, expiry_month=12, expiry_year=2030, cvc="123")


def begin(team: Team, *, cents: int = 2500, key: str = "") -> tuple[Purchase, Actor]:
    actor = Actor.for_user(make_admin(team, name="Alice"))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=cents, idempotency_key=key or str(uuid4()), now=NOON
    )
    return purchase, actor


def available(team: Team) -> int:
    return billing.balance(team, now=NOON).available_ticks


def assert_paid_once(team: Team, cents: int = 2500) -> None:
    assert available(team) == cents * TICKS_PER_CENT
    assert CreditGrant.of(team).count() == 1
    assert [invoice.total_cents for invoice in Invoice.of(team)] == [cents]
    assert SandboxPayment.objects.filter(status="succeeded").count() == 1
    assert list(billing.differences()) == []


def test_a_purchase_is_a_change_when_it_is_paid_and_not_when_it_begins() -> None:
    team = make_team("Larkspur")

    purchase, actor = begin(team)
    begun = [event.operation for event in audit.recent_changes(team, limit=9)]
    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)
    paid = [event.operation for event in audit.recent_changes(team, limit=9)]

    assert "BeginPurchase" not in begun
    assert paid == ["BuyCredits", "AddPaymentMethod", *begun]
    assert AuditEvent.of(team).filter(operation="BeginPurchase").exists()


def test_a_paid_purchase_grants_the_credits_and_issues_a_receipt() -> None:
    team = make_team("Larkspur")
    purchase, actor = begin(team)

    paid = billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    assert paid.status == Purchase.Status.SUCCEEDED
    assert paid.paid_with == "Visa ending 4242"
    grant = CreditGrant.of(team).get()
    assert (grant.label, grant.kind) == ("Bought by Alice", CreditGrant.Kind.PREPAID)
    assert grant.expires_at == NOON.replace(year=2027)
    receipt = Invoice.of(team).get()
    assert receipt.standing == "Paid"
    assert receipt.buyer["name"] == "Larkspur"
    assert receipt.paid_with == "Visa ending 4242"
    assert_paid_once(team)


def test_a_purchase_is_in_the_audit_log_as_the_buyers_doing() -> None:
    team = make_team()
    purchase, actor = begin(team)

    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    event = AuditEvent.of(team).get(operation="BuyCredits")
    assert event.description == "Bought $25.00 of prepaid credits"
    assert event.user == actor.user


def test_bought_credits_last_for_ever_where_the_operator_says_so(
    settings: Settings,
) -> None:
    settings.PREPAID_EXPIRY_MONTHS = 0
    team = make_team()
    purchase, actor = begin(team)

    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    assert CreditGrant.of(team).get().expires_at is None


def test_a_card_that_is_declined_as_it_is_charged_costs_nothing_and_another_may_be_tried() -> None:
    team = make_team()
    purchase, actor = begin(team)

    refused = billing.pay(purchase=purchase, actor=actor, card=card(CHARGE_DECLINED), now=NOON)

    assert (refused.status, refused.failure_code) == (Purchase.Status.FAILED, "card_declined")
    assert available(team) == 0
    assert billing.methods_on_file(team) == []
    assert AuditEvent.of(team).get(operation="BuyCredits").outcome == AuditEvent.Outcome.FAILED
    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)
    assert_paid_once(team)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (DECLINED, "card_declined"),
        ("4000000000009995", "insufficient_funds"),
        ("4000000000000069", "expired_card"),
        ("4000000000000127", "incorrect_cvc"),
        ("4000003560000008", "card_country"),
        ("4111111111111111", "not_a_test_card"),
    ],
)
def test_a_card_that_is_refused_as_it_is_entered_is_not_charged(number: str, code: str) -> None:
    team = make_team()
    purchase, actor = begin(team)

    with pytest.raises(billing.MethodRefusedError) as refused:
        billing.pay(purchase=purchase, actor=actor, card=card(number), now=NOON)

    assert refused.value.code == code
    assert code in REASONS
    assert not Payment.of(team).exists()
    assert not SandboxPayment.objects.exists()
    event = AuditEvent.of(team).get(operation="AddPaymentMethod")
    assert (event.outcome, event.user) == (AuditEvent.Outcome.FAILED, actor.user)
    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)
    assert_paid_once(team)


@pytest.mark.parametrize("number", [VISA, "5555555555554444", "378282246310005"])
def test_a_good_test_card_of_each_brand_pays(number: str) -> None:
    team = make_team()
    purchase, actor = begin(team)

    paid = billing.pay(purchase=purchase, actor=actor, card=card(number), now=NOON)

    assert paid.paid_with.endswith(number[-4:])
    assert_paid_once(team)


def test_a_confirmed_payment_grants_the_credits_when_it_is_confirmed() -> None:
    team = make_team()
    purchase, actor = begin(team)

    asked = billing.pay(purchase=purchase, actor=actor, card=card(ASKS), now=NOON)

    assert asked.status == Purchase.Status.REQUIRES_ACTION
    assert available(team) == 0
    for _ in range(2):
        billing.confirm(purchase=purchase, actor=actor, approved=True, now=NOON)
    assert_paid_once(team)


def test_a_payment_that_its_holder_declines_costs_nothing() -> None:
    team = make_team()
    purchase, actor = begin(team)
    billing.pay(purchase=purchase, actor=actor, card=card(ASKS), now=NOON)

    declined = billing.confirm(purchase=purchase, actor=actor, approved=False, now=NOON)

    assert declined.failure_code == "authentication_failed"
    assert available(team) == 0
    billing.confirm(purchase=purchase, actor=actor, approved=True, now=NOON)
    assert available(team) == 0


def test_no_second_card_is_tried_while_the_first_awaits_its_confirmation() -> None:
    team = make_team()
    purchase, actor = begin(team)
    billing.pay(purchase=purchase, actor=actor, card=card(ASKS), now=NOON)

    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    assert SandboxPayment.objects.count() == 1


def test_paying_again_charges_nothing_again() -> None:
    team = make_team()
    purchase, actor = begin(team)

    for _ in range(3):
        paid = billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)
        assert paid.status == Purchase.Status.SUCCEEDED

    assert_paid_once(team)


def test_beginning_again_with_the_same_key_returns_the_first_purchase() -> None:
    team = make_team()
    actor = Actor.for_user(make_admin(team))
    begins = [
        billing.begin(team=team, actor=actor, amount_cents=2500, idempotency_key="k", now=NOON)
        for _ in range(2)
    ]

    assert begins[0] == begins[1]
    with pytest.raises(billing.IdempotencyConflictError):
        billing.begin(team=team, actor=actor, amount_cents=2600, idempotency_key="k", now=NOON)


@pytest.mark.parametrize("cents", [499, 1_000_001, 0, -2500])
def test_an_amount_outside_the_limits_is_refused(cents: int) -> None:
    team = make_team()

    with pytest.raises(billing.PurchaseAmountError, match=r"from \$5.00 to \$10,000.00"):
        begin(team, cents=cents)


def test_a_purchase_that_was_not_paid_in_time_takes_no_money() -> None:
    team = make_team()
    purchase, actor = begin(team)
    late = NOON + timedelta(hours=24)

    with pytest.raises(billing.PurchaseExpiredError):
        billing.pay(purchase=purchase, actor=actor, card=card(), now=late)

    billing.reconcile_all(now=late)
    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.EXPIRED
    assert SandboxPayment.objects.count() == 0


def test_a_confirmation_that_never_came_is_cancelled_before_the_purchase_expires() -> None:
    team = make_team()
    purchase, actor = begin(team)
    billing.pay(purchase=purchase, actor=actor, card=card(ASKS), now=NOON)

    billing.reconcile_all(now=NOON + timedelta(hours=24))

    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.EXPIRED
    assert SandboxPayment.objects.get().status == SandboxPayment.Status.CANCELLED


# --- Crashes ----------------------------------------------------------------------------------


def test_money_taken_before_a_crash_is_granted_when_we_ask_again() -> None:
    team = make_team()
    after_charging(*begin(team))

    assert available(team) == 0
    for _ in range(2):
        billing.reconcile_all(now=NOON)
    assert_paid_once(team)


def test_no_other_card_is_tried_while_the_outcome_of_a_crash_is_open() -> None:
    team = make_team()
    purchase, actor = begin(team)
    after_charging(purchase, actor)

    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    billing.reconcile_all(now=NOON)
    assert_paid_once(team)


@pytest.mark.parametrize("crash", [before_asking, before_charging])
def test_an_attempt_that_took_nothing_is_given_up_when_it_cannot_be_on_its_way_any_more(
    crash: Any,
) -> None:
    team = make_team()
    purchase, actor = begin(team)
    payment = crash(purchase, actor)

    billing.reconcile_all(now=NOON + timedelta(minutes=4))
    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.PROCESSING
    billing.reconcile_all(now=NOON + timedelta(minutes=5))

    purchase.refresh_from_db()
    assert (purchase.status, purchase.failure_code) == (Purchase.Status.FAILED, "not_charged")
    if payment.reference:
        # Who was only slow charges it in vain.
        late = SANDBOX.charge(reference=payment.reference, is_off_session=False)
        assert late.status == payments.Status.FAILED
    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)
    assert_paid_once(team)


def test_one_payment_that_cannot_be_reconciled_does_not_keep_the_others_waiting() -> None:
    stuck = after_charging(*begin(make_team()))
    Payment.of(stuck.team).update(reference=str(uuid4()))
    team = make_team()
    after_charging(*begin(team))

    billing.reconcile_all(now=NOON)

    assert available(team) == 2500 * TICKS_PER_CENT


@pytest.mark.parametrize(
    ("percent", "tax_cents"), [("19", 475), ("7.25", 181), ("0.02", 1), ("0.01", 0)]
)
def test_the_tax_is_charged_besides_the_credits_and_frozen_when_the_purchase_begins(
    settings: Settings, percent: str, tax_cents: int
) -> None:
    settings.TAX_PERCENT, settings.TAX_NAME = Decimal(percent), "VAT"
    team = make_team()
    purchase, actor = begin(team)
    settings.TAX_PERCENT = Decimal(50)

    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    assert available(team) == 2500 * TICKS_PER_CENT
    assert SandboxPayment.objects.get().amount_cents == 2500 + tax_cents
    receipt = Invoice.of(team).get()
    assert (receipt.subtotal_cents, receipt.tax_cents) == (2500, tax_cents)
    assert billing.tier(team).paid_ticks == 2500 * TICKS_PER_CENT
    assert list(billing.differences()) == []


def test_the_card_number_is_kept_nowhere() -> None:
    team = make_team()
    purchase, actor = begin(team)
    billing.pay(purchase=purchase, actor=actor, card=card(CHARGE_DECLINED), now=NOON)
    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        for table in tables:
            rows = sql.SQL("SELECT count(*) FROM {} t WHERE t::text LIKE %s")
            cursor.execute(rows.format(sql.Identifier(table)), [f"%{VISA}%"])
            assert cursor.fetchone() == (0,), table
    assert VISA not in repr(card())
