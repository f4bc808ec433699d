"""Single requests as a file for spreadsheets."""

from collections.abc import Iterable
from datetime import UTC
from typing import Final

from accounts.spreadsheets import as_text, csv_rows
from billing.services import as_usd
from usage.rules import ITEMS
from usage.services.requests import ShownRequest, items_of

COLUMNS: Final = (
    "request_id",
    "time_utc",
    "api_key",
    "api_key_id",
    "model",
    "cluster",
    "ip",
    "status",
    "streamed",
    "first_token_ms",
    "total_ms",
    *(f"{item}_tokens" for item in ITEMS),
    *(f"{item}_usd" for item in ITEMS),
    "cost_usd",
)


def header() -> bytes:
    return csv_rows([COLUMNS])


def rows(requests: Iterable[ShownRequest]) -> bytes:
    return csv_rows(_row(request) for request in requests)


def _row(request: ShownRequest) -> tuple[str, ...]:
    event = request.event
    costs = {item: ticks for item, _, ticks in items_of(event)}
    return (
        str(event.pk),
        f"{event.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        as_text(request.key.name if request.key else ""),
        str(event.api_key_id),
        as_text(event.model),
        as_text(event.cluster),
        event.ip,
        str(event.status),
        "yes" if event.streamed else "no",
        "" if event.first_token_ms is None else str(event.first_token_ms),
        str(event.latency_ms),
        *map(str, request.quantities),
        *(as_usd(costs.get(item, 0)) for item in ITEMS),
        as_usd(event.cost_ticks),
    )
