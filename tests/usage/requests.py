"""Requests as the gateway reports them, with only what a test is about to be told."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.urls import reverse
from uuid_utils.compat import uuid7

from accounts.models import Team
from tests.factories import NOON
from usage import services as usage
from usage import stores
from usage.rules import Answer, Dimension, Question, Sums, quarter_of
from usage.services import RequestRecord

KEY = UUID("6f0d2c1e-0000-4000-8000-000000000001")
# 1,000 prompt tokens for $0.0002 and 100 completion tokens for $0.00005.
ITEMS = (("prompt_text", 1_000, 2_000_000), ("completion", 100, 500_000))
COST_TICKS = 2_500_000


def make_record(team: Team, **fields: Any) -> RequestRecord:
    """Make a record whose cost is that of its items, with `fields` as the test wants them."""
    items = fields.get("items", ITEMS)
    usual = {
        "request_id": uuid7(),
        "team_id": team.pk,
        "key_id": KEY,
        "model": "atlas-8b",
        "cluster": "fra-1",
        "ip": "203.0.113.7",
        "at": NOON,
        "status": 200,
        "streamed": fields.get("first_token_ms") is not None,
        "first_token_ms": None,
        "latency_ms": 900,
        "cost_ticks": sum(cost_ticks for _, _, cost_ticks in items),
        "items": items,
    }
    return RequestRecord(**usual | fields)


def value_of(record: RequestRecord, dimension: Dimension) -> str:
    """Say what a store knows the record by."""
    return str(record.key_id if dimension is Dimension.API_KEY else getattr(record, dimension))


def sums_of(record: RequestRecord) -> Sums:
    fields = {"requests": 1, "failed": int(record.status >= 500)}
    for item, quantity, cost_ticks in record.items:
        fields |= {item: quantity, f"{item}_ticks": cost_ticks}
    return Sums(**fields, cost_ticks=record.cost_ticks)


def summed(records: Iterable[RequestRecord], question: Question) -> Answer:
    """Answer what a store is asked in the plainest way: by adding up the requests themselves."""
    answer: dict[tuple[int, str], Sums] = defaultdict(Sums)
    for record in records:
        if (
            record.team_id == question.team_id
            and question.starts[0] <= record.at < question.starts[-1]
            and all(
                (value_of(record, wanted.dimension) in wanted.values) is not wanted.is_not
                for wanted in question.filters
            )
        ):
            number = sum(start <= record.at for start in question.starts) - 1
            group = value_of(record, question.group) if question.group else ""
            answer[number, group] = answer[number, group].plus(sums_of(record))
    return dict(answer)


def counted(team: Team, since: datetime, until: datetime) -> tuple[int, int]:
    """Count requests and failures, by whole quarter-hours: that of `until` included."""
    starts = (quarter_of(since), quarter_of(until) + timedelta(minutes=15))
    question = Question(team_id=team.pk, starts=starts, zone=ZoneInfo("UTC"))
    sums = stores.at_hand().query(question).get((0, ""), Sums())
    return sums.requests, sums.failed


def id_at(moment: datetime, number: int = 0) -> UUID:
    """Make an id as a UUIDv7 of this moment is, without chance."""
    return UUID(int=(round(moment.timestamp() * 1000) << 80) + (7 << 76) + (2 << 62) + number)


def recorded(team: Team, **fields: Any) -> UUID:
    """Record one request, and say which."""
    made = make_record(team, **fields)
    usage.record([made])
    return made.request_id


def log_url(team: Team, *args: UUID) -> str:
    """Lead to the request log, or to one request in it."""
    return reverse(f"usage:{'request' if args else 'requests'}", args=[team.pk, *args])
