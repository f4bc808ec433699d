"""Everything another app may ask of usage: to record requests, and what they come to."""

from usage.rules import DayTotal, Total
from usage.services.feeding import feed
from usage.services.forgetting import forget_addresses, forget_addresses_in_clickhouse
from usage.services.record import (
    RequestRecord,
    UnexplainedCostError,
    UnknownItemError,
    record,
    recorded,
)
from usage.services.totals import (
    RequestCount,
    cost_figure,
    daily,
    first_token_ms,
    has_any,
    requests_between,
    requests_figure,
    spent_ticks,
    total,
)

__all__ = [
    "DayTotal",
    "RequestCount",
    "RequestRecord",
    "Total",
    "UnexplainedCostError",
    "UnknownItemError",
    "cost_figure",
    "daily",
    "feed",
    "first_token_ms",
    "forget_addresses",
    "forget_addresses_in_clickhouse",
    "has_any",
    "record",
    "recorded",
    "requests_between",
    "requests_figure",
    "spent_ticks",
    "total",
]
