"""Sums by hour, of blocks of requests that nothing is added to any more.

A block is the requests of whose numbers `seq // BLOCK` is the same. Once the watermark has passed
it, its sums are always the same, so that to sum it twice, after a crash, writes the same rows.
"""

from collections.abc import Collection
from typing import Final

from usage.rules import Dimension, Sums
from usage.stores.clickhouse.connection import ClickHouse
from usage.stores.clickhouse.tables import BLOCK_TYPES, BLOCKS, DIMENSIONS, EVENTS, HOURS

BLOCK: Final = 2**18
# The number of what was summed before it came here; numbers of requests begin with 1.
OLDEST: Final = 0
# Before the first block.
NONE: Final = -1

# By their numbers: which dimensions sums are kept of; the smaller the sooner. Addresses are asked
# of the requests: so many sums of them would be hardly fewer.
SLICES: Final[tuple[tuple[Dimension, ...], ...]] = (
    (),
    (Dimension.CLUSTER,),
    (Dimension.MODEL,),
    (Dimension.API_KEY,),
    (Dimension.API_KEY, Dimension.MODEL, Dimension.CLUSTER),
)

# The requests of a block.
RANGE: Final = "seq > {after:Int64} AND seq <= {upto:Int64}"
_VALUES: Final = [DIMENSIONS[dimension] for dimension in SLICES[-1]]
_SETS: Final = [[DIMENSIONS[dimension] for dimension in dimensions] for dimensions in SLICES]
# `grouping` tells which set a row is of: a bit for each of the values that it is not grouped by.
_NUMBERS: Final = {
    sum(2**place for place, value in enumerate(reversed(_VALUES)) if value not in values): number
    for number, values in enumerate(_SETS)
}
SUM: Final = f"""
    INSERT INTO {HOURS} (team_id, hour, upto, {", ".join([*_VALUES, *Sums._fields])}, slice)
    SELECT team_id, toStartOfHour(at) AS start, {{upto:Int64}},
        {", ".join([*_VALUES, *(f"sum({name})" for name in Sums._fields)])},
        transform(
            grouping({", ".join(_VALUES)}), {list(_NUMBERS)}, {list(_NUMBERS.values())}
        )
    FROM {EVENTS} FINAL
    WHERE {RANGE}
        AND at >= toDateTime({{first:UInt32}}, 'UTC') AND at <= toDateTime({{last:UInt32}}, 'UTC')
    GROUP BY GROUPING SETS (
        {", ".join(f"({', '.join(['team_id', 'start', *values])})" for values in _SETS)}
    )
"""


def smallest(dimensions: Collection[Dimension]) -> int | None:
    """Find the slice that can tell these dimensions apart, if there is one."""
    wanted = set(dimensions)
    return next((number for number, has in enumerate(SLICES) if wanted.issubset(has)), None)


def summed_upto(ch: ClickHouse, fed_seq: int) -> int:
    """Say up to which number the requests are in the sums, as it was when `fed_seq` was reached."""
    ((blocks, upto),) = ch.read(
        f"SELECT count(), max(upto) FROM {BLOCKS} WHERE upto <= {{fed:Int64}}",
        {"fed": fed_seq},
    )
    return int(upto) if blocks else NONE


def sum_finished(ch: ClickHouse, fed_seq: int) -> None:
    """Sum the blocks that the watermark has passed. The caller holds the feed's lock."""
    upto = summed_upto(ch, fed_seq) + BLOCK
    while upto <= fed_seq:
        block = {"after": upto - BLOCK, "upto": upto}
        # Where its rows are: to read copies as one, ClickHouse does not look at their numbers.
        ((first, last),) = ch.read(
            "SELECT toUnixTimestamp(min(at)), toUnixTimestamp(max(at))"
            f" FROM {EVENTS} WHERE {RANGE}",
            block,
        )
        ch.run(SUM, {**block, "first": first, "last": last})
        # Last: until then the requests themselves are read.
        ch.insert(BLOCKS, [[upto]], BLOCK_TYPES)
        upto += BLOCK
