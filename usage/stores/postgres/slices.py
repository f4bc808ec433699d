"""Which sums are kept: of which dimensions, in which grains; and the words of SQL for them."""

from collections.abc import Collection, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from usage.rules import FAILURE_STATUS, Dimension, Grain, Size, Sums

NAME: Final = "postgres"

# What a dimension is in UsageSeries.slice; the column of its value in UsageSeries; and its text in
# an event.
SLICE_BITS: Final = {
    Dimension.API_KEY: 1,
    Dimension.MODEL: 2,
    Dimension.CLUSTER: 4,
    Dimension.IP: 8,
}
VALUE_COLUMNS: Final = {
    Dimension.API_KEY: "key_value",
    Dimension.MODEL: "model_value",
    Dimension.CLUSTER: "cluster_value",
    Dimension.IP: "ip_value",
}
EVENT_TEXTS: Final = {
    Dimension.API_KEY: "event.api_key_id::text",
    Dimension.MODEL: "event.model",
    Dimension.CLUSTER: "event.cluster",
    Dimension.IP: "host(event.ip)",
}


def slice_of(dimensions: Collection[Dimension]) -> int:
    return sum(SLICE_BITS[dimension] for dimension in dimensions)


KEY, MODEL, CLUSTER, IP = SLICE_BITS.values()
FULL: Final = KEY | MODEL | CLUSTER | IP
# The smaller the sooner: a question is answered from the first that has its dimensions.
HOUR_SLICES: Final = (0, CLUSTER, MODEL, KEY, MODEL | CLUSTER)
DAY_SLICES: Final = (
    0,
    CLUSTER,
    MODEL,
    KEY,
    IP,
    MODEL | CLUSTER,
    KEY | CLUSTER,
    KEY | MODEL,
    CLUSTER | IP,
    KEY | IP,
    MODEL | IP,
    KEY | MODEL | CLUSTER,
)
SLICES: Final = {
    # The others are made of the full one, and answer what it does not answer sooner: its series are
    # many, but few have all that a question about three dimensions names.
    Size.QUARTER: (*HOUR_SLICES, FULL),
    Size.HOUR: HOUR_SLICES,
    Size.DAY: DAY_SLICES,
    Size.MONTH: DAY_SLICES,
}

# Kept for every team, whatever zones its members are in.
ALWAYS: Final = "UTC"
QUARTERS: Final = Grain(0, Size.QUARTER, ZoneInfo(ALWAYS))
HOURS: Final = Grain(1, Size.HOUR, ZoneInfo(ALWAYS))

MEASURES: Final = Sums._fields
MEASURE_LIST: Final = ", ".join(MEASURES)


def of_events(names: Sequence[str] = MEASURES) -> str:
    """Write how measures add up of rows that are events."""
    counted = {
        "requests": "count(*)",
        "failed": f"count(*) FILTER (WHERE event.status >= {FAILURE_STATUS})",
    }
    return ", ".join(f"{counted.get(name, f'usage_sum(event.{name})')} AS {name}" for name in names)


def of_sums(table: str, names: Sequence[str] = MEASURES) -> str:
    """Write how measures add up of rows that are sums already."""
    return ", ".join(f"usage_sum({table}.{name}) AS {name}" for name in names)


def smallest(size: Size, dimensions: Collection[Dimension]) -> int | None:
    """Find the slice to ask about these dimensions, if there is one of this size."""
    wanted = slice_of(dimensions)
    return next((found for found in SLICES[size] if wanted & ~found == 0), None)


# The series of `slice` that a row of the full slice, under `name`, adds to.
def same_values(series: str, full: str, slice_: str) -> str:
    return " AND ".join(
        f"{series}.{column} = CASE WHEN {slice_} & {SLICE_BITS[dimension]} > 0"
        f" THEN {full}.{column} ELSE 0 END"
        for dimension, column in VALUE_COLUMNS.items()
    )
