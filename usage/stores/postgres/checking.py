"""Comparing the sums with the events, and the coarser ones with the quarter-hours."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection

from usage.rules import Grain
from usage.stores.postgres import building, zones
from usage.stores.postgres.slices import (
    EVENT_TEXTS,
    FULL,
    MEASURE_LIST,
    MEASURES,
    NAME,
    QUARTERS,
    SLICES,
    VALUE_COLUMNS,
    of_events,
    of_sums,
)

TEXTS: Final = ", ".join(VALUE_COLUMNS.values())
KEPT_TEXTS: Final = ", ".join(
    f"{name.value}_text.text AS {column}" for name, column in VALUE_COLUMNS.items()
)
DIFFERENT: Final = " OR ".join(f"kept.{name} IS DISTINCT FROM due.{name}" for name in MEASURES)

WITH_TEXTS: Final = " ".join(
    f"LEFT JOIN usage_usagevalue AS {name.value}_text ON {name.value}_text.id = series.{column}"
    for name, column in VALUE_COLUMNS.items()
)
QUARTER_DIFFERENCES: Final = f"""
    WITH due AS (
        SELECT event.team_id, date_bin('15 minutes', event.at, 'epoch') AS start,
            {", ".join(f"{text} AS {VALUE_COLUMNS[name]}" for name, text in EVENT_TEXTS.items())},
            {of_events()}
        FROM usage_usageevent AS event
        WHERE event.seq <= (SELECT fed_seq FROM usage_usagefeed WHERE store = '{NAME}')
        GROUP BY 1, 2, 3, 4, 5, 6
    ), kept AS (
        SELECT series.team_id, rollup.start,
            {KEPT_TEXTS}, {", ".join(f"rollup.{name}" for name in MEASURES)}
        FROM usage_usagerollup AS rollup JOIN usage_usageseries AS series
            ON series.id = rollup.series_id {WITH_TEXTS}
        WHERE rollup.grain = {QUARTERS.number} AND series.slice = {FULL}
    )
    SELECT team_id, start, concat_ws(' ', {TEXTS}),
        row_to_json(kept)::text, row_to_json(due)::text
    FROM kept FULL JOIN due USING (team_id, start, {TEXTS})
    WHERE ({DIFFERENT}) AND start > coalesce(%(after)s::timestamptz, '-infinity')
    ORDER BY 1, 2, 3
"""
COARSER_DIFFERENCES: Final = f"""
    WITH line AS MATERIALIZED (
        SELECT parent.id AS parent_id, child.id AS child_id
        FROM usage_usageseries AS parent JOIN usage_usageseries AS child
            ON child.team_id = parent.team_id AND child.slice = %(slice)s AND {{same_values}}
        WHERE parent.team_id = %(team_id)s AND parent.slice = {FULL}
    ), due AS (
        SELECT line.child_id AS series_id, {{start}} AS start, {of_sums("rollup")}
        FROM usage_usagerollup AS rollup JOIN line ON line.parent_id = rollup.series_id
        WHERE rollup.grain = {QUARTERS.number}
        GROUP BY 1, 2
    ), kept AS (
        SELECT series_id, start, {MEASURE_LIST} FROM usage_usagerollup
        WHERE grain = %(grain)s AND series_id IN (
            SELECT id FROM usage_usageseries WHERE team_id = %(team_id)s AND slice = %(slice)s
        )
    )
    SELECT series_id, start, row_to_json(kept)::text, row_to_json(due)::text
    FROM kept FULL JOIN due USING (series_id, start)
    WHERE {DIFFERENT}
    ORDER BY 1, 2
"""


def quarter_differences(*, after: datetime | None) -> Iterator[str]:
    """Name each quarter-hour's sums that are not those of its events, perhaps only later ones."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(QUARTER_DIFFERENCES, {"after": after})
        for team_id, start, texts, kept, due in cursor:
            when = f"quarter-hour {start:%Y-%m-%d %H:%M}"
            yield f"Team {team_id}, {when}, {texts}: {_both(kept, due)}"


def coarser_differences(team_id: UUID) -> Iterator[str]:
    """Name each of the team's coarser sums that is not that of its quarter-hours."""
    for grain in zones.grains([team_id])[team_id]:
        yield from _of_grain(team_id, grain)


def _of_grain(team_id: UUID, grain: Grain) -> Iterator[str]:
    starts = building.spans([team_id], grain)
    for slice_ in SLICES[grain.size] if starts else ():
        if slice_ == FULL:
            continue  # It is what the others are compared with.
        statement = COARSER_DIFFERENCES.format(
            start=building.STARTS[grain.size], same_values=building.same_values_of(slice_)
        )
        with connection.chunked_cursor() as cursor:
            cursor.execute(
                statement,
                {
                    "team_id": team_id,
                    "grain": grain.number,
                    "slice": slice_,
                    "starts": starts,
                },
            )
            for series_id, start, kept, due in cursor:
                size = grain.size.name.lower()
                yield (
                    f"Team {team_id}, {size} {start:%Y-%m-%d %H:%M} of {grain.zone},"
                    f" slice {slice_}, series {series_id}: {_both(kept, due)}"
                )


def _both(kept: str | None, due: str | None) -> str:
    return f"kept {kept or 'nothing'}, should be {due or 'nothing'}"
