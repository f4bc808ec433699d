"""Paying by Stripe: charged once, whatever is lost on the way."""

from datetime import timedelta

import pytest

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import payments
from billing import services as billing
from billing.models import CreditGrant, Invoice, Payment, PaymentMethod, Purchase
from billing.payments import RefundStatus
from billing.rules import TICKS_PER_CENT
from billing.services.collecting import PATIENCE
from tests.billing.stripe.buying import (
    ASKS,
    ASKS_THEN_DECLINED,
    CHARGE_DECLINED,
    DECLINED,
    VISA,
    begin,
    enter,
    pay,
)
from tests.factories import NOON
from tests.stripe_server import StripeServer

pytestmark = pytest.mark.django_db


def assert_paid_once(stripe: StripeServer, team: Team, cents: int = 2500) -> None:
    assert [payment["amount"] for payment in stripe.succeeded()] == [cents]
    assert billing.balance(team, now=NOON).available_ticks == cents * TICKS_PER_CENT
    assert CreditGrant.of(team).count() == Invoice.of(team).count() == 1
    assert list(billing.differences()) == []


def test_a_card_pays_and_is_kept_on_file_as_the_default(stripe: StripeServer) -> None:
    purchase, actor = begin()

    payment = pay(stripe, purchase, actor)

    assert payment.status == Payment.Status.SUCCEEDED
    assert_paid_once(stripe, purchase.team)
    [method] = billing.methods_on_file(purchase.team)
    assert (str(method), method.expiry, method.is_default) == ("Visa ending 4242", "12 / 30", True)
    assert stripe.ask("GET", f"/v1/payment_methods/{method.reference}")["customer"]
    purchase.refresh_from_db()
    assert purchase.paid_with == "Visa ending 4242"


def test_the_team_is_one_customer_however_often_it_pays(stripe: StripeServer) -> None:
    purchase, actor = begin()
    pay(stripe, purchase, actor)
    other, actor = begin(purchase.team)

    pay(stripe, other, actor)

    assert len(stripe.ask("GET", "/v1/customers")["data"]) == 1


def test_a_card_that_its_bank_declines_is_not_taken(stripe: StripeServer) -> None:
    purchase, actor = begin()

    with pytest.raises(billing.MethodRefusedError, match="declined the card"):
        pay(stripe, purchase, actor, DECLINED)

    assert not Payment.of(purchase.team).exists()
    assert not PaymentMethod.of(purchase.team).exists()


def test_a_card_that_is_declined_when_it_is_charged_can_be_followed_by_another(
    stripe: StripeServer,
) -> None:
    purchase, actor = begin()

    payment = pay(stripe, purchase, actor, CHARGE_DECLINED)

    assert (payment.status, payment.failure_code) == (Payment.Status.FAILED, "card_declined")
    # Nobody who has its secret can try it again.
    intent = stripe.ask("GET", f"/v1/payment_intents/{payment.reference}")
    assert intent["status"] == "canceled"
    pay(stripe, purchase, actor)
    assert_paid_once(stripe, purchase.team)


@pytest.mark.parametrize(
    ("number", "success", "status", "code"),
    [
        (ASKS, True, "succeeded", ""),
        (ASKS, False, "failed", "authentication_failed"),
        (ASKS_THEN_DECLINED, True, "failed", "card_declined"),
    ],
)
def test_the_bank_asks_in_the_browser_and_we_ask_stripe_what_became_of_it(
    stripe: StripeServer, number: str, *, success: bool, status: str, code: str
) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, number)
    assert payment.status == Payment.Status.REQUIRES_ACTION
    assert stripe.succeeded() == []

    secret = billing.bank_question(payment).client_secret
    stripe.authenticate(payment.reference, secret, success=success)
    payment = billing.reconcile_payment(payment=payment, now=NOON)

    assert (payment.status, payment.failure_code) == (status, code)
    assert len(stripe.succeeded()) == (status == "succeeded")
    assert CreditGrant.of(purchase.team).count() == (status == "succeeded")


def test_a_question_that_its_holder_cancels_takes_nothing(stripe: StripeServer) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, ASKS)

    payment = billing.answer_bank(payment=payment, actor=actor, approved=False, now=NOON)

    assert payment.failure_code == "authentication_failed"
    pay(stripe, purchase, actor)
    assert_paid_once(stripe, purchase.team)


def test_a_yes_that_the_browser_claims_is_not_believed(stripe: StripeServer) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, ASKS)

    payment = billing.answer_bank(payment=payment, actor=actor, approved=True, now=NOON)

    assert payment.status == Payment.Status.REQUIRES_ACTION
    assert not CreditGrant.of(purchase.team).exists()


def test_a_bank_that_wants_to_ask_when_nobody_is_there_is_a_refusal(stripe: StripeServer) -> None:
    purchase, actor = begin()

    payment = pay(stripe, purchase, actor, ASKS, is_off_session=True)

    assert payment.failure_code == "authentication_required"
    assert payment.status == Payment.Status.FAILED


def test_a_question_that_nobody_answered_is_cancelled_when_the_purchase_expires(
    stripe: StripeServer,
) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, ASKS)

    billing.reconcile_all(now=NOON + timedelta(hours=24))

    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.EXPIRED
    intent = stripe.ask("GET", f"/v1/payment_intents/{payment.reference}")
    assert intent["status"] == "canceled"


# --- Countries --------------------------------------------------------------------------------


def test_a_card_issued_in_india_is_refused_before_there_is_a_payment(stripe: StripeServer) -> None:
    purchase, actor = begin()
    setup = billing.begin_entry(team=purchase.team)
    stripe.enter_card(setup.reference, setup.client_secret, VISA)
    entered = stripe.ask("GET", f"/v1/setup_intents/{setup.reference}")["payment_method"]
    facts = {"last4": "0008", "exp_month": 12, "exp_year": 2030, "fingerprint": "f"}
    card = {"country": "IN", "brand": "visa", **facts}
    stripe.ask("POST", f"/v1/payment_methods/{entered}", {"card": card})

    with pytest.raises(billing.MethodRefusedError, match="issued in India"):
        billing.finish_entry(team=purchase.team, actor=actor, reference=setup.reference, now=NOON)

    assert not Payment.of(purchase.team).exists()
    assert stripe.ask("GET", "/v1/payment_intents")["data"] == []
    billing.forget_removed_methods(now=NOON)
    assert stripe.ask("GET", f"/v1/payment_methods/{entered}")["customer"] is None


# --- What is lost on the way ------------------------------------------------------------------


def test_an_answer_that_is_lost_is_asked_for_again(stripe: StripeServer) -> None:
    purchase, actor = begin()
    method = enter(stripe, purchase.team, actor)
    stripe.lose("/confirm")

    payment = billing.collect(target=purchase, method=method, actor=actor, now=NOON)

    assert payment.status == Payment.Status.PROCESSING
    assert not CreditGrant.of(purchase.team).exists()
    again = billing.collect(target=purchase, method=method, actor=actor, now=NOON)
    assert again == payment
    for _ in range(2):
        billing.reconcile_all(now=NOON)
    assert_paid_once(stripe, purchase.team)


def test_a_stripe_that_is_down_takes_nothing_and_another_try_pays(stripe: StripeServer) -> None:
    purchase, actor = begin()
    method = enter(stripe, purchase.team, actor)
    billing.add_method(team=purchase.team, actor=actor, method=method, now=NOON)
    stripe.go_down()

    payment = billing.collect(target=purchase, method=method, actor=actor, now=NOON)

    assert (payment.status, payment.failure_code) == (Payment.Status.FAILED, "not_charged")
    billing.collect(target=purchase, method=method, actor=actor, now=NOON)
    assert_paid_once(stripe, purchase.team)


def test_a_stripe_that_goes_down_before_it_charges_is_asked_again_and_given_up(
    stripe: StripeServer,
) -> None:
    purchase, actor = begin()
    method = enter(stripe, purchase.team, actor)
    stripe.go_down("/confirm")

    payment = billing.collect(target=purchase, method=method, actor=actor, now=NOON)

    assert payment.status == Payment.Status.PROCESSING
    payment = billing.reconcile_payment(payment=payment, now=NOON)
    assert payment.status == Payment.Status.PROCESSING
    payment = billing.reconcile_payment(payment=payment, now=NOON + PATIENCE)
    assert (payment.status, payment.failure_code) == (Payment.Status.FAILED, "not_charged")
    pay(stripe, purchase, actor)
    assert_paid_once(stripe, purchase.team)


def test_a_card_cannot_be_entered_while_stripe_is_down(stripe: StripeServer) -> None:
    purchase, _ = begin()
    stripe.go_down()

    with pytest.raises(billing.ProcessorUnavailableError, match="does not answer"):
        billing.begin_entry(team=purchase.team)


def test_what_a_browser_says_it_has_entered_is_looked_at(stripe: StripeServer) -> None:
    purchase, actor = begin()
    other, _ = begin()
    theirs = billing.begin_entry(team=other.team)
    stripe.enter_card(theirs.reference, theirs.client_secret, VISA)
    empty = billing.begin_entry(team=purchase.team)

    for reference in (theirs.reference, empty.reference, "seti_made_up"):
        with pytest.raises(billing.MethodRefusedError, match="not entered to the end"):
            billing.finish_entry(team=purchase.team, actor=actor, reference=reference, now=NOON)


# --- Refunds ----------------------------------------------------------------------------------


def test_a_refund_is_made_once_however_often_it_is_asked_for(stripe: StripeServer) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor)
    stripe.lose("POST /v1/refunds")
    processor = payments.stripe_processor()

    with pytest.raises(payments.ProcessorUnavailableError):
        processor.refund(payment=payment.reference, amount_cents=1000, key="refund-1")
    made = [
        processor.refund(payment=payment.reference, amount_cents=1000, key="refund-1")
        for _ in range(2)
    ]

    assert [refund.status for refund in made] == [RefundStatus.SUCCEEDED] * 2
    refunds = stripe.ask("GET", f"/v1/refunds?payment_intent={payment.reference}")["data"]
    assert [refund["amount"] for refund in refunds] == [1000]
    assert processor.find_refund(payment=payment.reference, key="refund-1") == made[0]
    assert processor.find_refund(payment=payment.reference, key="refund-2") is None


# --- Cards on file ----------------------------------------------------------------------------


def test_a_card_that_is_removed_is_forgotten_at_stripe(stripe: StripeServer) -> None:
    purchase, actor = begin()
    team = purchase.team
    pay(stripe, purchase, actor)
    other = enter(stripe, team, actor, "5555555555554444")
    billing.add_method(team=team, actor=actor, method=other, now=NOON)

    removed = billing.remove_method(team=team, actor=actor, method_id=other.pk, now=NOON)
    billing.forget_removed_methods(now=NOON)

    told = stripe.ask("GET", f"/v1/payment_methods/{removed.reference}")
    assert told["customer"] is None


def test_a_default_card_pays_when_nobody_is_there(stripe: StripeServer) -> None:
    purchase, actor = begin()
    method = enter(stripe, purchase.team, actor)
    billing.add_method(team=purchase.team, actor=actor, method=method, now=NOON)

    default = billing.default_method(purchase.team)
    assert default
    payment = billing.collect(
        target=purchase, method=default, actor=SYSTEM, now=NOON, is_off_session=True
    )

    assert payment.status == Payment.Status.SUCCEEDED
    assert_paid_once(stripe, purchase.team)
