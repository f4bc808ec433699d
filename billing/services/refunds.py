"""Paying back what is left of a purchase, where the law requires it: by staff, once.

The credits leave the books before the processor is asked, so that nobody can spend what is on its
way back. The credit note is written when the money has been paid back, since it is final; if that
fails for good, the credits come back.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from accounts.actors import Actor, ActorKind
from accounts.models import Team
from audit import services as audit
from billing import payments
from billing.models import BillingAccount, CreditGrant, LedgerEntry, Payment, Purchase, Refund
from billing.payments import RefundResult, RefundStatus
from billing.rules import TICKS_PER_CENT, share_of_tax, usd
from billing.services.accounts import lock_account
from billing.services.documents import issue_credit

logger = logging.getLogger(__name__)


class RefundError(Exception):
    """A purchase cannot be refunded, or not any more."""


@dataclass(frozen=True, slots=True)
class Refundable:
    """What of a purchase can be paid back at a moment."""

    amount_cents: int  # Of credits.
    tax_cents: int

    @property
    def total_cents(self) -> int:
        return self.amount_cents + self.tax_cents


def refundable(purchase: Purchase, *, now: datetime) -> Refundable:
    """Say what of a purchase `refund` would pay back now. Raises RefundError."""
    known = Refund.of(purchase.team).filter(purchase=purchase).first()
    if known and known.status == Refund.Status.PENDING:
        raise RefundError("This purchase is being refunded already.")
    if known and known.status == Refund.Status.SUCCEEDED:
        raise RefundError("This purchase was refunded before, which is possible once.")
    if purchase.status != Purchase.Status.SUCCEEDED:
        raise RefundError("This purchase was not paid, so there is nothing to pay back.")
    grant = _grant(purchase)
    team = purchase.team
    usable = CreditGrant.of(team).usable(now)
    all_ticks = usable.aggregate(ticks=Sum("remaining_ticks"))["ticks"] or 0
    left = grant.remaining_ticks if usable.filter(pk=grant.pk).exists() else 0
    # Requests in flight were let in because there were credits for them. Without those credits
    # they would go on the invoice, beyond the team's limit.
    held = BillingAccount.of(team).get().held_ticks
    cents = max(0, min(left, all_ticks - held)) // TICKS_PER_CENT
    if not cents:
        raise RefundError(
            "Nothing of this purchase can be paid back: its credits are used up, expired, or held "
            "for requests in flight."
        )
    return Refundable(
        cents,
        share_of_tax(purchase.tax_cents, part_cents=cents, of_cents=purchase.amount_cents),
    )


def refund(*, purchase: Purchase, actor: Actor, reason: str, now: datetime) -> Refund:
    """Pay back all that is unspent of a purchase, and its tax; return how that stands.

    Called outside a transaction. One whose answer is lost is reconciled. Raises RefundError.
    """
    begun = begin_refund(purchase=purchase, actor=actor, reason=reason, now=now)
    return reconcile_refund(refund=begun, now=now)


def reconcile_refund(*, refund: Refund, now: datetime) -> Refund:
    """Ask the processor to pay back, which it does once, and book what it says.

    What came by bank transfer goes back by one; staff say when it has.
    """
    payment = payment_of(refund)
    if refund.status != Refund.Status.PENDING or payment is None:
        return refund
    try:
        result = ask_processor(refund, payment)
    except payments.ProcessorUnavailableError:
        logger.warning("Refund %s is still to be made: the processor does not answer", refund.pk)
        return refund
    return _book(refund, result, now=now)


def ask_processor(refund: Refund, payment: Payment) -> RefundResult:
    """Find the refund at the processor, or make it; with the same key it is made once."""
    processor, key = payments.named(payment.method.processor), _key(refund)
    found = processor.find_refund(payment=payment.reference, key=key)
    cents = refund.amount_cents + refund.tax_cents
    return found or processor.refund(payment=payment.reference, amount_cents=cents, key=key)


def reconcile_refunds(*, now: datetime) -> None:
    """Bring all refunds that are on their way up to date; one that fails stops no other."""
    pending = Refund.across_teams.filter(status=Refund.Status.PENDING)
    for refund in pending.select_related("team", "purchase", "made_by").order_by("pk"):
        try:
            reconcile_refund(refund=refund, now=now)
        except Exception:
            logger.exception("Refund %s could not be reconciled", refund.pk)


def settle_transfer_refund(*, refund: Refund, is_paid: bool, now: datetime) -> Refund:
    """Book that staff paid a bank transfer back, or that its bank did not take it."""
    if payment_of(refund):
        raise RefundError("The processor says how this refund ends.")
    status = RefundStatus.SUCCEEDED if is_paid else RefundStatus.FAILED
    return _book(refund, RefundResult(status, ""), now=now)


@transaction.atomic(durable=True)
def begin_refund(*, purchase: Purchase, actor: Actor, reason: str, now: datetime) -> Refund:
    """Take the credits off the books, and commit that before any money can move."""
    if actor.user is None:
        raise TypeError("Only a person can refund a purchase.")
    lock_account(purchase.team)
    purchase = _locked(purchase)
    due = refundable(purchase, now=now)
    # One that failed is made anew. The processor hears another key, by the time it began.
    failed = Refund.of(purchase.team).filter(purchase=purchase).first()
    refund = failed or Refund(team=purchase.team, purchase=purchase)
    refund.amount_cents, refund.tax_cents = due.amount_cents, due.tax_cents
    refund.reason, refund.made_by = reason, actor.user
    refund.status, refund.reference = Refund.Status.PENDING, ""
    refund.created_at, refund.decided_at = now, None
    refund.save()
    _move(refund, LedgerEntry.Kind.REFUND, -due.amount_cents, now)
    _audit(refund, actor, f"Began to pay back {_amount(refund)}", now=now)
    return refund


@transaction.atomic(durable=True)
def _book(refund: Refund, result: RefundResult, *, now: datetime) -> Refund:
    """Write what became of a refund and all that follows from it, whoever brings the news first."""
    key = _key(refund)
    lock_account(refund.team)
    rows = Refund.of(refund.team).select_related("team", "purchase", "made_by")
    refund = rows.select_for_update(of=("self",)).get(pk=refund.pk)
    # News of an attempt before this one is no news.
    if refund.status != Refund.Status.PENDING or _key(refund) != key:
        return refund
    refund.reference = result.reference
    if result.status == RefundStatus.PENDING:
        refund.save(update_fields=["reference"])
        return refund
    actor = replace(Actor.for_user(refund.made_by), kind=ActorKind.STAFF)
    refund.decided_at = now
    if result.status == RefundStatus.SUCCEEDED:
        refund.status = Refund.Status.SUCCEEDED
        refund.save()
        _audit(refund, actor, f"Paid back {_amount(refund)}", now=now)
        issue_credit(refund=refund, now=now)
    else:
        refund.status = Refund.Status.FAILED
        refund.save()
        _move(refund, LedgerEntry.Kind.REVERSAL, refund.amount_cents, now)
        told = f"Could not pay back {_amount(refund)}; the credits are back"
        _audit(refund, actor, told, outcome="failed", now=now)
    return refund


def _move(refund: Refund, kind: LedgerEntry.Kind, cents: int, now: datetime) -> None:
    """Change what remains of the purchase's credits, with the entry that explains it."""
    grant = _grant(refund.purchase)
    grant.remaining_ticks += cents * TICKS_PER_CENT
    grant.save(update_fields=["remaining_ticks"])
    LedgerEntry.across_teams.create(
        team=refund.team,
        kind=kind,
        amount_ticks=cents * TICKS_PER_CENT,
        grant=grant,
        happened_at=now,
    )


def awaited_grants(team: Team) -> list[str]:
    """Name, by their keys, the grants that get credits back if a refund on its way fails."""
    pending = Refund.of(team).filter(status=Refund.Status.PENDING)
    return [refund.purchase.grant_key for refund in pending.select_related("purchase")]


def _grant(purchase: Purchase) -> CreditGrant:
    return CreditGrant.of(purchase.team).get(idempotency_key=purchase.grant_key)


def _locked(purchase: Purchase) -> Purchase:
    rows = Purchase.of(purchase.team).select_related("team")
    return rows.select_for_update(of=("self",)).get(pk=purchase.pk)


def payment_of(refund: Refund) -> Payment | None:
    """Find what a processor took for the purchase; None for a bank transfer."""
    paid = Payment.of(refund.team).filter(
        purchase=refund.purchase_id, status=Payment.Status.SUCCEEDED
    )
    return paid.select_related("method").first()


def _key(refund: Refund) -> str:
    """Name the current attempt to the processor."""
    return f"{refund.pk}:{refund.created_at.timestamp():.6f}"


def _amount(refund: Refund) -> str:
    total = (refund.amount_cents + refund.tax_cents) * TICKS_PER_CENT
    return f"{usd(total)} of a purchase of {usd(refund.purchase.total_cents * TICKS_PER_CENT)}"


def _audit(
    refund: Refund, actor: Actor, description: str, *, outcome: str = "done", now: datetime
) -> None:
    audit.record(
        team=refund.team,
        actor=actor,
        operation="RefundPurchase",
        description=description,
        target_type="purchase",
        target_id=str(refund.purchase_id),
        target_label=_amount(refund),
        after={
            "amount_cents": refund.amount_cents,
            "tax_cents": refund.tax_cents,
            "reason": refund.reason,
        },
        outcome=outcome,
        now=now,
    )
