"""Collecting money by card: one way for purchases and for the invoices of months.

The processor is asked between transactions of ours, never inside one. The first writes the
payment down, the second what the processor calls it, and only then is it charged; the third books
the answer. Whatever happens in between, there is a row to ask the processor about. Nothing here
may be called inside a transaction.
"""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.actors import SYSTEM, Actor
from billing import payments
from billing.models import Invoice, Payment, PaymentMethod, Purchase, Receivable
from billing.payments import Card, ProcessorUnavailableError, Refused, Result, Status
from billing.services import dunning, methods, purchases
from billing.services.accounts import lock_account

logger = logging.getLogger(__name__)

Target = Purchase | Invoice

# How long an attempt without an answer may still be on its way to the processor.
PATIENCE: Final = timedelta(minutes=5)
# How long the bank's question about an invoice can be answered. About a purchase: until it lapses.
QUESTION_LIFETIME: Final = timedelta(hours=24)


class InvoicePaidError(Exception):
    """The invoice is paid, or there was nothing to collect for it."""

    def __init__(self) -> None:
        super().__init__("This invoice is paid already. Nothing was charged.")


def collect(
    *,
    target: Target,
    method: PaymentMethod,
    actor: Actor,
    now: datetime,
    is_off_session: bool = False,
) -> Payment:
    """Try a method for a purchase or an invoice, and deliver if it pays.

    Returns the payment as it stands then. If there is one that has paid, or may yet, it is
    returned as it is: no second one begins before the first is known to have taken nothing.
    Without an answer a payment stays as it is, for `reconcile_payment` to ask again.

    Raises MethodGoneError, PurchaseExpiredError, PurchaseNotPayableError, InvoicePaidError.
    """
    payment, is_ours = _begin(target, method, actor, now, is_off_session=is_off_session)
    if not is_ours:
        return payment
    processor = payments.named(method.processor)
    try:
        reference = processor.prepare(
            amount_cents=payment.amount_cents,
            customer=methods.customer_of(method),
            method=method.reference,
            key=str(payment.pk),
        )
    except ProcessorUnavailableError:
        logger.exception("Payment %s did not reach its processor", payment.pk)
        # Whatever was prepared there, nobody is going to charge it.
        return _book(payment, Result(Status.FAILED, "", code="not_charged"), actor=actor, now=now)
    if isinstance(reference, Refused):
        refused = Result(Status.FAILED, "", code=reference.code)
        return _book(payment, refused, actor=actor, now=now)
    if not _name(payment, reference):
        # We took so long that it was given up. Nobody is going to charge it, cancelled or not.
        with suppress(ProcessorUnavailableError):
            processor.cancel(reference=reference)
        return Payment.of(payment.team).get(pk=payment.pk)
    try:
        result = processor.charge(reference=reference, is_off_session=is_off_session)
    except ProcessorUnavailableError:
        logger.exception("The answer about payment %s is missing", payment.pk)
        return payment
    return _book(payment, result, actor=actor, now=now)


def answer_bank(*, payment: Payment, actor: Actor, approved: bool, now: datetime) -> Payment:
    """Pass on what the card's holder says to the bank's question, and book the outcome.

    At Stripe only a no is passed on: who says yes says so to the bank itself, in the browser.

    Raises ProcessorUnavailableError.
    """
    payment = _fresh(payment)
    if payment.status != Payment.Status.REQUIRES_ACTION:
        return payment
    reference, processor = payment.reference, payments.named(payment.method.processor)
    if processor is payments.SANDBOX:
        result = payments.SANDBOX.answer(reference=reference, approved=approved)
    elif approved:
        result = processor.find(reference=reference)
    else:
        result = processor.cancel(reference=reference)
    return _book(payment, result, actor=actor, now=now)


def reconcile_payment(*, payment: Payment, now: datetime) -> Payment:
    """Bring a payment up to date with its processor, and end it when its time is over.

    Raises ProcessorUnavailableError.
    """
    payment = _fresh(payment)
    if payment.status not in Payment.UNDECIDED:
        return payment
    is_stale = payment.started_at + PATIENCE <= now
    actor = Actor.for_user(payment.started_by) if payment.started_by else SYSTEM
    if not payment.reference:
        if not is_stale:
            return payment
        given_up = Result(Status.FAILED, "", code="not_charged")
        return _book(payment, given_up, actor=actor, now=now)
    processor = payments.named(payment.method.processor)
    result = processor.find(reference=payment.reference)
    is_over = _ends_at(payment) <= now
    if (result.status == Status.UNCHARGED and is_stale) or (
        result.status == Status.REQUIRES_ACTION and is_over
    ):
        result = processor.cancel(reference=payment.reference)
    return _book(payment, result, actor=actor, now=now)


def living_payment(target: Target) -> Payment | None:
    """Find the payment of a purchase or an invoice that has paid, or may yet."""
    return _payments_of(target).exclude(status=Payment.Status.FAILED).first()


def bank_question(payment: Payment) -> Result:
    """Ask how a payment stands now, with what a browser needs to answer its bank.

    Raises ProcessorUnavailableError.
    """
    return payments.named(payment.method.processor).find(reference=payment.reference)


# --- Purchases --------------------------------------------------------------------------------


def pay(*, purchase: Purchase, actor: Actor, card: Card, now: datetime) -> Purchase:
    """Enter a card in the sandbox and try it. Returns the purchase as it stands then.

    Raises MethodRefusedError, PurchaseExpiredError, PurchaseNotPayableError.
    """
    if living_payment(purchase) is None:
        method = methods.enter_card(team=purchase.team, actor=actor, card=card, now=now)
        collect(target=purchase, method=method, actor=actor, now=now)
    return _fresh_purchase(purchase)


def confirm(*, purchase: Purchase, actor: Actor, approved: bool, now: datetime) -> Purchase:
    """Answer the bank's question about a purchase in the sandbox."""
    if payment := living_payment(purchase):
        answer_bank(payment=payment, actor=actor, approved=approved, now=now)
    return _fresh_purchase(purchase)


def reconcile(*, purchase: Purchase, now: datetime) -> Purchase:
    """Bring a purchase up to date with its processor, and close it when its time is over.

    Raises ProcessorUnavailableError.
    """
    payment = living_payment(purchase)
    if payment and payment.status in Payment.UNDECIDED:
        reconcile_payment(payment=payment, now=now)
        purchase = _fresh_purchase(purchase)
    is_transfer = purchase.kind == Purchase.Kind.TRANSFER  # Its end is told by mail.
    if purchase.is_payable and not is_transfer and purchase.lapses_at <= now:
        purchases.lapse(purchase=purchase)
        purchase = _fresh_purchase(purchase)
    return purchase


def reconcile_all(*, now: datetime) -> None:
    """Reconcile what needs it, the newest first.

    One that cannot be reconciled does not keep the rest waiting. The processor is asked about
    each, so no page waits for this.
    """
    undecided = Payment.across_teams.filter(decided_at=None).select_related("team")
    for payment in undecided.order_by("-pk"):
        try:
            reconcile_payment(payment=payment, now=now)
        except Exception:
            logger.exception("Payment %s could not be reconciled", payment.pk)
    over = Q(status__in=Purchase.PAYABLE, lapses_at__lte=now)
    over &= ~Q(kind=Purchase.Kind.TRANSFER)  # Their end is told by mail.
    for purchase in Purchase.across_teams.filter(over).select_related("team").order_by("-pk"):
        purchases.lapse(purchase=purchase)


# --- Inside -----------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def _begin(
    target: Target, method: PaymentMethod, actor: Actor, now: datetime, *, is_off_session: bool
) -> tuple[Payment, bool]:
    """Write an attempt down, if there may be one; commit it before any money can move."""
    team = target.team
    lock_account(team)
    if payment := living_payment(target):
        return payment, False
    method = PaymentMethod.of(team).get(pk=method.pk)
    if method.removed_at:
        raise methods.MethodGoneError
    if isinstance(target, Purchase):
        amount_cents = purchases.claim(purchase=target, actor=actor, now=now)
    else:
        amount_cents = _claim(target)
    payment = Payment.across_teams.create(
        team=team,
        purchase=target if isinstance(target, Purchase) else None,
        invoice=target if isinstance(target, Invoice) else None,
        method=method,
        amount_cents=amount_cents,
        is_off_session=is_off_session,
        started_by=actor.user,
        started_at=now,
    )
    return payment, True


def _claim(invoice: Invoice) -> int:
    """Say what is to be collected for an invoice."""
    if not Receivable.of(invoice.team).filter(invoice=invoice, paid_at=None).exists():
        raise InvoicePaidError
    return invoice.total_cents


@transaction.atomic(durable=True)
def _name(payment: Payment, reference: str) -> bool:
    """Write down what the processor calls an attempt, unless it was given up meanwhile."""
    waiting = Payment.of(payment.team).filter(pk=payment.pk, decided_at=None)
    payment.reference = reference
    return waiting.update(reference=reference) == 1


@transaction.atomic(durable=True)
def _book(payment: Payment, result: Result, *, actor: Actor, now: datetime) -> Payment:
    """Write an outcome and all that follows from it, once, whoever brings the news first."""
    lock_account(payment.team)
    payment = _fresh(payment, is_locked=True)
    if payment.status not in Payment.UNDECIDED:
        return payment
    if result.status == Status.REQUIRES_ACTION:
        payment.status = Payment.Status.REQUIRES_ACTION
        if payment.purchase:
            purchases.wait_for_action(purchase=payment.purchase)
    elif result.status == Status.SUCCEEDED:
        payment.status, payment.decided_at = Payment.Status.SUCCEEDED, now
    elif result.status == Status.FAILED:
        payment.status, payment.decided_at = Payment.Status.FAILED, now
        payment.failure_code = result.code
    payment.save(update_fields=["status", "failure_code", "decided_at"])
    if payment.status == Payment.Status.SUCCEEDED:
        _deliver(payment, actor, now)
    elif payment.status == Payment.Status.FAILED:
        _give_up(payment, actor, now)
    return payment


def _deliver(payment: Payment, actor: Actor, now: datetime) -> None:
    methods.keep(method=payment.method, actor=actor, now=now)
    if payment.purchase:
        paid_with = str(payment.method)
        purchases.deliver(purchase=payment.purchase, paid_with=paid_with, actor=actor, now=now)
    elif payment.invoice:
        dunning.paid(invoice=payment.invoice, payment=payment, now=now)


def _give_up(payment: Payment, actor: Actor, now: datetime) -> None:
    methods.discard(method=payment.method, now=now)
    if payment.purchase:
        code = payment.failure_code
        purchases.failed(purchase=payment.purchase, code=code, actor=actor, now=now)
    elif payment.invoice:
        dunning.failed(invoice=payment.invoice, payment=payment, now=now)


def _ends_at(payment: Payment) -> datetime:
    return (
        payment.purchase.lapses_at if payment.purchase else payment.started_at + QUESTION_LIFETIME
    )


def _payments_of(target: Target) -> QuerySet[Payment]:
    attempts = Payment.of(target.team).select_related("team", "method")
    if isinstance(target, Purchase):
        return attempts.filter(purchase=target)
    return attempts.filter(invoice=target)


def _fresh(payment: Payment, *, is_locked: bool = False) -> Payment:
    rows = Payment.of(payment.team).select_related(
        "team",
        "method__team",
        "purchase__team",
        "purchase__buyer",
        "invoice__team",
        "started_by",
    )
    if is_locked:
        rows = rows.select_for_update(of=("self",))
    return rows.get(pk=payment.pk)


def _fresh_purchase(purchase: Purchase) -> Purchase:
    return Purchase.of(purchase.team).select_related("team", "buyer").get(pk=purchase.pk)
