"""The end of a team's account: what has to be paid first, and what is forfeited with it."""

from datetime import date, datetime

from django.db import transaction

from accounts.actors import Actor
from accounts.consequences import Consequence, refuse_blocked
from accounts.models import Team
from audit import services as audit
from billing.models import (
    BillingAccount,
    BillingCycle,
    CreditGrant,
    Hold,
    Invoice,
    LedgerEntry,
    Purchase,
    Refund,
)
from billing.rules import TICKS_PER_CENT, cents_from_ticks, cycle_of, month_after, usd
from billing.services.accounts import lock_account
from billing.services.months import LEAST_CENTS


def closing(team: Team, *, now: datetime) -> list[Consequence]:
    """Say what must be paid before the team can end, and what it loses when it does."""
    told = [*_debts(team), *_undecided(team), *_awaited(team)]
    if lost := _usable_ticks(team, now):
        told.append(Consequence(f"{usd(lost)} of credits are forfeited. They are not paid back."))
    if running := Hold.of(team).filter(state=Hold.State.LIVE).count():
        noun = "request that is" if running == 1 else "requests that are"
        told.append(Consequence(f"{running:,} {noun} running will not be charged."))
    if Invoice.of(team).exists():
        told.append(
            Consequence(
                "The team's invoices can no longer be opened here. "
                "Print or save those that you need before."
            )
        )
    return told


def _debts(team: Team) -> list[Consequence]:
    invoices = Invoice.of(team).unpaid().order_by("issued_at", "pk")
    told = [
        Consequence(
            f"The invoice {invoice.reference} over {usd(invoice.total_cents * TICKS_PER_CENT)} "
            "is not paid. Pay it first.",
            blocks=True,
        )
        for invoice in invoices
    ]
    if uninvoiced := _uninvoiced_ticks(team):
        told.append(_of_uninvoiced(uninvoiced))
    return told


def _uninvoiced_ticks(team: Team) -> int:
    return sum(BillingCycle.of(team).filter(invoice=None).values_list("accrued_ticks", flat=True))


def _of_uninvoiced(ticks: int) -> Consequence:
    if cents_from_ticks(ticks) < LEAST_CENTS:
        return Consequence(f"{usd(ticks)} of usage is too little to be invoiced and is waived.")
    return Consequence(
        f"{usd(ticks)} of usage is still to be invoiced and paid. Have it invoiced now, under "
        "Invoices, and pay it.",
        blocks=True,
    )


def _undecided(team: Team) -> list[Consequence]:
    purchases = Purchase.of(team).filter(status__in=Purchase.UNDECIDED).order_by("pk")
    told = [
        Consequence(
            f"A purchase of {usd(purchase.amount_cents * TICKS_PER_CENT)} is not decided yet. "
            "Finish it, or wait until it is.",
            blocks=True,
        )
        for purchase in purchases
    ]
    if Refund.of(team).filter(status=Refund.Status.PENDING).exists():
        told.append(Consequence("A refund is on its way. Wait until it has arrived.", blocks=True))
    return told


def _awaited(team: Team) -> list[Consequence]:
    """Say which bank transfers will find nobody."""
    transfers = Purchase.of(team).filter(kind=Purchase.Kind.TRANSFER, status__in=Purchase.PAYABLE)
    return [
        Consequence(
            f"The bank transfer {purchase.transfer_reference} over "
            f"{usd(purchase.total_cents * TICKS_PER_CENT)} is no longer waited for. Do not send it."
        )
        for purchase in transfers.order_by("pk")
    ]


def _usable_ticks(team: Team, now: datetime) -> int:
    usable = CreditGrant.of(team).usable(now)
    return sum(usable.values_list("remaining_ticks", flat=True))


@transaction.atomic
def close_account(*, team: Team, actor: Actor, now: datetime) -> None:
    """Leave a team that ends without credits, limits, holds and payable purchases.

    Under the account's lock, which every request and every payment takes too: a request that is
    in flight finds its hold ended and is charged nothing, one that comes later finds no credits.

    Raises BlockedError when something has become due since the person was told.
    """
    account = lock_account(team)
    # Before their state is looked at: an attempt to pay begins under this lock.
    list(Purchase.of(team).select_for_update(no_key=True).order_by("pk").values("pk"))
    refuse_blocked([*_debts(team), *_undecided(team)])
    Purchase.of(team).filter(status__in=Purchase.PAYABLE).update(status=Purchase.Status.EXPIRED)
    Hold.of(team).filter(state=Hold.State.LIVE).update(state=Hold.State.EXPIRED, ended_at=now)
    forfeited = _forfeit(team, now)
    _close_months(team, account, now)
    before = {
        "credits_ticks": forfeited,
        "spending_limit_ticks": account.spending_limit_ticks,
    }
    account.held_ticks = account.spending_limit_ticks = 0
    account.save(update_fields=["held_ticks", "spending_limit_ticks"])
    audit.record(
        team=team,
        actor=actor,
        operation="CloseBillingAccount",
        description=f"Forfeited {usd(forfeited)} of credits with the team",
        target_type="billing account",
        target_id=str(account.pk),
        target_label=team.name,
        before=before,
        after={"credits_ticks": 0, "spending_limit_ticks": 0},
        now=now,
    )


def _close_months(team: Team, account: BillingAccount, now: datetime) -> None:
    """Leave no month open: what is not invoiced by now is too little, and is waived."""
    BillingCycle.of(team).filter(closed_at=None).update(closed_at=now)
    account.open_month = max(month_after(cycle_of(now)), account.open_month or date.min)
    account.save(update_fields=["open_month"])


def _forfeit(team: Team, now: datetime) -> int:
    """Take what remains of every grant off the books; return how much could still be spent."""
    usable = set(CreditGrant.of(team).usable(now).values_list("pk", flat=True))
    grants = list(CreditGrant.of(team).filter(remaining_ticks__gt=0))
    LedgerEntry.across_teams.bulk_create(
        LedgerEntry(
            team=team,
            # What is over already is not lost by this; the hourly job had not come by yet.
            kind=LedgerEntry.Kind.FORFEIT if grant.pk in usable else LedgerEntry.Kind.EXPIRY,
            amount_ticks=-grant.remaining_ticks,
            grant=grant,
            happened_at=now,
        )
        for grant in grants
    )
    CreditGrant.of(team).filter(pk__in=[grant.pk for grant in grants]).update(remaining_ticks=0)
    return sum(grant.remaining_ticks for grant in grants if grant.pk in usable)
