"""Sums whose events are gone, for a store that is filled from the beginning."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection

from usage.rules import Dimension, Sums
from usage.stores.postgres.slices import (
    EVENT_TEXTS,
    FULL,
    NAME,
    QUARTERS,
    VALUE_COLUMNS,
    of_events,
)

TEXTS: Final = ", ".join(dimension.value for dimension in VALUE_COLUMNS)
LEFTOVERS: Final = f"""
    SELECT team_id, start, {TEXTS}, {", ".join(f"sum({name})::bigint" for name in Sums._fields)}
    FROM (
        SELECT series.team_id, rollup.start,
            {", ".join(f"{name.value}.text AS {name.value}" for name in VALUE_COLUMNS)},
            {", ".join(f"rollup.{name}" for name in Sums._fields)}
        FROM usage_usagerollup AS rollup
        JOIN usage_usageseries AS series ON series.id = rollup.series_id
        {
    " ".join(
        f"JOIN usage_usagevalue AS {name.value} ON {name.value}.id = series.{column}"
        for name, column in VALUE_COLUMNS.items()
    )
}
        WHERE rollup.grain = {QUARTERS.number} AND series.slice = {FULL}
        UNION ALL
        SELECT team_id, start, {TEXTS}, {", ".join(f"-{name}" for name in Sums._fields)}
        FROM (
            SELECT event.team_id, date_bin('15 minutes', event.at, 'epoch') AS start,
                {", ".join(f"{text} AS {name.value}" for name, text in EVENT_TEXTS.items())},
                {of_events()}
            FROM usage_usageevent AS event
            WHERE event.seq <= (SELECT fed_seq FROM usage_usagefeed WHERE store = '{NAME}')
            GROUP BY 1, 2, 3, 4, 5, 6
        ) AS present
    ) AS both_kinds
    WHERE start <= %(last_at)s
    GROUP BY team_id, start, {TEXTS}
    HAVING sum(requests) > 0
    ORDER BY start
"""


class Leftover(NamedTuple):
    """What requests came to that are in the sums and of which there is no event any more."""

    team_id: UUID
    start: datetime  # Of their quarter-hour.
    texts: Mapping[Dimension, str]
    sums: Sums


def leftovers(*, last_at: datetime) -> Iterator[Leftover]:
    """Read them in order of time, within a transaction. The last of the events was at `last_at`."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(LEFTOVERS, {"last_at": last_at})
        for team_id, start, *rest in cursor:
            texts = dict(zip(VALUE_COLUMNS, rest, strict=False))
            yield Leftover(team_id, start, texts, Sums._make(rest[len(texts) :]))
