"""What Stripe tells: kept once, and taken as a reason to ask how things stand.

What an event says is never believed further than that. So it does not matter in which order
events come, how often, or whether one is missed: each leads to the same question.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import F
from procrastinate.contrib.django import app

from billing import payments
from billing.models import Payment, ProcessorEvent
from billing.payments import BadSignatureError
from billing.services.collecting import reconcile_payment

logger = logging.getLogger(__name__)

PROCESSOR: Final = "stripe"
# Events older than that were read many times; Stripe itself keeps them for 30 days.
KEPT: Final = timedelta(days=30)
# How far back the job looks for events whose webhook was lost: longer than Stripe is ever down.
LOOKS_BACK: Final = timedelta(hours=3)
# How many events one run of the job handles before it makes room for others.
BATCH: Final = 500


def receive_event(*, body: bytes, signature: str, now: datetime) -> None:
    """Keep a signed event, once, and have it handled.

    Raises BadSignatureError.
    """
    if payments.is_sandbox():
        raise BadSignatureError  # There is no secret that it could be signed with.
    event = payments.stripe_processor().event(body=body, signature=signature)
    if _keep(event.id, event.kind, event.reference, now):
        app.configure_task("billing.tasks.handle_events").defer()


def read_events(*, now: datetime) -> None:
    """Fetch the events of the last hours, for the case that a webhook was lost, and handle them."""
    if settings.PAYMENTS != PROCESSOR:
        return
    for event in payments.stripe_processor().events_since(now - LOOKS_BACK):
        _keep(event.id, event.kind, event.reference, now)
    handle_events(now=now)
    ProcessorEvent.objects.filter(received_at__lt=now - KEPT).delete()


def handle_events(*, now: datetime) -> None:
    """Ask about each payment that an event is about. One that fails does not stop the rest.

    It goes behind those that were tried less often, so any number of them leave room for others.
    """
    waiting = ProcessorEvent.objects.filter(handled_at=None).order_by("tries", "received_at", "pk")
    for event in waiting[:BATCH]:
        known = ProcessorEvent.objects.filter(pk=event.pk)
        try:
            _handle(event, now)
        except Exception:
            logger.exception("Event %s could not be handled", event.pk)
            known.update(tries=F("tries") + 1)
        else:
            known.update(handled_at=now)


def _handle(event: ProcessorEvent, now: datetime) -> None:
    """Reconcile the payment that an event names. What is not ours is nobody's business here."""
    if not event.reference:
        return
    named = Payment.across_teams.filter(reference=event.reference, decided_at=None)
    for payment in named.select_related("team"):
        reconcile_payment(payment=payment, now=now)


def _keep(event_id: str, kind: str, reference: str, now: datetime) -> bool:
    _, is_new = ProcessorEvent.objects.get_or_create(
        pk=event_id[:120],
        defaults={
            "processor": PROCESSOR,
            "kind": kind[:80],
            "reference": reference[:120],
            "received_at": now,
        },
    )
    return is_new
