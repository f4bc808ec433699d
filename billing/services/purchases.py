"""Buying prepaid credits: begin, pay, perhaps confirm; and finding out what a crash left open.

The processor is asked between two transactions of ours, never inside one. The first marks the
purchase as being processed, the second books the answer. Whatever happens in between, the
attempt's key is in our books, so `reconcile` can ask the processor how it ended.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from billing import payments
from billing.models import CreditGrant, Purchase
from billing.payments import Card, Processor, Result
from billing.rules import TICKS_PER_CENT, months_later, usd
from billing.services.accounts import lock_account
from billing.services.grants import IdempotencyConflictError, enter_grant
from billing.services.documents import issue_receipt
from billing.services.tiers import enter_payment

logger = logging.getLogger(__name__)

# How long a purchase can be paid after it was begun.
LIFETIME: Final = timedelta(hours=24)
# How long an attempt that the processor does not know may still be on its way there.
PATIENCE: Final = timedelta(minutes=5)


class PurchaseAmountError(Exception):
    """The amount is outside what one purchase may cost."""

    def __init__(self) -> None:
        least, most = settings.PURCHASE_MIN_USD, settings.PURCHASE_MAX_USD
        super().__init__(f"One purchase can be from ${least:,}.00 to ${most:,}.00.")


class PurchaseExpiredError(Exception):
    """The purchase was not paid in time."""

    def __init__(self) -> None:
        super().__init__("This purchase has expired and nothing was charged. Begin a new one.")


@transaction.atomic
def begin(
    *, team: Team, actor: Actor, amount_cents: int, idempotency_key: str, now: datetime
) -> Purchase:
    """Open a purchase for the team, once per key. No money moves yet."""
    if actor.user is None:
        raise TypeError("Only a person can buy credits.")
    if not settings.PURCHASE_MIN_USD * 100 <= amount_cents <= settings.PURCHASE_MAX_USD * 100:
        raise PurchaseAmountError
    purchase, is_new = Purchase.across_teams.get_or_create(
        team=team,
        idempotency_key=idempotency_key,
        defaults={
            "amount_cents": amount_cents,
            "buyer": actor.user,
            "processor": payments.DEFAULT,
            "created_at": now,
            "lapses_at": now + LIFETIME,
        },
    )
    if purchase.amount_cents != amount_cents:
        raise IdempotencyConflictError
    if is_new:
        began = f"Began to buy {_amount(purchase)}"
        _audit(purchase, actor, "BeginPurchase", began, is_change=False, now=now)
    return purchase


def pay(*, purchase: Purchase, actor: Actor, card: Card, now: datetime) -> Purchase:
    """Try a card, and grant the credits if it pays. Returns the purchase as it stands then.

    A purchase that is paid, or whose last attempt is not decided, is returned as it is: it takes
    a second card only when the first is known to have paid nothing.
    """
    claimed, is_ours = _claim(purchase, actor, now)
    if not is_ours:
        return claimed
    result = _processor(claimed).charge(
        amount_cents=claimed.amount_cents, card=card, idempotency_key=claimed.attempt_key
    )
    return _book(claimed, result, actor=actor, now=now)


def confirm(*, purchase: Purchase, actor: Actor, approved: bool, now: datetime) -> Purchase:
    """Tell the processor what the buyer answered to its question, and book the outcome."""
    purchase = Purchase.of(purchase.team).get(pk=purchase.pk)
    if purchase.status != Purchase.Status.REQUIRES_ACTION:
        return purchase
    result = _processor(purchase).confirm(reference=purchase.processor_reference, approved=approved)
    return _book(purchase, result, actor=actor, now=now)


def reconcile(*, purchase: Purchase, now: datetime) -> Purchase:
    """Bring a purchase up to date with its processor, and close it when its time is over."""
    is_over = purchase.lapses_at <= now
    if purchase.status in Purchase.UNDECIDED:
        result = _ask(purchase, is_over=is_over, now=now)
        if result:
            buyer = Actor.for_user(purchase.buyer)
            purchase = _book(purchase, result, actor=buyer, now=now)
    if purchase.is_payable and is_over:
        Purchase.of(purchase.team).filter(pk=purchase.pk, status__in=Purchase.PAYABLE).update(
            status=Purchase.Status.EXPIRED
        )
        purchase.refresh_from_db()
    return purchase


def reconcile_all(*, team: Team | None = None, at_most: int | None = None, now: datetime) -> None:
    """Reconcile the purchases that need it, of one team or of all, and the newest first.

    One that cannot be reconciled does not keep the rest waiting. The processor may be asked about
    each, so who cannot wait for all of them says how many there may be.
    """
    purchases = Purchase.of(team) if team else Purchase.across_teams.all()
    is_over = Q(status__in=Purchase.PAYABLE, lapses_at__lte=now)
    open_ones = purchases.filter(Q(status__in=Purchase.UNDECIDED) | is_over)
    for purchase in open_ones.select_related("team", "buyer").order_by("-pk")[:at_most]:
        try:
            reconcile(purchase=purchase, now=now)
        except Exception:
            logger.exception("Purchase %s could not be reconciled", purchase.pk)


def _ask(purchase: Purchase, *, is_over: bool, now: datetime) -> Result | None:
    """Ask the processor about the current attempt; None while only waiting can tell."""
    processor, key = _processor(purchase), purchase.attempt_key
    result = processor.find(idempotency_key=key)
    if result is None:
        attempted_at = purchase.attempted_at or purchase.created_at
        return processor.cancel(idempotency_key=key) if attempted_at + PATIENCE <= now else None
    if result.status == payments.Status.REQUIRES_ACTION and is_over:
        return processor.cancel(idempotency_key=key)
    return result


@transaction.atomic(durable=True)
def _claim(purchase: Purchase, actor: Actor, now: datetime) -> tuple[Purchase, bool]:
    """Begin a new attempt, if there may be one; commit it before any money can move."""
    purchase = _locked(purchase)
    if purchase.status == Purchase.Status.EXPIRED:
        raise PurchaseExpiredError
    if not purchase.is_payable:
        return purchase, False
    if purchase.lapses_at <= now:
        raise PurchaseExpiredError
    purchase.status = Purchase.Status.PROCESSING
    purchase.attempt += 1
    purchase.attempted_at = now
    purchase.buyer = actor.user or purchase.buyer  # Who pays is the buyer, whoever began it.
    purchase.failure_code = ""
    purchase.save()
    return purchase, True


@transaction.atomic(durable=True)
def _book(purchase: Purchase, result: Result, *, actor: Actor, now: datetime) -> Purchase:
    """Write an attempt's outcome and all that follows from it, whoever brings the news first."""
    lock_account(purchase.team)
    attempt, purchase = purchase.attempt, _locked(purchase)
    if purchase.status not in Purchase.UNDECIDED or purchase.attempt != attempt:
        return purchase
    purchase.processor_reference = result.reference
    purchase.card_brand, purchase.card_last4 = result.brand, result.last4
    if result.status == payments.Status.REQUIRES_ACTION:
        purchase.status = Purchase.Status.REQUIRES_ACTION
        purchase.save()
    elif result.status == payments.Status.FAILED:
        purchase.status = Purchase.Status.FAILED
        purchase.failure_code = result.code
        purchase.save()
        tried = f"Could not buy {_amount(purchase)}: {payments.reason(result.code)}"
        _audit(purchase, actor, "BuyCredits", tried, outcome="failed", now=now)
    else:
        purchase.status = Purchase.Status.SUCCEEDED
        purchase.completed_at = now
        purchase.save()
        _deliver(purchase, actor, now)
    return purchase


def _deliver(purchase: Purchase, actor: Actor, now: datetime) -> None:
    """Grant what was paid for, count it towards the tier, and issue the receipt."""
    months = settings.PREPAID_EXPIRY_MONTHS
    paid_ticks = purchase.amount_cents * TICKS_PER_CENT
    enter_payment(team=purchase.team, amount_ticks=paid_ticks)
    enter_grant(
        team=purchase.team,
        kind=CreditGrant.Kind.PREPAID,
        amount_ticks=paid_ticks,
        label=f"Bought by {purchase.buyer.display_name}"[:120],
        idempotency_key=purchase.grant_key,
        expires_at=months_later(now, months) if months else None,
        now=now,
    )
    _audit(purchase, actor, "BuyCredits", f"Bought {_amount(purchase)}", now=now)
    issue_receipt(purchase=purchase, paid_with=purchase.card, now=now)


def _locked(purchase: Purchase) -> Purchase:
    rows = Purchase.of(purchase.team).select_related("team", "buyer")
    return rows.select_for_update(of=("self",)).get(pk=purchase.pk)


def _processor(purchase: Purchase) -> Processor:
    return payments.PROCESSORS[purchase.processor]


def _amount(purchase: Purchase) -> str:
    return f"{usd(purchase.amount_cents * TICKS_PER_CENT)} of prepaid credits"


def _audit(
    purchase: Purchase,
    actor: Actor,
    operation: str,
    description: str,
    *,
    outcome: str = "done",
    is_change: bool = True,
    now: datetime,
) -> None:
    audit.record(
        team=purchase.team,
        actor=actor,
        operation=operation,
        description=description,
        target_type="purchase",
        target_id=str(purchase.pk),
        target_label=_amount(purchase),
        after={"amount_cents": purchase.amount_cents, "card": purchase.card},
        outcome=outcome,
        is_change=is_change,
        now=now,
    )
