"""What Stripe tells: signed, once, in any order, or not at all."""

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import Settings

from billing import services as billing
from billing import tasks
from billing.models import CreditGrant, Payment, ProcessorEvent
from billing.services.webhooks import BATCH, KEPT
from billing.views.webhook import LONGEST_BODY
from tests.billing.crashes import after_charging
from tests.billing.stripe.buying import ASKS, begin, enter, pay
from tests.billing.stripe.conftest import WEBHOOK_SECRET
from tests.factories import NOON
from tests.stripe_server import StripeServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

ADDRESS = "/api/payments/stripe"


def tell(
    client: Client, event: Any, *, secret: str = WEBHOOK_SECRET, age: int = 0, body: bytes = b""
) -> int:
    """Send an event as Stripe does; with a body, another one than was signed."""
    signed = json.dumps(event).encode()
    moment = int(NOON.timestamp()) - age
    digest = hmac.new(secret.encode(), b"%d." % moment + signed, hashlib.sha256).hexdigest()
    response = client.post(
        ADDRESS,
        body or signed,
        content_type="application/json",
        headers={"Stripe-Signature": f"t={moment},v1={digest}"},
    )
    return response.status_code


def events(stripe: StripeServer) -> list[Any]:
    told: list[Any] = stripe.ask("GET", "/v1/events?limit=100")["data"]
    return told


def lost_payment(stripe: StripeServer) -> Payment:
    """Pay, and lose the answer."""
    purchase, actor = begin()
    method = enter(stripe, purchase.team, actor)
    stripe.lose("/confirm")
    payment = billing.collect(target=purchase, method=method, actor=actor, now=NOON)
    assert payment.status == Payment.Status.PROCESSING
    return payment


def test_a_payment_whose_answer_was_lost_is_completed_by_what_stripe_tells(
    stripe: StripeServer, client: Client
) -> None:
    payment = lost_payment(stripe)

    for event in events(stripe):
        assert tell(client, event) == 200
    tasks.handle_events()

    payment.refresh_from_db()
    assert payment.status == Payment.Status.SUCCEEDED
    assert CreditGrant.of(payment.team).count() == 1
    assert not ProcessorEvent.objects.filter(handled_at=None).exists()
    assert list(billing.differences()) == []


def test_events_that_come_twice_and_in_the_wrong_order_change_nothing_twice(
    stripe: StripeServer, client: Client
) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, ASKS)
    secret = billing.bank_question(payment).client_secret
    stripe.authenticate(payment.reference, secret, success=True)

    told = events(stripe)
    for event in [*reversed(told), *told]:
        assert tell(client, event) == 200
        tasks.handle_events()

    assert ProcessorEvent.objects.count() == len(told)
    jobs = ProcrastinateJob.objects.filter(task_name="billing.tasks.handle_events")
    assert jobs.count() == len(told), "who hears the same again has nothing to do"
    assert CreditGrant.of(purchase.team).count() == 1
    assert list(billing.differences()) == []


def test_an_event_that_claims_a_payment_is_only_a_reason_to_ask(
    stripe: StripeServer, client: Client
) -> None:
    purchase, actor = begin()
    payment = pay(stripe, purchase, actor, ASKS)
    claim = {
        "id": "evt_claim",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": payment.reference, "object": "payment_intent"}},
    }

    assert tell(client, claim) == 200
    tasks.handle_events()

    payment.refresh_from_db()
    assert payment.status == Payment.Status.REQUIRES_ACTION
    assert not CreditGrant.of(purchase.team).exists()


EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
}


@pytest.mark.usefixtures("stripe")
@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({}, 200),
        ({"age": 299}, 200),
        ({"age": 301}, 400),
        ({"secret": "whsec_of_somebody_else"}, 400),
        ({"body": b'{"id": "evt_2"}'}, 400),
        ({"body": b"x" * (LONGEST_BODY + 1)}, 413),
    ],
)
def test_only_what_stripe_signed_a_moment_ago_is_heard(
    client: Client, how: dict[str, Any], status: int
) -> None:
    assert tell(client, EVENT, **how) == status
    assert ProcessorEvent.objects.count() == (status == 200)


@pytest.mark.usefixtures("stripe")
def test_without_a_signature_nothing_is_heard(client: Client) -> None:
    assert client.post(ADDRESS, EVENT, content_type="application/json").status_code == 400
    assert client.get(ADDRESS).status_code == 405


def test_in_the_sandbox_nobody_can_sign(client: Client, settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""

    assert tell(client, EVENT, secret="") == 400


def test_what_no_webhook_told_is_read_by_the_job(stripe: StripeServer, clock: Any) -> None:
    payment = lost_payment(stripe)
    clock.move_to(events(stripe)[-1]["created"] + 60)

    for _ in range(2):
        tasks.read_events(timestamp=0)

    payment.refresh_from_db()
    assert payment.status == Payment.Status.SUCCEEDED
    assert CreditGrant.of(payment.team).count() == 1


def test_an_event_that_cannot_be_handled_is_tried_again_and_stops_no_other(
    stripe: StripeServer, client: Client
) -> None:
    first, second = lost_payment(stripe), lost_payment(stripe)
    for event in events(stripe):
        tell(client, event)
    stripe.go_down(f"/v1/payment_intents/{first.reference}")

    tasks.handle_events()

    decided = [
        Payment.across_teams.get(pk=each.pk).decided_at is not None for each in (first, second)
    ]
    assert decided == [False, True]
    tasks.handle_events()
    first.refresh_from_db()
    assert first.status == Payment.Status.SUCCEEDED


def test_events_that_always_fail_do_not_keep_newer_ones_waiting() -> None:
    stuck, payment = after_charging(*begin()), after_charging(*begin())
    Payment.across_teams.filter(pk=stuck.pk).update(reference=str(stuck.pk))  # Known to nobody.
    for number in range(BATCH):
        keep_event(f"evt_{number}", str(stuck.pk), NOON - timedelta(minutes=1))
    billing.handle_events(now=NOON)
    keep_event("evt_new", payment.reference, NOON)

    billing.handle_events(now=NOON)

    payment.refresh_from_db()
    assert payment.status == Payment.Status.SUCCEEDED
    assert list(ProcessorEvent.objects.exclude(handled_at=None).values_list("pk", flat=True)) == [
        "evt_new"
    ]


def keep_event(name: str, reference: str, received_at: datetime) -> None:
    ProcessorEvent.objects.create(
        pk=name, processor="stripe", kind="x", reference=reference, received_at=received_at
    )


def test_events_are_kept_for_a_while_and_no_longer(stripe: StripeServer) -> None:
    stuck = lost_payment(stripe)
    stripe.go_down(f"/v1/payment_intents/{stuck.reference}", times=99)
    long_ago = NOON - KEPT - timedelta(days=1)
    keep_event("handled", "", long_ago)
    keep_event("never handled", stuck.reference, long_ago)
    keep_event("new", "", NOON - timedelta(days=1))
    ProcessorEvent.objects.exclude(pk="never handled").update(handled_at=NOON)

    billing.read_events(now=NOON)

    kept = set(ProcessorEvent.objects.values_list("pk", flat=True))
    assert kept & {"handled", "never handled", "new"} == {"new"}
