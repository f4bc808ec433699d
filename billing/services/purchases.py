"""Purchases of prepaid credits: begun by somebody, paid in one way or another, and delivered.

How a card's money is collected is in `collecting`; how a bank transfer's arrives, in `transfers`.
"""

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.models import Team, User
from audit import services as audit
from billing import payments
from billing.models import CreditGrant, Purchase
from billing.rules import TICKS_PER_CENT, months_later, tax_cents, usd
from billing.services.documents import issue_receipt
from billing.services.grants import IdempotencyConflictError, enter_grant
from billing.services.tiers import enter_payment
from billing.services.topup_rules import stop_after_failure, warn_of_top_ups

# How long a purchase can be paid after it was begun.
LIFETIME: Final = timedelta(hours=24)
TRANSFER_LIFETIME: Final = timedelta(days=10)
# What can be read out on the phone: no letter that looks like a digit, and no vowel.
_ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXZ"
_REFERENCE_LENGTH: Final = 8


class PurchaseAmountError(Exception):
    """The amount is outside what one purchase may cost."""

    def __init__(self) -> None:
        least, most = settings.PURCHASE_MIN_USD, settings.PURCHASE_MAX_USD
        super().__init__(f"One purchase can be from ${least:,}.00 to ${most:,}.00.")


class PurchaseExpiredError(Exception):
    """The purchase was not paid in time."""

    def __init__(self) -> None:
        super().__init__("This purchase has expired and nothing was charged. Begin a new one.")


class PurchaseNotPayableError(Exception):
    """The purchase is paid, or waits for a bank transfer: no card is charged for it."""

    def __init__(self) -> None:
        super().__init__("This purchase takes no card. Nothing was charged.")


@transaction.atomic
def begin(
    *,
    team: Team,
    actor: Actor,
    amount_cents: int,
    idempotency_key: str,
    kind: Purchase.Kind = Purchase.Kind.CARD,
    buyer: User | None = None,
    now: datetime,
) -> Purchase:
    """Open a purchase for the team, once per key. No money moves yet.

    The buyer is who acts, unless another is named: nobody is there when credits run low.
    """
    buyer = buyer or actor.user
    if buyer is None:
        raise TypeError("A purchase has a person as its buyer.")
    if not settings.PURCHASE_MIN_USD * 100 <= amount_cents <= settings.PURCHASE_MAX_USD * 100:
        raise PurchaseAmountError
    is_transfer = kind == Purchase.Kind.TRANSFER
    purchase, is_new = Purchase.across_teams.get_or_create(
        team=team,
        idempotency_key=idempotency_key,
        defaults={
            "kind": kind,
            "amount_cents": amount_cents,
            "tax_percent": settings.TAX_PERCENT,
            "tax_cents": tax_cents(amount_cents, settings.TAX_PERCENT),
            "buyer": buyer,
            "transfer_reference": _transfer_reference() if is_transfer else None,
            "created_at": now,
            "lapses_at": now + (TRANSFER_LIFETIME if is_transfer else LIFETIME),
        },
    )
    if (purchase.amount_cents, purchase.kind) != (amount_cents, kind):
        raise IdempotencyConflictError
    if is_new:
        began = f"Began to buy {what(purchase)}"
        record(purchase, actor, "BeginPurchase", began, is_change=False, now=now)
    return purchase


def claim(*, purchase: Purchase, actor: Actor, now: datetime) -> int:
    """Begin an attempt to pay by card, in the caller's transaction. Returns what it is to take.

    Raises PurchaseExpiredError, PurchaseNotPayableError.
    """
    purchase = locked(purchase)
    if purchase.status == Purchase.Status.EXPIRED or (
        purchase.is_payable and purchase.lapses_at <= now
    ):
        raise PurchaseExpiredError
    if not purchase.is_payable or purchase.kind == Purchase.Kind.TRANSFER:
        raise PurchaseNotPayableError
    purchase.status = Purchase.Status.PROCESSING
    purchase.buyer = actor.user or purchase.buyer  # Who pays is the buyer, whoever began it.
    purchase.failure_code = ""
    purchase.save(update_fields=["status", "buyer", "failure_code"])
    return purchase.total_cents


def wait_for_action(*, purchase: Purchase) -> None:
    """Note that the bank has asked its customer something."""
    Purchase.of(purchase.team).filter(pk=purchase.pk, status=Purchase.Status.PROCESSING).update(
        status=Purchase.Status.REQUIRES_ACTION
    )


def failed(*, purchase: Purchase, code: str, actor: Actor, now: datetime) -> None:
    """Let another card be tried, in the caller's transaction. Nothing more is bought by itself."""
    purchase = locked(purchase)
    purchase.status, purchase.failure_code = Purchase.Status.FAILED, code
    purchase.save(update_fields=["status", "failure_code"])
    tried = f"Could not buy {what(purchase)}: {payments.reason(code)}"
    record(purchase, actor, "BuyCredits", tried, outcome="failed", now=now)
    if purchase.kind == Purchase.Kind.AUTO:
        stop_after_failure(team=purchase.team, code=code, now=now)


def deliver(*, purchase: Purchase, paid_with: str, actor: Actor, now: datetime) -> Purchase:
    """Grant what was paid for, count it towards the tier, and issue the receipt.

    In the caller's transaction, which has locked the team's account and knows that the money is
    there. A purchase is delivered once, however often somebody says so.
    """
    purchase = locked(purchase)
    if purchase.status == Purchase.Status.SUCCEEDED:
        return purchase
    purchase.status, purchase.completed_at = Purchase.Status.SUCCEEDED, now
    purchase.paid_with, purchase.failure_code = paid_with, ""
    purchase.save(update_fields=["status", "completed_at", "paid_with", "failure_code"])
    is_auto = purchase.kind == Purchase.Kind.AUTO
    months = settings.PREPAID_EXPIRY_MONTHS
    paid_ticks = purchase.amount_cents * TICKS_PER_CENT
    enter_payment(team=purchase.team, amount_ticks=paid_ticks)
    enter_grant(
        team=purchase.team,
        kind=CreditGrant.Kind.PREPAID,
        amount_ticks=paid_ticks,
        label="Auto top-up" if is_auto else f"Bought by {purchase.buyer.display_name}"[:120],
        idempotency_key=purchase.grant_key,
        expires_at=months_later(now, months) if months else None,
        now=now,
    )
    record(purchase, actor, "BuyCredits", f"Bought {what(purchase)}", now=now)
    issue_receipt(purchase=purchase, paid_with=paid_with, now=now)
    if is_auto:
        warn_of_top_ups(team=purchase.team, now=now)
    return purchase


def lapse(*, purchase: Purchase) -> None:
    """End a purchase whose time is over, unless it is paid or may yet be."""
    Purchase.of(purchase.team).filter(pk=purchase.pk, status__in=Purchase.PAYABLE).update(
        status=Purchase.Status.EXPIRED
    )


def locked(purchase: Purchase) -> Purchase:
    rows = Purchase.of(purchase.team).select_related("team", "buyer")
    return rows.select_for_update(of=("self",)).get(pk=purchase.pk)


def what(purchase: Purchase) -> str:
    return f"{usd(purchase.amount_cents * TICKS_PER_CENT)} of prepaid credits"


def record(
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
        target_label=what(purchase),
        after={
            "amount_cents": purchase.amount_cents,
            "tax_cents": purchase.tax_cents,
            "paid_with": purchase.paid_with,
        },
        outcome=outcome,
        is_change=is_change,
        now=now,
    )


def _transfer_reference() -> str:
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_REFERENCE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"
