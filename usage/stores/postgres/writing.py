"""Adding events to the sums."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from usage.models import UsageEvent
from usage.rules import quarter_of
from usage.stores.postgres import zones
from usage.stores.postgres.slices import (
    EVENT_TEXTS,
    MEASURE_LIST,
    MEASURES,
    SLICES,
    VALUE_COLUMNS,
    of_events,
    of_sums,
    same_values,
)

# Which events a statement is about; `events` is their table.
CHUNK: Final = "event.seq > %(after)s AND event.seq <= %(upto)s"

VALUES: Final = f"""
    MERGE INTO usage_usagevalue AS kept
    USING (
        SELECT event.team_id, used.dimension, used.text, max(event.at) AS at
        FROM usage_usageevent AS event
        CROSS JOIN LATERAL (
            VALUES {", ".join(f"('{name}', {text})" for name, text in EVENT_TEXTS.items())}
        ) AS used (dimension, text)
        WHERE {{events}}
        GROUP BY 1, 2, 3
    ) AS used
    ON kept.team_id = used.team_id AND kept.dimension = used.dimension AND kept.text = used.text
    WHEN MATCHED AND kept.last_used_at < used.at THEN UPDATE SET last_used_at = used.at
    WHEN NOT MATCHED THEN INSERT (team_id, dimension, text, last_used_at)
        VALUES (used.team_id, used.dimension, used.text, used.at)
"""

# Events with numbers for their values, summed by quarter-hour.
FULL_SUMS: Final = f"""
    SELECT event.team_id,
        date_bin('15 minutes', event.at, 'epoch') AS quarter,
        {", ".join(f"{name}.id AS {column}" for name, column in VALUE_COLUMNS.items())},
        {of_events()}
    FROM usage_usageevent AS event
    {
    " ".join(
        f"JOIN usage_usagevalue AS {name} ON {name}.team_id = event.team_id"
        f" AND {name}.dimension = '{name}' AND {name}.text = {text}"
        for name, text in EVENT_TEXTS.items()
    )
}
    WHERE {{events}}
    GROUP BY 1, 2, 3, 4, 5, 6
"""

SLICE_ROWS: Final = ", ".join(
    f"({size.value}, {slice_})" for size, slices in SLICES.items() for slice_ in slices
)

# By OFFSET, series are looked up one by one in their index, here and below: where they are new, and
# nothing is known about them yet, PostgreSQL would compare all of a team with each other.
SERIES: Final = f"""
    INSERT INTO usage_usageseries (
        team_id, slice, {", ".join(VALUE_COLUMNS.values())}
    )
    SELECT DISTINCT combination.team_id, kept.slice, {
    ", ".join(
        f"CASE WHEN kept.slice & {1 << place} > 0 THEN combination.{column} ELSE 0 END"
        for place, column in enumerate(VALUE_COLUMNS.values())
    )
}
    FROM ({{combinations}}) AS combination
    CROSS JOIN (SELECT DISTINCT slice FROM (VALUES {SLICE_ROWS}) AS each (size, slice)) AS kept
    WHERE NOT EXISTS (
        SELECT FROM usage_usageseries AS series
        WHERE series.team_id = combination.team_id AND series.slice = kept.slice
            AND {same_values("series", "combination", "kept.slice")}
        OFFSET 0
    )
"""

ADD: Final = f"""
    ON CONFLICT (grain, series_id, start) DO UPDATE SET
    {", ".join(f"{name} = kept.{name} + EXCLUDED.{name}" for name in MEASURES)}
"""

ROLLUPS: Final = f"""
    WITH added AS MATERIALIZED ({FULL_SUMS.format(events=CHUNK)})
    INSERT INTO usage_usagerollup AS kept (grain, series_id, start, {MEASURE_LIST})
    SELECT span.grain, series.id, span.start, {of_sums("added")}
    FROM added
    JOIN unnest(
        %(teams)s::uuid[], %(quarters)s::timestamptz[], %(grains)s::int[], %(sizes)s::int[],
        %(starts)s::timestamptz[]
    ) AS span (team_id, quarter, grain, size, start)
        ON span.team_id = added.team_id AND span.quarter = added.quarter
    JOIN (VALUES {SLICE_ROWS}) AS wanted (size, slice) ON wanted.size = span.size
    CROSS JOIN LATERAL (
        SELECT one.id FROM usage_usageseries AS one
        WHERE one.team_id = added.team_id AND one.slice = wanted.slice
            AND {same_values("one", "added", "wanted.slice")}
        OFFSET 0
    ) AS series
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    {ADD}
"""


def record(events: Sequence[UsageEvent]) -> None:
    """Add these events to the sums. They are read again where they lie, in SQL."""
    if not events:
        return
    used = {(event.team_id, quarter_of(event.at)) for event in events}
    chunk: dict[str, Any] = {"after": events[0].seq - 1, "upto": events[-1].seq}
    zones.begin({team_id for team_id, _ in used})
    with connection.cursor() as cursor:
        cursor.execute(VALUES.format(events=CHUNK), chunk)
        cursor.execute(SERIES.format(combinations=FULL_SUMS.format(events=CHUNK)), chunk)
        cursor.execute(ROLLUPS, chunk | _spans(used))


def _spans(used: Iterable[tuple[UUID, datetime]]) -> dict[str, Any]:
    """Say which spans each quarter-hour of each team is in.

    In Python, because the database may know other rules of time zones than the pages.
    """
    grains = zones.grains({team_id for team_id, _ in used})
    rows = [
        (team_id, quarter, grain.number, grain.size.value, grain.start_of(quarter))
        for team_id, quarter in sorted(used)
        for grain in grains[team_id]
    ]
    names = ("teams", "quarters", "grains", "sizes", "starts")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
