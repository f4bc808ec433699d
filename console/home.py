"""What a team's home page shows: each app's headline, as far as the person may see it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from accounts.models import Membership, Team
from accounts.rules import Permission
from api_keys import services as api_keys
from audit import services as audit
from billing import services as billing
from gateway import services as gateway
from usage import services as usage

CHART_DAYS: Final = 30
PACE_DAYS: Final = 7
LOW_BELOW_DAYS: Final = 3
FEED_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the team's requests came to."""

    month: date  # A day of the billing cycle, for its name.
    spent_ticks: int
    today: usage.DayTotal
    first_token_ms: int | None
    spent_in_chart_ticks: int
    requests_in_chart: int
    cost_figure: dict[str, Any]
    requests_figure: dict[str, Any]
    pace_ticks: int  # Per day, on average of the last whole days.

    @property
    def failed_percent(self) -> str:
        """Never rounded down to none: a failure that happened is not 0.00%."""
        share = 100 * self.today.failures / self.today.requests
        return f"{max(share, 0.01):.2f}%"


@dataclass(frozen=True, slots=True)
class Credit:
    """What the team can spend, and for how long that will do."""

    available_ticks: int
    total_ticks: int  # With what requests in flight hold.
    days_left: int | None  # None when nothing was spent lately, or the reader may not know it.
    is_invoice_overdue: bool

    @property
    def is_gone(self) -> bool:
        return self.total_ticks == 0

    @property
    def is_low(self) -> bool:
        return self.days_left is not None and self.days_left < LOW_BELOW_DAYS


@dataclass(frozen=True, slots=True)
class Step:
    """Something a new team does once."""

    title: str
    detail: str
    button: str
    url: str
    is_done: bool
    is_next: bool = False


def traffic(team: Team, *, now: datetime, zone: ZoneInfo) -> Traffic:
    today = now.astimezone(zone).date()
    days = usage.daily(team, first=today - timedelta(days=CHART_DAYS - 1), last=today, zone=zone)
    # The billing cycle is a month of UTC, whoever reads the page.
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    whole = usage.total(days)
    # Today is not over, so it says nothing about a day yet.
    lately = usage.total(days[-1 - PACE_DAYS : -1])
    return Traffic(
        month=month.date(),
        spent_ticks=usage.spent_ticks(team, since=month, until=_next_month(month)),
        today=days[-1],
        first_token_ms=usage.first_token_ms(team, since=now - timedelta(days=1), until=now),
        spent_in_chart_ticks=whole.cost_ticks,
        requests_in_chart=whole.requests,
        cost_figure=usage.cost_figure(days),
        requests_figure=usage.requests_figure(days),
        pace_ticks=lately.cost_ticks // PACE_DAYS,
    )


def _next_month(first: datetime) -> datetime:
    return (first + timedelta(days=31)).replace(day=1)


def first_steps(membership: Membership, credit: Credit | None) -> list[Step]:
    """List what is to be done before the first answer; nothing once there was one."""
    team, may = membership.team, membership.permissions
    keys = api_keys.visible_to(membership)
    if Permission.USAGE_READ in may:
        has_called = usage.has_any(team)
    else:
        has_called = keys.exclude(last_used_at=None).exists()
    if has_called:
        return []
    keys_url = reverse("api_keys:list", args=[team.pk])
    steps = [
        Step(
            "Create an API key",
            "A program signs in to the gateway with it. The secret is shown once.",
            "Create API key",
            f"{keys_url}?dialog=create",
            is_done=keys.exists(),
        ),
        Step(
            "Call the gateway",
            "Any OpenAI-compatible client does; the example below is complete.",
            "",
            "",
            is_done=False,
        ),
    ]
    if credit and Permission.BILLING_WRITE in may:
        steps.insert(
            0,
            Step(
                "Buy credits",
                "Requests are paid from them, at the price of each model.",
                "Buy credits",
                f"{reverse('billing:credits', args=[team.pk])}?dialog=buy",
                is_done=not credit.is_gone,
            ),
        )
    return _with_next(steps)


def _with_next(steps: list[Step]) -> list[Step]:
    """Mark the first step that is not done."""
    following = next(step for step in steps if not step.is_done)
    return [
        Step(s.title, s.detail, s.button, s.url, s.is_done, is_next=s is following) for s in steps
    ]


def example() -> str:
    """Write a complete call of this gateway, for the first model that it has."""
    return api_keys.python_example(
        f"{settings.PUBLIC_URL}/v1", model=next(iter(gateway.catalog()), None)
    )


def contents(membership: Membership, *, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Gather the page. What the person may not see is absent, not hidden."""
    team, may = membership.team, membership.permissions
    seen = traffic(team, now=now, zone=zone) if Permission.USAGE_READ in may else None
    credit = None
    if Permission.BILLING_READ in may:
        balance = billing.balance(team, now=now)
        pace = seen.pace_ticks if seen else 0
        credit = Credit(
            balance.available_ticks,
            balance.total_ticks,
            days_left=balance.total_ticks // pace if pace else None,
            is_invoice_overdue=balance.invoicing_blocked_at is not None,
        )
    return {
        "credit": credit,
        "traffic": seen,
        "steps": first_steps(membership, credit),
        "may_buy": Permission.BILLING_WRITE in may,
        "may_create_keys": Permission.API_KEYS_WRITE in may,
        "may_read_audit": Permission.AUDIT_READ in may,
        "changes": (
            audit.recent_changes(team, limit=FEED_LENGTH) if Permission.AUDIT_READ in may else []
        ),
        "example": example(),
    }
