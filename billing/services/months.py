"""Closing months: what a UTC calendar month left to be invoiced becomes one document, once.

In two transactions per team. The first, under the lock of the team's account, moves its books to a
later month: from then on nothing can be added to the months before, whatever a clock says. The
second writes the documents of those months, and may take its time over a million requests, since
requests do not wait for it. A crash between the two leaves months that are frozen and not closed,
which the next run closes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.one_by_one import one_by_one
from audit import services as audit
from billing.models import BillingAccount, BillingCycle, Invoice, Receivable
from billing.rules import (
    TICKS_PER_CENT,
    cents_from_ticks,
    cycle_of,
    month_after,
    usd,
)
from billing.services.accounts import lock_account
from billing.services.documents import Draft, draft_month, issue_month
from billing.services.ledger import snapshot

logger = logging.getLogger(__name__)

# Before tax. Less cannot be charged to a card, so it goes on the next invoice.
LEAST_CENTS: Final = 50


@dataclass(frozen=True, slots=True)
class Preview:
    """What an invoice would be if its month ended now."""

    draft: Draft
    carried_from: Sequence[date]  # The earlier months on it, too little for invoices of their own.
    is_too_little: bool  # To be charged: it would go on the next invoice.


def close_all(*, now: datetime) -> int:
    """Close what is over of every team's months; return how many documents that made.

    A team whose months cannot be closed does not keep the rest waiting; that is raised at the end.
    """
    frozen = BillingAccount.across_teams.filter(team=OuterRef("team")).values("open_month")
    over = BillingCycle.across_teams.filter(
        Q(month__lt=cycle_of(now)) | Q(month__lt=Subquery(frozen)), closed_at=None
    )
    teams = Team.objects.filter(pk__in=over.values("team_id"))
    issued = 0
    with one_by_one(logger) as each:
        for team in teams.order_by("pk").iterator():
            with each("The months of team %s could not be closed", team.pk):
                issued += len(close(team=team, before=cycle_of(now), actor=SYSTEM, now=now))
    return issued


def close(*, team: Team, before: date, actor: Actor, now: datetime) -> list[Invoice]:
    """Close a team's open months before this one, oldest first; return the invoices, if any.

    Closing them again does nothing. Inside a transaction it would keep requests waiting until the
    documents are written.
    """
    freeze(team=team, before=before)
    return bill(team=team, actor=actor, now=now)


@transaction.atomic
def freeze(*, team: Team, before: date) -> None:
    """Let nothing more be added to the team's months before this one."""
    account = lock_account(team)
    if account.open_month is None or account.open_month < before:
        account.open_month = before
        account.save(update_fields=["open_month"])


def bill(*, team: Team, actor: Actor, now: datetime) -> list[Invoice]:
    """Close the team's frozen months, oldest first; return the invoices. Requests go on meanwhile.

    A month in a transaction of its own, so that the series of numbers is locked for no longer than
    one document takes to be written.
    """
    issued = []
    for month in _frozen(team).order_by("month").values_list("month", flat=True):
        invoice = _bill(team, month, actor, now)
        if invoice:
            issued.append(invoice)
    return issued


def _frozen(team: Team) -> QuerySet[BillingCycle]:
    """Keep the months that are not closed and to which nothing can be added any more."""
    return BillingCycle.of(team).filter(
        closed_at=None, month__lt=BillingAccount.of(team).values("open_month")
    )


@transaction.atomic
def _bill(team: Team, month: date, actor: Actor, now: datetime) -> Invoice | None:
    """Close one month; return its invoice unless it is too little, or was closed meanwhile.

    The months' own rows are what two closes at once wait for each other at. No request locks them
    any more: the account is none of this.
    """
    unbilled = _frozen(team).filter(month=month) | carried_over(team).filter(month__lt=month)
    billed = list(unbilled.select_for_update(no_key=True).order_by("month"))
    if not billed or billed[-1].month != month:
        return None
    invoice = None
    if cents_from_ticks(sum(part.accrued_ticks for part in billed)) >= LEAST_CENTS:
        invoice = issue_month(team=team, month=month, cycles=billed, now=now)
        _have_collected(invoice, actor, now)
        BillingCycle.of(team).filter(pk__in=[part.pk for part in billed]).update(invoice=invoice)
    BillingCycle.of(team).filter(month=month).update(closed_at=now)
    return invoice


def carried_over(team: Team) -> QuerySet[BillingCycle]:
    """Keep the closed months whose usage is on no invoice yet."""
    return BillingCycle.of(team).filter(closed_at__isnull=False, invoice=None, accrued_ticks__gt=0)


def _have_collected(invoice: Invoice, actor: Actor, now: datetime) -> None:
    Receivable.across_teams.create(team=invoice.team, invoice=invoice, next_try_at=now)
    total = usd(invoice.total_cents * TICKS_PER_CENT)
    audit.record(
        team=invoice.team,
        actor=actor,
        operation="IssueInvoice",
        description=f"Issued invoice {invoice.reference} over {total}",
        target_type="invoice",
        target_id=str(invoice.pk),
        target_label=invoice.reference,
        after={"total_cents": invoice.total_cents},
        now=now,
    )


def preview(team: Team, *, now: datetime) -> Preview | None:
    """Say what the invoice of the running month would be now; None while nothing was charged.

    Months that are over and not closed yet are not on it: their own invoices come within the hour.
    """
    # All of one moment, since the lines have to add up to what the month says; and without a
    # lock, since a page must not keep requests waiting.
    with snapshot():
        return _preview(team, now)


def _preview(team: Team, now: datetime) -> Preview | None:
    open_month = BillingAccount.of(team).values_list("open_month", flat=True).first()
    month = max(cycle_of(now), open_month or date.min)
    running = BillingCycle.of(team).filter(month=month).first()
    if running is None or not running.charged_ticks:
        return None
    carried = list(carried_over(team).filter(month__lt=month).order_by("month"))
    draft = draft_month(team=team, month=month, cycles=[*carried, running])
    return Preview(draft, [cycle.month for cycle in carried], draft.subtotal_cents < LEAST_CENTS)


def close_now(*, team: Team, actor: Actor, now: datetime) -> list[Invoice]:
    """Invoice all that a team that is to end has used, its running month included.

    Nothing more goes on an invoice until the calendar month is over, or a month could have twice
    its hard limit: `set_spending_limit` raises no limit before. Credits still work.
    """
    with transaction.atomic():
        account = lock_account(team)
        before = account.spending_limit_ticks
        freeze(team=team, before=month_after(cycle_of(now)))
        if before:
            account.spending_limit_ticks = 0
            account.save(update_fields=["spending_limit_ticks"])
        audit.record(
            team=team,
            actor=actor,
            operation="CloseMonthEarly",
            description=f"Had {cycle_of(now):%B %Y} invoiced before its end",
            target_type="billing account",
            target_id=str(account.pk),
            target_label=team.name,
            before={"spending_limit_ticks": before},
            after={"spending_limit_ticks": 0},
            now=now,
        )
    return bill(team=team, actor=actor, now=now)
