"""What a team's requests came to, for the pages that tell it in a line or day by day."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from statistics import median_low
from typing import Any, Final
from zoneinfo import ZoneInfo

from accounts.models import Team
from usage import charts, rules, stores
from usage.models import UsageEvent, UsageSeries
from usage.rules import DayTotal, Question, Sums, Total

UTC_ZONE: Final = ZoneInfo("UTC")
# So many of the newest requests tell the median well enough, and bound what it takes to find it.
MEDIAN_OF: Final = 2000


def has_any(team: Team) -> bool:
    """Tell whether the team ever made a request."""
    # Events may be gone, or not in the sums yet.
    return UsageSeries.of(team).exists() or UsageEvent.of(team).exists()


def spent_ticks(team: Team, *, since: datetime, until: datetime) -> int:
    """Sum what requests cost, by whole quarter-hours: those of `since` and `until` included."""
    first, end = rules.quarter_of(since), rules.quarter_of(until)
    if end < until:
        end += timedelta(minutes=15)
    if first >= end:
        return 0
    question = Question(team_id=team.pk, starts=(first, end), zone=UTC_ZONE)
    return stores.at_hand().query(question).get((0, ""), Sums()).cost_ticks


def first_token_ms(team: Team, *, since: datetime, until: datetime) -> int | None:
    """Find the median time to the first token of the newest requests, if any was streamed."""
    newest = UsageEvent.of(team).filter(at__gte=since, at__lt=until).order_by("-at", "-id")
    times = newest.values_list("first_token_ms", flat=True)[:MEDIAN_OF]
    streamed = [ms for ms in times if ms is not None]
    return median_low(streamed) if streamed else None


def daily(team: Team, *, first: date, last: date, zone: ZoneInfo) -> list[DayTotal]:
    """Sum each day of `zone` from `first` to `last`, also the days with nothing in them."""
    days = [DayTotal(day=day) for day in rules.days_between(first, last)]
    starts = rules.starts_of_days(first, last, zone)
    # A day that a zone left out has no time in it, and nothing can be asked about it.
    real = [n for n in range(len(days)) if starts[n] < starts[n + 1]]
    if not real:
        return days
    spans = (*(starts[n] for n in real), starts[-1])
    answer = stores.at_hand().query(Question(team_id=team.pk, starts=spans, zone=zone))
    for (span, _), sums in answer.items():
        days[real[span]].add(sums)
    return days


def total(days: Sequence[Total]) -> Total:
    """Sum all of them."""
    whole = Total()
    for day in days:
        whole.merge(day)
    return whole


def cost_figure(days: Sequence[DayTotal]) -> dict[str, Any]:
    """Chart what each day cost."""
    return charts.daily_costs([day.day for day in days], [day.cost_ticks for day in days])


def requests_figure(days: Sequence[DayTotal]) -> dict[str, Any]:
    """Chart how many requests each day had."""
    return charts.daily_counts(
        [day.day for day in days], [day.requests for day in days], name="Requests"
    )
