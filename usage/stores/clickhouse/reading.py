"""Asking ClickHouse what a team's requests came to."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from usage.rules import Dimension, Filter, Question, Sums, reads
from usage.stores.clickhouse import blocks
from usage.stores.clickhouse.connection import ClickHouse
from usage.stores.clickhouse.tables import DIMENSIONS, EVENTS, HOURS

HOUR_SECONDS: Final = 3600
# ClickHouse takes no parameter of more than 128 KiB by HTTP, and escapes make a value longer.
PARAMETER_BYTES: Final = 2**15
# DateTime begins with 1970 and ends in 2106.
LAST_SECOND: Final = 2**32 - 1


def sums(
    ch: ClickHouse, question: Question, fed_seq: int
) -> Iterator[tuple[tuple[int, str], Sums]]:
    """Sum what was fed up to a number: some keys of the answer come twice, to be added up."""
    dimensions = {wanted.dimension for wanted in question.filters}
    if question.group:
        dimensions.add(question.group)
    slice_ = blocks.smallest(dimensions)
    by_hour = all(start.timestamp() % HOUR_SECONDS == 0 for start in question.starts)
    after = blocks.NONE
    if slice_ is not None and by_hour:
        after = blocks.summed_upto(ch, fed_seq)
        if after > blocks.NONE:
            which = "slice = {slice:UInt8} AND upto <= {after:Int64}"
            yield from _asked(ch, question, HOURS, "hour", which, {"slice": slice_, "after": after})
    which = "seq > {after:Int64} AND seq <= {fed:Int64}"
    yield from _asked(ch, question, EVENTS, "at", which, {"after": after, "fed": fed_seq})


def _asked(
    ch: ClickHouse, question: Question, table: str, at: str, which: str, parameters: dict[str, Any]
) -> Iterator[tuple[tuple[int, str], Sums]]:
    seconds = [_second(start) for start in question.starts]
    parameters |= {"team": question.team_id, "first": seconds[0], "last": seconds[-1]}
    conditions = [
        "team_id = {team:UUID}",
        f"{at} >= toDateTime({{first:UInt32}}, 'UTC')",
        f"{at} < toDateTime({{last:UInt32}}, 'UTC')",
        which,
        *(_condition(wanted, parameters) for wanted in question.filters),
    ]
    span, text = "{first:UInt32}", "''"
    if len(seconds) > 2:  # noqa: PLR2004 -- one span needs no look
        # All but the last of them: it ends the last span.
        span, parameters["starts"] = (
            f"roundDown(toUnixTimestamp({at}), {{starts:Array(UInt32)}})",
            seconds[:-1],
        )
    if question.group:
        text = f"toString({DIMENSIONS[question.group]})"
    measures = ", ".join(f"sum({name})" for name in question.columns)
    rows = ch.read(
        f"SELECT {span} AS span, {text} AS text, {measures} FROM {table} FINAL"
        f" WHERE {' AND '.join(conditions)} GROUP BY span, text",
        parameters,
    )
    numbers = {second: number for number, second in enumerate(seconds[:-1])}
    read = reads(question.columns)
    for second, value, *row in rows:
        yield (numbers[second], value), read(row)


def _second(start: datetime) -> int:
    return min(max(int(start.timestamp()), 0), LAST_SECOND)


def _condition(wanted: Filter, parameters: dict[str, Any]) -> str:
    """Write a filter, and add its values to the parameters."""
    column, type_, values = DIMENSIONS[wanted.dimension], "String", sorted(wanted.values)
    if wanted.dimension is Dimension.API_KEY:
        type_, values = "UUID", [value for value in values if _is_id(value)]
    among = []
    for piece in _pieces(values):
        name = f"values_{len(parameters)}"
        parameters[name] = piece
        among.append(f"{column} IN {{{name}:Array({type_})}}")
    condition = f"({' OR '.join(among) or '0'})"
    return f"NOT {condition}" if wanted.is_not else condition


def _is_id(value: str) -> bool:
    """Tell whether it is the text of a key's id: another way to write it is another text."""
    try:
        return str(UUID(value)) == value
    except ValueError:
        return False


def _pieces(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Split values into lists that ClickHouse takes as parameters."""
    piece: list[str] = []
    size = 0
    for value in values:
        size += len(value.encode(errors="replace")) + 3
        if piece and size > PARAMETER_BYTES:
            yield piece
            piece, size = [], len(value.encode(errors="replace")) + 3
        piece.append(value)
    if piece:
        yield piece
