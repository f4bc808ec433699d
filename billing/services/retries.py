"""Collecting what is due by itself: each invoice's next try, once."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from accounts.actors import SYSTEM
from accounts.one_by_one import one_by_one
from billing.models import Payment, PaymentMethod, Receivable
from billing.services import dunning
from billing.services.accounts import lock_account
from billing.services.collecting import collect
from billing.services.methods import default_method

logger = logging.getLogger(__name__)

# For so long a try belongs to who has begun it. One that a crash has cut off before its payment
# was written is made again after that; one that was written is left to whoever reconciles it.
LEASE: Final = timedelta(hours=1)
# How long after a try is due somebody who is just paying on the page may take to answer the bank.
ANSWER_TIME: Final = timedelta(hours=1)
_UNANSWERED_TEXT: Final = (
    "Somebody began to pay it, and has not answered the bank's question. Nothing was charged."
)


def collect_due(*, now: datetime) -> None:
    """Try the default method of each team whose invoice is due, outside any transaction.

    One that cannot be tried does not keep the rest waiting; that is raised at the end.
    """
    due = Receivable.across_teams.filter(next_try_at__lte=now)
    with one_by_one(logger) as each:
        for receivable in due.select_related("invoice__team").order_by("next_try_at", "pk"):
            with each("Invoice %s could not be collected", receivable.invoice_id):
                _try(receivable, now)


def _try(receivable: Receivable, now: datetime) -> None:
    method = _begin(receivable, now)
    if method:
        collect(
            target=receivable.invoice,
            method=method,
            actor=SYSTEM,
            now=now,
            is_off_session=True,
        )


@transaction.atomic(durable=True)
def _begin(seen: Receivable, now: datetime) -> PaymentMethod | None:
    """Take the try, if nobody has, and say what to charge.

    Not while another payment of the invoice may still turn out well: two at once could both. When
    that one waits for a person, the try counts as one that brought nothing.
    """
    invoice = seen.invoice
    lock_account(invoice.team)
    receivable = Receivable.of(invoice.team).select_for_update().get(pk=seen.pk)
    if receivable.next_try_at != seen.next_try_at:
        return None
    undecided = Payment.of(invoice.team).filter(invoice=invoice, decided_at=None)
    if payment := undecided.select_related("method").first():
        # A question that its holder can put off, again and again, does not put off the tries. It
        # stays open: who answers it after all has paid, and nobody has paid twice.
        # One of ours that asks is ended by the job, and counts then.
        is_asked = payment.status == Payment.Status.REQUIRES_ACTION and not payment.is_off_session
        if is_asked and receivable.next_try_at and receivable.next_try_at + ANSWER_TIME <= now:
            dunning.missed(invoice=invoice, method=payment.method, reason=_UNANSWERED_TEXT, now=now)
        return None
    method = default_method(invoice.team)
    if method is None:
        dunning.missed(invoice=invoice, method=None, now=now)
        return None
    receivable.next_try_at = now + LEASE
    receivable.save(update_fields=["next_try_at"])
    return method
