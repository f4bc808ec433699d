"""What a team can spend at a moment, and from what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db.models import Aggregate, Count, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.models import Team
from billing.models import BillingAccount, BillingCycle, CreditGrant, Hold
from billing.rules import TICKS_PER_USD, cycle_of

OF_ACCOUNT: Final = (
    "held_ticks",
    "spending_limit_ticks",
    "hard_limit_ticks",
    "alert_percents",
    "invoicing_blocked_at",
    "open_month",
)


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
    # What comes after the invoice, in a month that is invoiced before its end, is in the next one.
    cycle = BillingCycle.of(team).filter(month__gte=cycle_of(now))
    held = Hold.of(team).filter(state=Hold.State.LIVE)
    sums = {
        "free_ticks": _sum(usable.exclude(kind=prepaid), Sum("remaining_ticks")),
        "prepaid_ticks": _sum(usable.filter(kind=prepaid), Sum("remaining_ticks")),
        "charged_ticks": _sum(cycle, Sum("charged_ticks")),
        "accrued_ticks": _sum(cycle, Sum("accrued_ticks")),
        "held_requests": _sum(held, Count("pk")),
    }
    row: dict[str, Any] | None = BillingAccount.of(team).values(*OF_ACCOUNT, **sums).first()
    if row is None:  # It is made at a team's first use of money, and then looks like this.
        hard_limit = settings.DEFAULT_HARD_LIMIT_USD * TICKS_PER_USD
        account = BillingAccount(team=team, hard_limit_ticks=hard_limit)
        row = dict.fromkeys(sums, 0) | {name: getattr(account, name) for name in OF_ACCOUNT}
    blocked_at, open_month = row["invoicing_blocked_at"], row.pop("open_month")
    limit = min(row["spending_limit_ticks"], row["hard_limit_ticks"])
    # Not below zero: a hard limit that was lowered under what is accrued takes no credits away.
    left = 0 if blocked_at else max(0, limit - row["accrued_ticks"])
    return Balance(
        **row | {"spending_limit_ticks": limit},
        invoice_left_ticks=left,
        is_invoiced_early=bool(open_month and open_month > cycle_of(now)),
    )


def _sum(rows: QuerySet[Any], sum_: Aggregate) -> Coalesce:
    # By team, as Django has no other way to say that a subquery is one sum.
    return Coalesce(Subquery(rows.order_by().values("team").annotate(n=sum_).values("n")), 0)
