"""Keeping requests, each once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection

from usage.models import UsageEvent
from usage.rules import ITEMS, Item

COLUMNS: Final = {
    "id": "uuid",
    "team_id": "uuid",
    "api_key_id": "uuid",
    "at": "timestamptz",
    "model": "text",
    "cluster": "text",
    "ip": "inet",
    "status": "smallint",
    "streamed": "boolean",
    "first_token_ms": "integer",
    "latency_ms": "integer",
    "cost_ticks": "bigint",
    **{name: "bigint" for item in ITEMS for name in (item, f"{item}_ticks")},
}
# One statement with a constant text and one parameter, however many requests: to read rows out of
# JSON costs PostgreSQL less than psycopg takes to adapt arrays or VALUES, one value at a time.
RECORD: Final = f"""
    INSERT INTO usage_usageevent ({", ".join(COLUMNS)})
    SELECT * FROM json_to_recordset(%s::json) AS event (
        {", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())}
    )
"""  # noqa: S608 -- of constants
NOTHING_USED: Final = {name: 0 for item in ITEMS for name in (item, f"{item}_ticks")}


class UnexplainedCostError(Exception):
    """The billing items of a request add up to something else than what it cost."""


class UnknownItemError(Exception):
    """A request names a billing item that usage has no column for."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that the gateway is done with, however it ended.

    `items` are (billing item, quantity, cost in ticks), of rules.ITEMS; their costs add up to
    `cost_ticks`, or usage would tell another sum than billing. A status of 500 or more is a
    failure. `request_id` is a UUIDv7.
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
        unknown = {item for item, _, _ in self.items}.difference(ITEMS)
        if unknown:
            raise UnknownItemError(
                f"Request {self.request_id} used {', '.join(sorted(unknown))}, "
                f"but usage knows {', '.join(ITEMS)}."
            )

    def row(self) -> dict[str, Any]:
        """Write it as the table of events has it."""
        used = dict(NOTHING_USED)
        for item, quantity, cost_ticks in self.items:
            used[item] += quantity
            used[f"{item}_ticks"] += cost_ticks
        return {
            "id": self.request_id,
            "team_id": self.team_id,
            "api_key_id": self.key_id,
            "at": self.at,
            "model": self.model,
            "cluster": self.cluster,
            "ip": self.ip,
            "status": self.status,
            "streamed": self.streamed,
            "first_token_ms": self.first_token_ms,
            "latency_ms": self.latency_ms,
            "cost_ticks": self.cost_ticks,
            **used,
        }


def record(records: Sequence[RequestRecord]) -> None:
    """Keep the requests, in the caller's transaction and one statement.

    They are part of every answer as soon as that transaction is committed; the feed adds them to
    the sums later. Raises IntegrityError if one of the requests is recorded already; the caller's
    transaction, with the charges in it, is then to be rolled back.
    """
    if not records:
        return
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [orjson.dumps([one.row() for one in records]).decode()])


def recorded(request_ids: Collection[UUID]) -> set[UUID]:
    """Find which of these requests, of whatever teams, are recorded already."""
    # A request is known by its id alone, and so is the caller's right to ask.
    return set(UsageEvent.across_teams.filter(pk__in=request_ids).values_list("pk", flat=True))
