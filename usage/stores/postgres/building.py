"""Building sums anew, in bulk: one GROUP BY for each grain and slice instead of one for each chunk.

The caller holds the feed's lock, so what is in the sums does not grow meanwhile.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection

from usage.models import UsageSeries, UsageZone
from usage.rules import Grain, Size
from usage.stores.postgres import zones
from usage.stores.postgres.slices import (
    CLUSTER,
    DAY_SLICES,
    EVENT_TEXTS,
    FULL,
    HOUR_SLICES,
    HOURS,
    IP,
    KEY,
    MEASURE_LIST,
    MODEL,
    QUARTERS,
    SLICE_BITS,
    SLICES,
    VALUE_COLUMNS,
    of_events,
    of_sums,
    same_values,
)
from usage.stores.postgres.writing import SERIES

# What sorting and grouping may take, each time: a statement that has less writes to disk.
IN_BULK: Final = "SET LOCAL work_mem = '512MB'"
# PostgreSQL would take what is new for a handful of rows, and join them one by one.
AT_ONCE: Final = f"{IN_BULK}; SET LOCAL enable_nestloop = off"

# Of which smaller sums of its grain a slice is made, if they are kept; else of the full slice's.
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
    INSERT INTO usage_usagerollup (grain, series_id, start, {MEASURE_LIST})
    SELECT {QUARTERS.number}, series.series_id, date_bin('15 minutes', event.at, 'epoch'),
        {of_events()}
    FROM usage_usageevent AS event
    JOIN usage_full_series AS series USING (team_id, api_key_id, model, cluster, ip)
    WHERE event.seq <= %(upto)s
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
"""
# Of each series the first and the last: an index has them at hand.
RANGE: Final = f"""
    SELECT min(edge.first), max(edge.last)
    FROM usage_usageseries AS series CROSS JOIN LATERAL (
        SELECT min(start) AS first, max(start) AS last FROM usage_usagerollup
        WHERE grain = {QUARTERS.number} AND series_id = series.id
    ) AS edge
    WHERE series.team_id = ANY(%(teams)s) AND series.slice = {FULL}
"""
GRAINS: Final = {
    Size.QUARTER: str(QUARTERS.number),
    Size.HOUR: str(HOURS.number),
    Size.DAY: "2 * zone.id",
    Size.MONTH: "2 * zone.id + 1",
}
# When the span began that a finer one is in. Days and months are counted in Python, as the database
# may know other rules of time zones than the pages.
LOCAL_START: Final = (
    "(%(starts)s::timestamptz[])[width_bucket(rollup.start, %(starts)s::timestamptz[])]"
)
STARTS: Final = {
    Size.QUARTER: "rollup.start",
    Size.HOUR: "date_bin('1 hour', rollup.start, 'epoch')",
    Size.DAY: LOCAL_START,
    Size.MONTH: LOCAL_START,
}
# Sums series by series, in the order that they lie in: at once, all teams' would be read for one.
KEPT: Final = f"""
    CROSS JOIN LATERAL (
        SELECT start, {MEASURE_LIST} FROM usage_usagerollup
        WHERE grain = line.finer AND series_id = line.parent_id
        OFFSET 0
    ) AS rollup
"""
# Most of days is made of it: there is far less of it than of quarter-hours.
FULL_DAYS: Final = f"""
    CREATE TEMPORARY TABLE usage_full_days ON COMMIT DROP AS
    SELECT line.parent_id AS series_id, {LOCAL_START} AS start, {of_sums("rollup")}
    FROM (
        SELECT id AS parent_id, {QUARTERS.number} AS finer FROM usage_usageseries
        WHERE team_id = ANY(%(teams)s) AND slice = {FULL} ORDER BY id
    ) AS line {KEPT}
    GROUP BY 1, 2
"""
OF_FULL_DAYS: Final = "JOIN usage_full_days AS rollup ON rollup.series_id = line.parent_id"
MADE: Final = f"""
    INSERT INTO usage_usagerollup (grain, series_id, start, {MEASURE_LIST})
    SELECT line.grain, line.child_id, {{start}}, {of_sums("rollup")}
    FROM (
        SELECT parent.id AS parent_id, child.id AS child_id, {{grain}} AS grain, {{finer}} AS finer
        FROM usage_usageseries AS parent
        JOIN usage_usageseries AS child
            ON child.team_id = parent.team_id AND child.slice = %(slice)s AND {{same_values}}
        LEFT JOIN usage_usagezone AS zone
            ON zone.team_id = parent.team_id AND zone.name = %(zone)s
        WHERE parent.team_id = ANY(%(teams)s) AND parent.slice = %(parent)s
        ORDER BY parent.id
    ) AS line {{source}}
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
        cursor.execute(AT_ONCE)
        cursor.execute(COMBINATIONS, {"upto": upto})
        cursor.execute(VALUES)
        cursor.execute(NUMBERED)
        cursor.execute(SERIES.format(combinations="SELECT * FROM usage_numbered"))
        cursor.execute("ANALYZE usage_usagevalue, usage_usageseries")
        cursor.execute(FULL_SERIES)
        cursor.execute("ANALYZE usage_full_series")
        cursor.execute(QUARTER_SUMS, {"upto": upto})
        for table in ("usage_combination", "usage_numbered", "usage_full_series"):
            cursor.execute(f"DROP TABLE {table}")
        cursor.execute("SET LOCAL enable_nestloop = on; ANALYZE usage_usagerollup")


def clear_all() -> None:
    """Forget all sums, with their dictionary. Who reads meanwhile goes on seeing them."""
    with connection.cursor() as cursor:
        for table in ("usage_usagerollup", "usage_usageseries", "usage_usagevalue"):
            cursor.execute(f"DELETE FROM {table}")


def clear_coarser(team_id: UUID) -> None:
    """Forget the team's sums but for those of which all others can be made."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM usage_usagerollup AS rollup USING usage_usageseries AS series"
            " WHERE series.id = rollup.series_id AND series.team_id = %s"
            " AND NOT (rollup.grain = %s AND series.slice = %s)",
            [team_id, QUARTERS.number, FULL],
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


def build_coarser(team_ids: Collection[UUID]) -> None:
    """Make the teams' other sums, of which there are none, of those that have all of a request."""
    zones.begin(team_ids)
    _make_slices(team_ids, Size.QUARTER)
    for slice_ in HOUR_SLICES:
        _make(team_ids, slice_, Size.HOUR, of=Size.QUARTER)
    teams_of: dict[str, list[UUID]] = {}
    kept = UsageZone.across_teams.filter(team_id__in=team_ids).order_by("name", "team_id")
    for name, team_id in kept.values_list("name", "team_id"):
        teams_of.setdefault(name, []).append(team_id)
    for name, teams_there in teams_of.items():
        build_days(teams_there, name)


def build_days(team_ids: Collection[UUID], zone: str) -> None:
    """Make the days and months, of which there are none, of teams that have this zone."""
    months, days = zones.days_and_months(0, zone)
    starts = spans(team_ids, days)
    if not starts:
        return
    with connection.cursor() as cursor:
        cursor.execute(IN_BULK)
        cursor.execute(FULL_DAYS, {"teams": list(team_ids), "starts": starts})
        cursor.execute("ANALYZE usage_full_days")
        _make_slices(team_ids, Size.DAY, zone=zone, starts=starts)
        cursor.execute("DROP TABLE usage_full_days")
    starts = spans(team_ids, months)
    for slice_ in DAY_SLICES:
        _make(team_ids, slice_, Size.MONTH, of=Size.DAY, zone=zone, starts=starts)


def _make_slices(
    team_ids: Collection[UUID], size: Size, *, zone: str = "", starts: Sequence[datetime] = ()
) -> None:
    """Make the slices of a size, each of the smallest that has what it needs."""
    slices = [one for one in SLICES[size] if one != FULL]
    # Those of more dimensions first, as others are made of them.
    for slice_ in sorted(slices, key=int.bit_count, reverse=True):
        parent = PARENTS.get(slice_)
        if parent not in slices:
            parent = FULL
        _make(team_ids, slice_, size, of=size, parent=parent, zone=zone, starts=starts)


def _make(
    team_ids: Collection[UUID],
    slice_: int,
    size: Size,
    *,
    of: Size,
    parent: int | None = None,
    zone: str = "",
    starts: Sequence[datetime] = (),
) -> None:
    """Make a slice of sums of finer ones, of the same slice or of its `parent`.

    Days and months are of a zone, and need its `starts`.
    """
    parent = slice_ if parent is None else parent
    statement = MADE.format(
        grain=GRAINS[size],
        finer=GRAINS[of],
        start=STARTS[size],
        same_values=same_values_of(slice_),
        source=OF_FULL_DAYS if (of, parent) == (Size.DAY, FULL) else KEPT,
    )
    with connection.cursor() as cursor:
        cursor.execute(IN_BULK)
        cursor.execute(
            statement,
            {
                "teams": list(team_ids),
                "slice": slice_,
                "parent": parent,
                "zone": zone,
                "starts": list(starts),
            },
        )


def spans(team_ids: Collection[UUID], grain: Grain) -> list[datetime]:
    """List the starts of the spans from the first to the last with requests of these teams."""
    with connection.cursor() as cursor:
        cursor.execute(RANGE, {"teams": list(team_ids)})
        first, last = cursor.fetchone()
    return list(_starts(grain, first, last)) if first else []


def _starts(grain: Grain, first: datetime, last: datetime) -> Iterator[datetime]:
    start = grain.start_of(first)
    while start <= last:
        yield start
        start = grain.after(start)
