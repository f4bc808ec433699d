"""Cards and amounts that Stripe refuses for good: a try like any other, and somebody is told."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import Team
from billing import payments
from billing import services as billing
from billing.models import Payment, PaymentMethod, ProcessorCustomer, Purchase, TopUpRule
from billing.payments import Refused
from billing.rules import TICKS_PER_USD
from billing.services.topup_rules import TopUpTerms
from tests.billing.pages import page, text
from tests.billing.spending import make_invoiced_team, spend_ticks
from tests.billing.stripe.buying import CHARGE_DECLINED, VISA, begin, enter, pay
from tests.billing.test_dunning import is_blocked, owed
from tests.factories import NOON, make_admin, make_team
from tests.stripe_server import HIGHEST_CENTS, StripeServer

pytestmark = pytest.mark.django_db

ISSUED = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
SENTENCE = "This card can no longer be used. Nothing was charged. Add it again or choose another."


def keep(stripe: StripeServer, team: Team, number: str = VISA) -> PaymentMethod:
    actor = Actor.for_user(make_admin(team))
    method = enter(stripe, team, actor, number)
    return billing.add_method(team=team, actor=actor, method=method, now=NOON)


def delete_customer(stripe: StripeServer, team: Team) -> None:
    """Do what somebody does in Stripe's dashboard."""
    customer = ProcessorCustomer.of(team).get().reference
    stripe.ask("DELETE", f"/v1/customers/{customer}")


def test_an_invoice_whose_customer_is_gone_at_stripe_is_tried_five_times_and_then_overdue(
    stripe: StripeServer,
) -> None:
    team = make_invoiced_team()
    keep(stripe, team)
    delete_customer(stripe, team)
    spend_ticks(team, 20 * TICKS_PER_USD)
    billing.close_months(now=ISSUED)
    mail.outbox.clear()

    for hours in range(0, 24 * 9, 6):
        billing.collect_due(now=ISSUED + timedelta(hours=hours))

    assert Payment.of(team).count() == owed(team).tries == 5
    assert is_blocked(team)
    assert SENTENCE in str(mail.outbox[0].body)


def test_a_top_up_whose_customer_is_gone_at_stripe_stops_the_rule_at_once(
    stripe: StripeServer,
) -> None:
    team = make_team("Larkspur")
    keep(stripe, team)
    delete_customer(stripe, team)
    actor = Actor.for_user(make_admin(team))
    terms = TopUpTerms(trigger_cents=500, amount_cents=2_500, month_max_cents=10_000)
    billing.set_top_up(team=team, actor=actor, terms=terms, now=NOON)

    for minutes in range(0, 60, 5):
        billing.run_top_ups(now=NOON + timedelta(minutes=minutes))

    assert Purchase.of(team).get().failure_code == "method_unusable"
    assert not TopUpRule.of(team).get().is_on
    assert SENTENCE in str(mail.outbox[0].body)


def test_the_page_of_paying_says_that_the_card_can_no_longer_be_used(
    stripe: StripeServer, client: Client
) -> None:
    team = make_team()
    method = keep(stripe, team)
    delete_customer(stripe, team)
    alice = make_admin(team)
    client.force_login(alice)
    purchase = billing.begin(
        team=team,
        actor=Actor.for_user(alice),
        amount_cents=2_500,
        idempotency_key="k",
        now=timezone.now(),
    )

    shown = client.post(page("charge", team, purchase.pk), {"method": str(method.pk)}, follow=True)

    assert SENTENCE in text(shown)
    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.FAILED


def test_a_card_that_is_gone_between_the_two_steps_is_refused_and_cannot_be_charged_later(
    stripe: StripeServer,
) -> None:
    method = keep(stripe, make_team())
    processor = payments.stripe_processor()
    reference = processor.prepare(
        amount_cents=2_500,
        customer=ProcessorCustomer.of(method.team).get().reference,
        method=method.reference,
        key="k",
    )
    assert isinstance(reference, str)
    stripe.forget("payment_method", method.reference)

    result = processor.charge(reference=reference, is_off_session=True)

    assert (result.status, result.code) == (payments.Status.FAILED, "method_unusable")
    assert stripe.ask("GET", f"/v1/payment_intents/{reference}")["status"] == "canceled"


def test_charging_again_what_was_declined_tells_the_banks_reason(stripe: StripeServer) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, CHARGE_DECLINED)

    again = payments.stripe_processor().charge(reference=payment.reference, is_off_session=False)

    assert (again.status, again.code) == (payments.Status.FAILED, "card_declined")


def test_an_amount_above_stripes_highest_is_refused_with_its_reason(stripe: StripeServer) -> None:
    method = keep(stripe, make_team())

    refused = payments.stripe_processor().prepare(
        amount_cents=HIGHEST_CENTS + 1,
        customer=ProcessorCustomer.of(method.team).get().reference,
        method=method.reference,
        key="k",
    )

    assert refused == Refused("amount_too_large")
    assert "more than a card can pay at once" in payments.reason("amount_too_large")


def test_a_payment_that_stripe_does_not_know_is_not_given_up(stripe: StripeServer) -> None:
    """With the key of another account nobody can say whether it was charged."""
    del stripe
    with pytest.raises(billing.ProcessorUnavailableError):
        payments.stripe_processor().find(reference="pi_of_another_account")


# --- Customers ----------------------------------------------------------------------------------


def test_a_card_can_be_entered_after_the_customer_is_gone_and_takes_the_place_of_the_old_one(
    stripe: StripeServer,
) -> None:
    team = make_team()
    lost = keep(stripe, team)
    delete_customer(stripe, team)

    found = keep(stripe, team)

    assert billing.methods_on_file(team) == [found]
    assert found != lost
    assert billing.default_method(team) == found
    purchase, actor = begin(team)
    paid = billing.collect(target=purchase, method=found, actor=actor, now=NOON)
    assert paid.status == Payment.Status.SUCCEEDED


def test_the_customer_is_made_once_whoever_asks_after_a_crash_and_however_the_team_is_called(
    stripe: StripeServer,
) -> None:
    team = make_team("Larkspur")
    keep(stripe, team)
    known = ProcessorCustomer.of(team).get().reference
    ProcessorCustomer.of(team).delete()  # As if we had ended before it was written down.
    team.name = "Larkspur Labs"
    team.save()
    other = Actor.for_user(make_admin(team, name="Bob"))

    enter(stripe, team, other)

    assert ProcessorCustomer.of(team).get().reference == known
    assert len(stripe.ask("GET", "/v1/customers")["data"]) == 1


def test_two_cards_with_the_same_digits_at_the_end_are_two(stripe: StripeServer) -> None:
    team = make_team()

    keep(stripe, team)
    keep(stripe, team, "4111111111114242")

    assert len(billing.methods_on_file(team)) == 2
