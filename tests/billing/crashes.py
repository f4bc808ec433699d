"""What a process leaves behind that ends in the middle of collecting money."""

from datetime import datetime

from accounts.actors import Actor
from billing import payments
from billing import services as billing
from billing.models import Payment, Purchase
from billing.payments import Card
from tests.factories import NOON

VISA = Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")


def before_asking(
    purchase: Purchase, actor: Actor, *, card: Card = VISA, now: datetime = NOON
) -> Payment:
    """Leave a payment that is written down, and that nobody else knows of."""
    method = billing.enter_card(team=purchase.team, actor=actor, card=card, now=now)
    Purchase.of(purchase.team).filter(pk=purchase.pk).update(status=Purchase.Status.PROCESSING)
    return Payment.across_teams.create(
        team=purchase.team,
        purchase=purchase,
        method=method,
        amount_cents=purchase.total_cents,
        started_by=actor.user,
        started_at=now,
    )


def before_charging(
    purchase: Purchase, actor: Actor, *, card: Card = VISA, now: datetime = NOON
) -> Payment:
    """Leave a payment that the processor has named, and was not told to take the money of."""
    payment = before_asking(purchase, actor, card=card, now=now)
    reference = payments.SANDBOX.prepare(
        amount_cents=payment.amount_cents,
        customer=f"customer-{purchase.team_id}",
        method=payment.method.reference,
        key=str(payment.pk),
    )
    assert isinstance(reference, str)
    payment.reference = reference
    payment.save()
    return payment


def after_charging(
    purchase: Purchase, actor: Actor, *, card: Card = VISA, now: datetime = NOON
) -> Payment:
    """Leave a payment whose money is taken, gone before we hear of it."""
    payment = before_charging(purchase, actor, card=card, now=now)
    payments.SANDBOX.charge(reference=payment.reference, is_off_session=False)
    return payment
