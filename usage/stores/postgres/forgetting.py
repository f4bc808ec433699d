"""Forgetting from where a team's requests came, in the sums."""

from typing import Any, Final
from uuid import UUID

from django.db import connection

from accounts.actors import UNKNOWN_IP
from usage.rules import Dimension
from usage.stores.postgres.slices import MEASURE_LIST, SLICE_BITS, VALUE_COLUMNS, of_sums
from usage.stores.postgres.writing import ADD

OTHERS: Final = ", ".join(
    column for dimension, column in VALUE_COLUMNS.items() if dimension is not Dimension.IP
)
PARAMETERS: Final = {"dimension": Dimension.IP.value, "unknown": UNKNOWN_IP}

UNKNOWN: Final = """
    INSERT INTO usage_usagevalue (team_id, dimension, text, last_used_at)
    SELECT team_id, dimension, %(unknown)s, max(last_used_at) FROM usage_usagevalue
    WHERE team_id = %(team_id)s AND dimension = %(dimension)s
    GROUP BY 1, 2
    ON CONFLICT (team_id, dimension, text) DO UPDATE SET last_used_at = EXCLUDED.last_used_at
    RETURNING id
"""
SERIES: Final = f"""
    INSERT INTO usage_usageseries (team_id, slice, {OTHERS}, ip_value)
    SELECT DISTINCT team_id, slice, {OTHERS}, %(value)s FROM usage_usageseries
    WHERE team_id = %(team_id)s AND slice & {SLICE_BITS[Dimension.IP]} > 0
    ON CONFLICT DO NOTHING
"""
ROLLUPS: Final = f"""
    WITH gone AS (
        DELETE FROM usage_usagerollup AS rollup USING usage_usageseries AS series
        WHERE series.id = rollup.series_id AND series.team_id = %(team_id)s
            AND series.slice & {SLICE_BITS[Dimension.IP]} > 0 AND series.ip_value <> %(value)s
        RETURNING series.slice, {OTHERS}, grain, start, {MEASURE_LIST}
    )
    INSERT INTO usage_usagerollup AS kept (grain, series_id, start, {MEASURE_LIST})
    SELECT gone.grain, series.id, gone.start, {of_sums("gone")}
    FROM gone JOIN usage_usageseries AS series USING (slice, {OTHERS})
    WHERE series.team_id = %(team_id)s AND series.ip_value = %(value)s
    GROUP BY 1, 2, 3
    {ADD}
"""
REST: Final = (
    (
        f"DELETE FROM usage_usageseries WHERE team_id = %(team_id)s"
        f" AND slice & {SLICE_BITS[Dimension.IP]} > 0 AND ip_value <> %(value)s"
    ),
    (
        "DELETE FROM usage_usagevalue WHERE team_id = %(team_id)s"
        " AND dimension = %(dimension)s AND id <> %(value)s"
    ),
)


def forget_addresses(team_id: UUID) -> None:
    """Make one sum of those that differed only by their address."""
    parameters: dict[str, Any] = {**PARAMETERS, "team_id": team_id}
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, parameters)
        row = cursor.fetchone()
        if row is None:
            return  # Nothing of the team is in the sums.
        parameters["value"] = row[0]
        for statement in (SERIES, ROLLUPS, *REST):
            cursor.execute(statement, parameters)
