"""Sums in PostgreSQL, beside the events."""

from collections.abc import Sequence
from uuid import UUID

from usage import stores
from usage.models import UsageEvent
from usage.rules import Answer, Dimension, Question
from usage.stores.postgres import forgetting, reading, writing
from usage.stores.postgres.slices import NAME


class PostgresStore:
    """Sums by quarter-hour, hour, day and month, of series: docs/decisions/0019-usage-series.md."""

    name = NAME

    def record(self, events: Sequence[UsageEvent]) -> None:
        writing.record(events)

    def query(self, question: Question) -> Answer:
        return reading.query(question)

    def values(
        self, team_id: UUID, dimension: Dimension, *, search: str = "", limit: int = 50
    ) -> list[str]:
        mark = stores.mark(self)
        return reading.values(team_id, dimension, mark=mark, search=search, limit=limit)

    def forget_addresses(self, team_id: UUID) -> None:
        forgetting.forget_addresses(team_id)
