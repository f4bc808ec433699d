"""Everything another app may ask of usage: to record requests, and what they come to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median_low
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.db import connection, transaction

from accounts.actors import UNKNOWN_IP
from accounts.models import Team
from usage import charts, rules
from usage.models import UsageEvent, UsageRollup, UsageRollupQuerySet
from usage.rules import DayTotal, Item, Total

__all__ = [
    "DayTotal",
    "RequestCount",
    "RequestRecord",
    "Total",
    "UnexplainedCostError",
    "cost_figure",
    "daily",
    "first_token_ms",
    "forget_addresses",
    "has_any",
    "record",
    "recorded",
    "requests_between",
    "requests_figure",
    "spent_ticks",
    "total",
]

# One statement with a constant text and two parameters, however many requests: to read rows out of
# JSON costs PostgreSQL less than psycopg takes to adapt arrays or VALUES, one value at a time.
RECORD: Final = """
    WITH events AS (
        INSERT INTO usage_usageevent (
            id, team_id, api_key_id, at, model, cluster, ip,
            status, streamed, first_token_ms, latency_ms, cost_ticks, items
        )
        SELECT * FROM json_to_recordset(%s::json) AS event (
            id uuid, team_id uuid, api_key_id uuid, at timestamptz, model text, cluster text,
            ip inet, status smallint, streamed boolean, first_token_ms integer,
            latency_ms integer, cost_ticks bigint, items jsonb
        )
    )
    INSERT INTO usage_usagerollup AS kept (
        team_id, quarter, api_key_id, model, cluster, ip, item, quantity, cost_ticks, requests
    )
    SELECT * FROM json_to_recordset(%s::json) AS added (
        team_id uuid, quarter timestamptz, api_key_id uuid, model text, cluster text, ip inet,
        item text, quantity bigint, cost_ticks bigint, requests bigint
    )
    ON CONFLICT (team_id, quarter, api_key_id, model, cluster, ip, item) DO UPDATE SET
        quantity = kept.quantity + EXCLUDED.quantity,
        cost_ticks = kept.cost_ticks + EXCLUDED.cost_ticks,
        requests = kept.requests + EXCLUDED.requests
"""
KEY: Final = ("team_id", "quarter", "api_key_id", "model", "cluster", "ip", "item")

# So many of the newest requests tell the median well enough, and bound what it takes to find it.
MEDIAN_OF: Final = 2000


class UnexplainedCostError(Exception):
    """The billing items of a request add up to something else than what it cost."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that the gateway is done with, however it ended.

    `items` are (billing item, quantity, cost in ticks); their costs add up to `cost_ticks`, or
    usage would tell another sum than billing. A status of 500 or more is a failure.
    """

    request_id: UUID
    team_id: UUID
    key_id: UUID
    model: str
    cluster: str
    ip: str  # As accounts.web.client_ip writes it.
    at: datetime
    status: int
    streamed: bool
    first_token_ms: int | None
    latency_ms: int
    cost_ticks: int
    items: Sequence[Item]

    def __post_init__(self) -> None:
        # Here rather than in `record`, where one mistake would stop all requests of a batch.
        explained = sum(cost_ticks for _, _, cost_ticks in self.items)
        if explained != self.cost_ticks:
            raise UnexplainedCostError(
                f"Request {self.request_id} cost {self.cost_ticks} ticks, "
                f"but its billing items cost {explained}."
            )


@dataclass(frozen=True, slots=True)
class RequestCount:
    """How many requests there were, and how many of these failed."""

    requests: int
    failures: int


def record(records: Sequence[RequestRecord]) -> None:
    """Keep the requests and add them to the sums, in the caller's transaction and one statement.

    The sums are locked in the order of their keys, so callers at the same time wait for each other
    but never in a circle. Raises IntegrityError if one of the requests is recorded already; the
    caller's transaction, with the charges in it, is then to be rolled back.
    """
    if not records:
        return
    events = []
    sums: dict[tuple[str, ...], list[int]] = {}
    for one in records:
        # Texts, as JSON has neither ids nor times; and texts of one kind sort as what they mean.
        of_request = (
            str(one.team_id),
            rules.quarter_of(one.at).isoformat(),
            str(one.key_id),
            one.model,
            one.cluster,
            one.ip,
        )
        events.append(
            {
                "id": one.request_id,
                "team_id": one.team_id,
                "api_key_id": one.key_id,
                "at": one.at,
                "model": one.model,
                "cluster": one.cluster,
                "ip": one.ip,
                "status": one.status,
                "streamed": one.streamed,
                "first_token_ms": one.first_token_ms,
                "latency_ms": one.latency_ms,
                "cost_ticks": one.cost_ticks,
                "items": one.items,
            }
        )
        for item, (quantity, cost_ticks) in rules.counted(one.items, one.status).items():
            row = sums.setdefault((*of_request, item), [0, 0, 0])
            row[0] += quantity
            row[1] += cost_ticks
            row[2] += 1
    rollups = [
        {
            **dict(zip(KEY, key, strict=True)),
            "quantity": quantity,
            "cost_ticks": cost_ticks,
            "requests": requests,
        }
        for key, (quantity, cost_ticks, requests) in sorted(sums.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [orjson.dumps(rows).decode() for rows in (events, rollups)])


def recorded(request_ids: Collection[UUID]) -> set[UUID]:
    """Find which of these requests, of whatever teams, are recorded already."""
    # A request is known by its id alone, and so is the caller's right to ask.
    return set(UsageEvent.across_teams.filter(pk__in=request_ids).values_list("pk", flat=True))


def has_any(team: Team) -> bool:
    """Tell whether the team ever made a request."""
    return UsageRollup.of(team).exists()


def spent_ticks(team: Team, *, since: datetime, until: datetime) -> int:
    """Sum what requests cost, by whole quarter-hours: those of `since` and `until` included."""
    return _between(team, since, until).cost_ticks()


def requests_between(team: Team, *, since: datetime, until: datetime) -> RequestCount:
    """Count requests, by whole quarter-hours as in `spent_ticks`."""
    return RequestCount(*_between(team, since, until).all_and_failed())


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
    for number, item, quantity, cost_ticks, requests in UsageRollup.of(team).by_span(starts):
        days[number - 1].add(item, quantity, cost_ticks, requests)
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


def _between(team: Team, since: datetime, until: datetime) -> UsageRollupQuerySet:
    return UsageRollup.of(team).filter(quarter__gte=rules.quarter_of(since), quarter__lt=until)


# --- Forgetting -------------------------------------------------------------------------------


@transaction.atomic
def forget_addresses(team: Team) -> None:
    """Forget from which addresses an erased person's own team was used; keep what it used.

    Sums that differed only by their address become one.
    """
    UsageEvent.of(team).exclude(ip=UNKNOWN_IP).update(ip=UNKNOWN_IP)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH gone AS (
                DELETE FROM usage_usagerollup WHERE team_id = %s
                RETURNING quarter, api_key_id, model, cluster, item, quantity, cost_ticks, requests
            )
            INSERT INTO usage_usagerollup (
                team_id, ip, quarter, api_key_id, model, cluster, item,
                quantity, cost_ticks, requests
            )
            SELECT %s, %s, quarter, api_key_id, model, cluster, item,
                sum(quantity), sum(cost_ticks), sum(requests)
            FROM gone GROUP BY quarter, api_key_id, model, cluster, item
            """,
            [team.pk, team.pk, UNKNOWN_IP],
        )
