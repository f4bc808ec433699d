"""Webhooks in many hands at once and out of order: what they tell is booked once."""

from random import Random

import pytest
from django.test import Client

from billing import services as billing
from billing import tasks
from billing.models import CreditGrant, Invoice, Payment, ProcessorEvent
from tests.billing.stripe.buying import ASKS, begin, pay
from tests.billing.stripe.test_webhooks import events, lost_payment, tell
from tests.races import race
from tests.stripe_server import StripeServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]

HANDS = 8


def test_events_in_eight_hands_at_once_and_out_of_order_are_booked_once(
    stripe: StripeServer,
) -> None:
    purchase, actor = begin()
    asked = pay(stripe, purchase, actor, ASKS)
    secret = billing.bank_question(asked).client_secret
    stripe.authenticate(asked.reference, secret, success=True)
    lost = lost_payment(stripe)
    told = events(stripe)

    def deliver(seed: int) -> list[int]:
        client, mixed = Client(), list(told)
        Random(seed).shuffle(mixed)  # noqa: S311 -- no secret
        answers = []
        for event in mixed:
            answers.append(tell(client, event))
            tasks.handle_events()
        return answers

    answers = race(*[lambda seed=seed: deliver(seed) for seed in range(HANDS)])

    assert answers == [[200] * len(told)] * HANDS
    assert ProcessorEvent.objects.count() == len(told)
    assert not ProcessorEvent.objects.filter(handled_at=None).exists()
    for payment in (asked, lost):
        payment.refresh_from_db()
        assert payment.status == Payment.Status.SUCCEEDED
        assert CreditGrant.of(payment.team).count() == Invoice.of(payment.team).count() == 1
    assert len(stripe.succeeded()) == 2
    assert list(billing.differences()) == []
