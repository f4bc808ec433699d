"""Building sums anew, in bulk: one GROUP BY for each grain and slice instead of one for each chunk.

The caller holds the feed's lock, so what is in the sums does not grow meanwhile.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Coalesce

from usage.models import UsageRollup, UsageSeries, UsageZone
from usage.rules import Grain, Size
from usage.stores.postgres import zones
from usage.stores.postgres.slices import (
    CLUSTER,
    EVENT_TEXTS,
    FULL,
    HOURS,
    IP,
    KEY,
    MEASURE_LIST,
    MODEL,
    OF_EVENTS,
    QUARTERS,
    SLICE_BITS,
    SLICES,
    VALUE_COLUMNS,
    of_sums,
    same_values,
)
from usage.stores.postgres.writing import ADD, SERIES

# Events in one statement: as many as are grouped in memory.
CHUNK: Final = 1_000_000
# What grouping may take, each time: a statement that has less writes to disk what it groups. And
# everything is read, so there is nothing to look up row by row.
IN_BULK: Final = "SET LOCAL work_mem = '512MB'; SET LOCAL enable_nestloop = off"

# A table of sums, and the grain of those that are meant.
Source: TypeAlias = tuple[str, Grain]
SUMS: Final = "usage_usagerollup"

# Of which smaller or equal sums each slice is made: of days, else of the quarter-hours' full slice.
PARENTS: Final = {
    MODEL | CLUSTER: KEY | MODEL | CLUSTER,
    KEY | CLUSTER: KEY | MODEL | CLUSTER,
    KEY | MODEL: KEY | MODEL | CLUSTER,
    IP: CLUSTER | IP,
    KEY: KEY | CLUSTER,
    MODEL: MODEL | CLUSTER,
    CLUSTER: MODEL | CLUSTER,
    0: CLUSTER,
}

COMBINATIONS: Final = """
    CREATE TEMPORARY TABLE usage_combination ON COMMIT DROP AS
    SELECT event.team_id, event.api_key_id, event.model, event.cluster, event.ip,
        max(event.at) AS last_used_at
    FROM usage_usageevent AS event
    WHERE event.seq <= %(upto)s
    GROUP BY 1, 2, 3, 4, 5
"""
VALUES: Final = f"""
    INSERT INTO usage_usagevalue (team_id, dimension, text, last_used_at)
    SELECT event.team_id, used.dimension, used.text, max(event.last_used_at)
    FROM usage_combination AS event
    CROSS JOIN LATERAL (
        VALUES {", ".join(f"('{name}', {text})" for name, text in EVENT_TEXTS.items())}
    ) AS used (dimension, text)
    GROUP BY 1, 2, 3
"""
NUMBERED: Final = f"""
    CREATE TEMPORARY TABLE usage_numbered ON COMMIT DROP AS
    SELECT event.*, {", ".join(f"{name}.id AS {column}" for name, column in VALUE_COLUMNS.items())}
    FROM usage_combination AS event
    {
    " ".join(
        f"JOIN usage_usagevalue AS {name} ON {name}.team_id = event.team_id"
        f" AND {name}.dimension = '{name}' AND {name}.text = {text}"
        for name, text in EVENT_TEXTS.items()
    )
}
"""
FULL_SERIES: Final = f"""
    CREATE TEMPORARY TABLE usage_full_series ON COMMIT DROP AS
    SELECT numbered.*, series.id AS series_id
    FROM usage_numbered AS numbered JOIN usage_usageseries AS series
        ON series.team_id = numbered.team_id AND series.slice = {FULL}
        AND {same_values("series", "numbered", str(FULL))}
"""
QUARTER_SUMS: Final = f"""
    INSERT INTO usage_usagerollup AS kept (grain, series_id, start, {MEASURE_LIST})
    SELECT {QUARTERS.number}, series.series_id, date_bin('15 minutes', event.at, 'epoch'),
        {OF_EVENTS}
    FROM usage_usageevent AS event
    JOIN usage_full_series AS series USING (team_id, api_key_id, model, cluster, ip)
    WHERE event.seq > %(after)s AND event.seq <= %(upto)s
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    {ADD}
"""
RANGE: Final = """
    SELECT min(rollup.start), max(rollup.start)
    FROM usage_usageseries AS series
    JOIN usage_usagerollup AS rollup ON rollup.series_id = series.id
    WHERE series.team_id = %(team_id)s AND series.slice = %(slice)s AND rollup.grain = %(grain)s
"""
# Most of days is made of it: there is far less of it than of quarter-hours.
FULL_DAYS: Final = f"""
    CREATE TEMPORARY TABLE usage_full_days ON COMMIT DROP AS
    SELECT %(grain)s::int AS grain, rollup.series_id,
        (%(starts)s::timestamptz[])[width_bucket(rollup.start, %(starts)s::timestamptz[])] AS start,
        {of_sums("rollup")}
    FROM usage_usagerollup AS rollup
    JOIN usage_usageseries AS series ON series.id = rollup.series_id
    WHERE series.team_id = %(team_id)s AND series.slice = {FULL}
        AND rollup.grain = {QUARTERS.number}
    GROUP BY 1, 2, 3
"""
COARSER: Final = f"""
    INSERT INTO usage_usagerollup (grain, series_id, start, {MEASURE_LIST})
    SELECT %(grain)s, line.child_id,
        (%(starts)s::timestamptz[])[width_bucket(rollup.start, %(starts)s::timestamptz[])],
        {of_sums("rollup")}
    FROM {{source}} AS rollup
    JOIN (
        SELECT parent.id AS parent_id, child.id AS child_id
        FROM usage_usageseries AS parent JOIN usage_usageseries AS child
            ON child.team_id = parent.team_id AND child.slice = %(slice)s
            AND {{same_values}}
        WHERE parent.team_id = %(team_id)s AND parent.slice = %(parent)s
    ) AS line ON line.parent_id = rollup.series_id
    WHERE rollup.grain = %(finer)s
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
"""


def same_values_of(slice_: int) -> str:
    """Write the condition for a known slice, so that PostgreSQL can join by hash."""
    return " AND ".join(
        f"child.{column} = parent.{column}"
        if slice_ & SLICE_BITS[dimension]
        else f"child.{column} = 0"
        for dimension, column in VALUE_COLUMNS.items()
    )


def build_quarters(*, upto: int) -> None:
    """Make the dictionary, the series and the quarter-hours of all teams of all events.

    There are none before; `upto` is the `seq` of the last event that is to be in them.
    """
    with connection.cursor() as cursor:
        cursor.execute(IN_BULK)
        cursor.execute(COMBINATIONS, {"upto": upto})
        cursor.execute(VALUES)
        cursor.execute(NUMBERED)
        cursor.execute(SERIES.format(combinations="SELECT * FROM usage_numbered"))
        cursor.execute("ANALYZE usage_usagevalue, usage_usageseries")
        cursor.execute(FULL_SERIES)
        cursor.execute("ANALYZE usage_full_series")
        cursor.execute("SELECT coalesce(min(seq), 1) - 1 FROM usage_usageevent")
        (after,) = cursor.fetchone()
        while after < upto:
            chunk = {"after": after, "upto": min(after + CHUNK, upto)}
            cursor.execute(QUARTER_SUMS, chunk)
            after = chunk["upto"]
        for table in ("usage_combination", "usage_numbered", "usage_full_series"):
            cursor.execute(f"DROP TABLE {table}")
        cursor.execute("ANALYZE usage_usagerollup")


def clear_all() -> None:
    """Forget all sums, with their dictionary. Who reads meanwhile goes on seeing them."""
    with connection.cursor() as cursor:
        for table in ("usage_usagerollup", "usage_usageseries", "usage_usagevalue"):
            cursor.execute(f"DELETE FROM {table}")


def clear_coarser(team_id: UUID) -> None:
    """Forget the team's sums of hours, days and months."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM usage_usagerollup AS rollup USING usage_usageseries AS series"
            " WHERE series.id = rollup.series_id AND series.team_id = %s AND rollup.grain <> %s",
            [team_id, QUARTERS.number],
        )


def drop_days(zone_id: int) -> None:
    """Forget a zone with its days and months."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM usage_usagerollup WHERE grain IN (%s, %s)", [2 * zone_id, 2 * zone_id + 1]
        )
        cursor.execute("DELETE FROM usage_usagezone WHERE id = %s", [zone_id])


def teams() -> list[UUID]:
    """List the teams that have sums."""
    return list(UsageSeries.across_teams.filter(slice=0).values_list("team_id", flat=True))


def requests() -> int:
    """Count the requests that are in the sums."""
    totals = UsageRollup.across_teams.filter(grain=HOURS.number, series__slice=0)
    count: int = totals.aggregate(count=Coalesce(Sum("requests"), 0))["count"]
    return count


def build_coarser(team_id: UUID) -> None:
    """Make the team's hours, days and months, of which there are none, of its quarter-hours."""
    zones.begin({team_id})
    _coarsen_all(team_id, HOURS, whole=(SUMS, QUARTERS))
    for zone_id, name in UsageZone.across_teams.filter(team_id=team_id).values_list("id", "name"):
        build_days(team_id, zone_id, name)


def build_days(team_id: UUID, zone_id: int, name: str) -> None:
    """Make the team's days and months of a zone, of which there are none."""
    months, days = zones.days_and_months(zone_id, name)
    starts = spans(team_id, days)
    if not starts:
        return
    with connection.cursor() as cursor:
        cursor.execute(IN_BULK)
        cursor.execute(
            FULL_DAYS, {"team_id": team_id, "grain": days.number, "starts": list(starts)}
        )
        cursor.execute("ANALYZE usage_full_days")
    _coarsen_all(team_id, days, whole=("usage_full_days", days))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE usage_full_days")
    starts = spans(team_id, months)
    for slice_ in SLICES[Size.MONTH]:
        _coarsen(team_id, (SUMS, days), slice_, months, slice_, starts)


def _coarsen_all(team_id: UUID, grain: Grain, *, whole: Source) -> None:
    """Make all slices of a grain, each of the smallest that has what it needs."""
    starts, slices = spans(team_id, grain), SLICES[grain.size]
    made: list[int] = []
    while len(made) < len(slices):
        ready = [one for one in slices if one not in made and _parent(one, slices) in {None, *made}]
        for slice_ in ready:
            parent = _parent(slice_, slices)
            source, of = (whole, FULL) if parent is None else ((SUMS, grain), parent)
            _coarsen(team_id, source, of, grain, slice_, starts)
        made += ready
        with connection.cursor() as cursor:
            # PostgreSQL would take what is new for a handful of rows, and join them one by one.
            cursor.execute("ANALYZE usage_usagerollup")


def _parent(slice_: int, slices: Sequence[int]) -> int | None:
    parent = PARENTS.get(slice_)
    return parent if parent in slices else None


def _coarsen(
    team_id: UUID,
    source: Source,
    parent: int,
    grain: Grain,
    slice_: int,
    starts: Sequence[datetime],
) -> None:
    if not starts:
        return
    table, finer = source
    with connection.cursor() as cursor:
        cursor.execute(IN_BULK)
        cursor.execute(
            COARSER.format(source=table, same_values=same_values_of(slice_)),
            {
                "team_id": team_id,
                "finer": finer.number,
                "parent": parent,
                "grain": grain.number,
                "slice": slice_,
                "starts": list(starts),
            },
        )


def spans(team_id: UUID, grain: Grain) -> list[datetime]:
    """List the starts of the spans in which the team has requests."""
    with connection.cursor() as cursor:
        cursor.execute(RANGE, {"team_id": team_id, "slice": FULL, "grain": QUARTERS.number})
        first, last = cursor.fetchone()
    return list(_starts(grain, first, last)) if first else []


def _starts(grain: Grain, first: datetime, last: datetime) -> Iterator[datetime]:
    start = grain.start_of(first)
    while start <= last:
        yield start
        start = grain.after(start)
