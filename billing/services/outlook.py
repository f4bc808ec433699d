"""How a team's month goes on if it goes on as it began. Nothing is decided by these estimates."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from accounts.models import Team
from billing.models import CreditGrant
from billing.rules import (
    FORESEEN,
    Purse,
    begin_of,
    cycle_of,
    last_until,
    months_later,
    pace_since,
)
from billing.services.balance import Balance
from billing.services.grants import GrantStanding


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a month. Without a pace there is nothing to tell of it yet."""

    month: date
    resets_on: date  # The first day of the next month.
    since: date  # From when the pace is measured: the month's first day, or the team's.
    forecast_ticks: int | None = None  # For all of the month, what is spent included.
    credits_days: int | None = None  # For how long the credits last, if that is foreseeable.
    credits_last: bool = False  # They last for longer than that.
    refused_on: date | None = None  # The day of this month on which nothing is left.


def outlook(
    team: Team, standing: Balance, grants: Iterable[GrantStanding], *, now: datetime
) -> Outlook:
    """Foresee a month from what it has cost so far, and from when that began.

    The grants are the team's in their order of use, as `standings` lists them.
    """
    month = cycle_of(now)
    ends_at = months_later(begin_of(month), 1)
    # The days before a team was there were no slow days.
    since = max(begin_of(month), team.created_at.astimezone(UTC))
    pace = pace_since(since, standing.charged_ticks, now=now)
    if pace is None:
        return Outlook(month, ends_at.date(), since.date())
    purses = [_purse(row) for row in grants if row.remaining_ticks]
    credits_end = last_until(purses, pace, now=now)
    lasting = credits_end - now
    refused_at = credits_end + pace.takes(standing.invoice_left_ticks)
    return Outlook(
        month,
        ends_at.date(),
        since.date(),
        forecast_ticks=standing.charged_ticks + pace.spends(ends_at - now),
        credits_days=round(lasting / timedelta(days=1)) if lasting < FORESEEN else None,
        credits_last=lasting >= FORESEEN,
        refused_on=refused_at.date() if refused_at < ends_at else None,
    )


def _purse(row: GrantStanding) -> Purse:
    grant = row.grant
    is_prepaid = grant.kind == CreditGrant.Kind.PREPAID
    return Purse(grant.pk, is_prepaid, grant.granted_at, grant.expires_at, row.remaining_ticks)
