"""What a team can spend at a moment, and from what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, F, QuerySet, Subquery, Sum
from django.db.models.functions import Least

from accounts.models import Team
from billing.models import BillingAccount, BillingCycle, CreditGrant, Hold
from billing.models.accounts import default_alert_percents
from billing.rules import TICKS_PER_USD, cycle_of


@dataclass(frozen=True, slots=True)
class Balance:
    """A team's money at one moment, in ticks. The parts add up to `available_ticks`.

    Available is shown as 0 when requests in flight hold more than there is. That can happen
    without anybody's mistake: a grant expired, or staff lowered the hard limit, after a hold had
    counted on it. Such a hold still settles; nothing new is admitted meanwhile.
    """

    free_ticks: int
    prepaid_ticks: int
    invoice_left_ticks: int
    held_ticks: int
    held_requests: int
    charged_ticks: int  # All that this month has cost, and how much of it goes on its invoice.
    accrued_ticks: int
    spending_limit_ticks: int  # The one in force: the customer's, under the hard limit.
    hard_limit_ticks: int
    alert_percents: Sequence[int]  # At these parts of the limit a mail is sent.
    # Since when nothing goes on an invoice, whatever the limit, because one is overdue.
    invoicing_blocked_at: datetime | None = None
    # This month's invoice was had before the month's end, so nothing more goes on one until then.
    is_invoiced_early: bool = False

    @property
    def available_ticks(self) -> int:
        return max(0, self.total_ticks - self.held_ticks)

    @property
    def total_ticks(self) -> int:
        """What there is, requests in flight included."""
        return self.credits_ticks + self.invoice_left_ticks

    @property
    def credits_ticks(self) -> int:
        return self.free_ticks + self.prepaid_ticks

    @property
    def paid_by_credits_ticks(self) -> int:
        return self.charged_ticks - self.accrued_ticks

    @property
    def limit_percent(self) -> int:
        """How much of the spending limit is used; all, when staff lowered it under that."""
        limit = self.spending_limit_ticks
        return min(100, 100 * self.accrued_ticks // limit) if limit else 100


def balance(team: Team, *, now: datetime) -> Balance:
    """Read the balance in one statement, so that all parts are of the same moment."""
    usable = CreditGrant.of(team).usable(now)
    prepaid = CreditGrant.Kind.PREPAID
    account = BillingAccount.of(team)
    # What comes after the invoice, in a month that is invoiced before its end, is in the next one.
    cycle = BillingCycle.of(team).filter(month__gte=cycle_of(now))
    parts: dict[str, Any] = {
        "free": _sum(usable.exclude(kind=prepaid), "remaining_ticks"),
        "prepaid": _sum(usable.filter(kind=prepaid), "remaining_ticks"),
        "charged": _sum(cycle, "charged_ticks"),
        "accrued": _sum(cycle, "accrued_ticks"),
        "held": Subquery(account.values("held_ticks")),
        "requests": Subquery(
            Hold.of(team)
            .filter(state=Hold.State.LIVE)
            .values("team")
            .annotate(n=Count("pk"))
            .values("n")
        ),
        "hard_limit": Subquery(account.values("hard_limit_ticks")),
        "limit": Subquery(
            account.values(n=Least(F("spending_limit_ticks"), F("hard_limit_ticks")))
        ),
        "alerts": Subquery(account.values("alert_percents")),
        "blocked_at": Subquery(account.values("invoicing_blocked_at")),
        "open_month": Subquery(account.values("open_month")),
    }
    row = dict(Team.objects.filter(pk=team.pk).annotate(**parts).values(*parts).get())
    # A team that has never used billing has no account yet; it will get this one.
    if row["hard_limit"] is None:
        row["hard_limit"] = settings.DEFAULT_HARD_LIMIT_USD * TICKS_PER_USD
        row["alerts"] = default_alert_percents()
    known = {name: value or 0 for name, value in row.items()}
    return Balance(
        free_ticks=known["free"],
        prepaid_ticks=known["prepaid"],
        # Not below zero: a hard limit that was lowered under what is accrued takes no credits away.
        invoice_left_ticks=0 if row["blocked_at"] else max(0, known["limit"] - known["accrued"]),
        held_ticks=known["held"],
        held_requests=known["requests"],
        charged_ticks=known["charged"],
        accrued_ticks=known["accrued"],
        spending_limit_ticks=known["limit"],
        hard_limit_ticks=known["hard_limit"],
        alert_percents=row["alerts"],
        invoicing_blocked_at=row["blocked_at"],
        is_invoiced_early=bool(row["open_month"] and row["open_month"] > cycle_of(now)),
    )


def _sum(rows: QuerySet[CreditGrant] | QuerySet[BillingCycle], column: str) -> Subquery:
    return Subquery(rows.order_by().values("team").annotate(n=Sum(column)).values("n"))
