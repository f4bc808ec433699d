"""Sums by hour, of blocks of requests that nothing is added to any more.

A block is the requests of whose numbers `seq // BLOCK` is the same. Once the watermark has passed
it, its sums are always the same, so that to sum it twice, after a crash, writes the same rows.
"""

from collections.abc import Collection
from typing import Final

from usage.rules import Dimension, Sums
from usage.stores.clickhouse.connection import ClickHouse
from usage.stores.clickhouse.tables import BLOCKS, DIMENSIONS, EVENTS, HOURS

BLOCK: Final = 2**18
# Before the first block. Requests that were summed before they came here have the number 0.
NONE: Final = -1

# By their numbers: which dimensions sums are kept of; the smaller the sooner. Addresses are asked
# of the requests: so many sums of them would be hardly fewer.
SLICES: Final[tuple[frozenset[Dimension], ...]] = (
    frozenset(),
    frozenset({Dimension.CLUSTER}),
    frozenset({Dimension.MODEL}),
    frozenset({Dimension.API_KEY}),
    frozenset({Dimension.CLUSTER, Dimension.MODEL, Dimension.API_KEY}),
)


def smallest(dimensions: Collection[Dimension]) -> int | None:
    """Find the slice that can tell these dimensions apart, if there is one."""
    wanted = frozenset(dimensions)
    return next((number for number, has in enumerate(SLICES) if wanted <= has), None)


def summed_upto(ch: ClickHouse, fed_seq: int) -> int:
    """Say up to which number the requests are in the sums, as it was when `fed_seq` was reached."""
    ((blocks, upto),) = ch.read(
        f"SELECT count(), max(upto) FROM {BLOCKS} WHERE upto <= {{fed:Int64}}",  # noqa: S608
        {"fed": fed_seq},
    )
    return int(upto) if blocks else NONE


def sum_finished(ch: ClickHouse, fed_seq: int) -> None:
    """Sum the blocks that the watermark has passed. The caller holds the feed's lock."""
    upto = summed_upto(ch, fed_seq) + BLOCK
    while upto <= fed_seq:
        for slice_, dimensions in enumerate(SLICES):
            ch.run(_summing(slice_, dimensions), {"after": upto - BLOCK, "upto": upto})
        # Last: until then the requests themselves are read.
        ch.insert(BLOCKS, [[upto]], {"upto": "Int64"})
        upto += BLOCK


def _summing(slice_: int, dimensions: Collection[Dimension]) -> str:
    kept = [column for dimension, column in DIMENSIONS.items() if dimension in dimensions]
    return (
        f"INSERT INTO {HOURS} (team_id, slice, hour, upto, {', '.join([*kept, *Sums._fields])})"  # noqa: S608
        f" SELECT team_id, {slice_}, toStartOfHour(at) AS start, {{upto:Int64}},"
        f" {', '.join([*kept, *(f'sum({name})' for name in Sums._fields)])}"
        f" FROM {EVENTS} FINAL WHERE seq > {{after:Int64}} AND seq <= {{upto:Int64}}"
        f" GROUP BY {', '.join(['team_id', 'start', *kept])}"
    )
