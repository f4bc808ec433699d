"""Answering questions: from the sums, and from the events that are not in them yet."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from django.db import connection

from usage.models import UsageFeed
from usage.rules import (
    LONGEST_REQUEST,
    Answer,
    Dimension,
    Grain,
    Piece,
    Question,
    Size,
    Sums,
    cover,
    first_id,
    reads,
)
from usage.stores import StoreUnavailableError
from usage.stores.postgres.slices import (
    ALWAYS,
    EVENT_TEXTS,
    HOURS,
    NAME,
    QUARTERS,
    VALUE_COLUMNS,
    of_events,
    of_sums,
    smallest,
)
from usage.stores.postgres.zones import days_and_months

Texts: TypeAlias = Mapping[Dimension, frozenset[str]]

STATE: Final = """
    SELECT
        coalesce((SELECT fed_seq FROM usage_usagefeed WHERE store = %s), 0),
        (SELECT fed_at FROM usage_usagefeed WHERE store = %s),
        (SELECT id FROM usage_usagezone WHERE team_id = %s AND name = %s),
        (SELECT id FROM usage_usagezone WHERE team_id = %s AND name = %s)
"""
# A number of a span that no question has.
STATE_ROW: Final = -1
# What takes as long to pass over as to begin again behind it: some thirty sums.
BETWEEN: Final = {
    Size.QUARTER: timedelta(hours=8),
    Size.HOUR: timedelta(days=1),
    Size.DAY: timedelta(days=31),
    Size.MONTH: timedelta(days=1000),
}
# The feed goes on once a minute, and zones change once an hour.
TRIES: Final = 10


def query(question: Question) -> Answer:
    """Answer from the database as it is at one moment, in two statements.

    Raises StoreUnavailableError if what the first one found is never what the second one finds.
    """
    asked = _Asked(question)
    if asked.is_empty:
        return {}
    for _ in range(TRIES):
        state = _state(question)
        rows = _run(asked.sql(state))
        # Parts of one statement come in any order.
        (found,) = ((fed_seq, zones) for _, span, zones, fed_seq, *_ in rows if span == STATE_ROW)
        if found == (state.fed_seq, "1" if state.zone_id else "0"):
            return _answer(question, [row for row in rows if row[1] != STATE_ROW])
        # The feed went on between the two, so the newest events would be counted twice; or the
        # zone is no longer kept, so its days would be missed.
    raise StoreUnavailableError


def of_tail(question: Question, *, after: UsageFeed) -> Answer:
    """Answer from those events alone that are not in the store that was fed so far."""
    asked = _Asked(question)
    if asked.is_empty:
        return {}
    return _answer(question, _run(asked.tail(after.fed_seq, after.fed_at)))


class _State(NamedTuple):
    """How far the store is fed, and the zone whose days and months it can answer with, or 0."""

    fed_seq: int
    fed_at: datetime | None
    zone_id: int
    zone: str


def _state(question: Question) -> _State:
    team_id, zone = question.team_id, question.zone.key
    with connection.cursor() as cursor:
        cursor.execute(STATE, [NAME, NAME, team_id, zone, team_id, ALWAYS])
        fed_seq, fed_at, own, always = cursor.fetchone()
    kept = (own, zone) if own else (always or 0, ALWAYS)
    return _State(fed_seq, fed_at, *kept)


def _run(statement: tuple[str, list[Any]]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(*statement)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _answer(question: Question, rows: Sequence[tuple[Any, ...]]) -> Answer:
    answer: dict[tuple[int, str], Sums] = {}
    read = reads(question.columns)
    for sign, span, text, *measures in rows:
        key, sums = (span, text), read(measures)
        before = answer.get(key)
        if sign > 0:
            answer[key] = before.plus(sums) if before else sums
        else:
            answer[key] = (before or Sums()).minus(sums)
    # Of what is not taken away from, nothing is nought.
    has_noughts = any(row[0] < 0 for row in rows)
    return {key: sums for key, sums in answer.items() if sums.requests} if has_noughts else answer


class _Asked:
    """A question taken apart into sums over few series that are added and subtracted."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.include: dict[Dimension, frozenset[str]] = {}
        self.exclude: dict[Dimension, frozenset[str]] = {}
        for wanted in question.filters:
            name, values = wanted.dimension, wanted.values
            if wanted.is_not:
                self.exclude[name] = self.exclude.get(name, frozenset()) | values
            else:
                self.include[name] = self.include.get(name, values) & values
        for name in self.include.keys() & self.exclude.keys():
            self.include[name] -= self.exclude.pop(name)
        self.exclude = {name: values for name, values in self.exclude.items() if values}
        self.is_empty = not all(self.include.values())

    def sql(self, state: _State) -> tuple[str, list[Any]]:
        """Write one statement: a row has the state as it is then, the others are signed sums."""
        parts = [self._state_row(state), self.tail(state.fed_seq, state.fed_at)]
        if state.zone_id:  # Else the team has nothing in the store.
            parts += self._kept(days_and_months(state.zone_id, state.zone))
        return (
            " UNION ALL ".join(sql for sql, _ in parts),
            [value for _, values in parts for value in values],
        )

    def _state_row(self, state: _State) -> tuple[str, list[Any]]:
        noughts = ", 0::bigint" * (len(self.question.columns) - 1)
        return (
            (
                f"SELECT 1 AS sign, {STATE_ROW} AS span,"
                " (SELECT count(*) FROM usage_usagezone WHERE id = %s)::text AS text,"
                " coalesce((SELECT fed_seq FROM usage_usagefeed WHERE store = %s), 0) AS requests"
                f"{noughts}"
            ),
            [state.zone_id, NAME],
        )

    def tail(self, fed_seq: int, fed_at: datetime | None) -> tuple[str, list[Any]]:
        """Write a statement about the events that are not in the sums, which were fed at a time.

        By their ids, PostgreSQL passes over all months before. What comes later than it can is
        shown once it is fed.
        """
        starts = self.question.starts
        group = self.question.group
        conditions = ["event.seq > %s AND event.team_id = %s AND event.at >= %s AND event.at < %s"]
        values: list[Any] = [_array(starts), fed_seq, self.question.team_id, starts[0], starts[-1]]
        conditions.append("event.id >= %s")
        values.append(_first_unfed(fed_at))
        for names, operator in ((self.include, "= ANY"), (self.exclude, "<> ALL")):
            for name, texts in names.items():
                conditions.append(f"{EVENT_TEXTS[name]} {operator}(%s)")
                values.append(list(texts))
        return (
            (
                "SELECT 1, width_bucket(event.at, %s::timestamptz[]) - 1,"
                f" {EVENT_TEXTS[group] if group else repr('')}::text,"
                f" {of_events(self.question.columns)}"
                f" FROM usage_usageevent AS event WHERE {' AND '.join(conditions)} GROUP BY 2, 3"
            ),
            values,
        )

    def _kept(self, days: Sequence[Grain]) -> Iterator[tuple[str, list[Any]]]:
        for sign, include in self._terms():
            dimensions = set(include)
            if self.question.group:
                dimensions.add(self.question.group)
            slices = {grain: smallest(grain.size, dimensions) for grain in (*days, HOURS, QUARTERS)}
            grains = tuple(grain for grain, slice_ in slices.items() if slice_ is not None)
            pieces = cover(self.question.starts, grains)
            for grain in grains:
                found = [piece for piece in pieces if piece.grain == grain]
                if found:
                    yield self._part(sign, include, slices[grain] or 0, found)

    def _terms(self) -> list[tuple[int, Texts]]:
        """Turn "is not" into all minus what is, as the sums of the others are many.

        Only where requests are told apart by the same, the others are read anyway.
        """
        terms: list[tuple[int, Texts]] = [(1, self.include)]
        for name, texts in self.exclude.items():
            if name is not self.question.group:
                terms += [(-sign, {**include, name: texts}) for sign, include in terms]
        return terms

    def _part(
        self, sign: int, include: Texts, slice_: int, pieces: Sequence[Piece]
    ) -> tuple[str, list[Any]]:
        """Write the sums of one slice and grain, however many pieces of time they are of."""
        team_id, starts, group = self.question.team_id, self.question.starts, self.question.group
        columns = self.question.columns
        measures = ", ".join(columns)
        span, values = _span_of(pieces, starts)
        conditions = ["series.team_id = %s AND series.slice = %s"]
        of_series: list[Any] = [team_id, slice_]
        known = [(name, texts, "= ANY") for name, texts in include.items()]
        if group in self.exclude:
            known.append((group, self.exclude[group], "<> ALL"))
        for name, texts, operator in known:
            conditions.append(
                f"series.{VALUE_COLUMNS[name]} {operator}(ARRAY("
                "SELECT id FROM usage_usagevalue"
                " WHERE team_id = %s AND dimension = %s AND text = ANY(%s)))"
            )
            of_series += [team_id, name.value, list(texts)]
        value = f"series.{VALUE_COLUMNS[group]}" if group else "0"
        sums = (
            f"SELECT {span} AS span, {value} AS value, {of_sums('rollup', columns)}"
            " FROM usage_usageseries AS series CROSS JOIN LATERAL ("
            f"SELECT one.start, {measures}"
            " FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS run (first, after)"
            " JOIN usage_usagerollup AS one ON one.grain = %s AND one.series_id = series.id"
            # OFFSET has them read series by series: at once, all teams' would be read.
            " AND one.start >= run.first AND one.start < run.after OFFSET 0) AS rollup"
            f" WHERE {' AND '.join(conditions)}"
        )
        runs = _runs(pieces)
        values += [*map(_array, zip(*runs, strict=True)), pieces[0].grain.number, *of_series]
        if len(pieces) > len(runs):
            # Between the pieces are gaps, so the odd ones of all these spans are pieces.
            sums += " AND width_bucket(rollup.start, %s::timestamptz[]) %% 2 = 1"
            values.append(_array(edge for piece in pieces for edge in (piece.start, piece.end)))
        sums += " GROUP BY 1, 2"
        if not group:
            return (
                f"SELECT {sign}, span, '', {measures} FROM ({sums}) AS sums",
                values,
            )
        return (
            (
                f"SELECT {sign}, span, value.text, {measures} FROM ({sums}) AS sums"
                " JOIN usage_usagevalue AS value ON value.id = sums.value"
            ),
            values,
        )


def _runs(pieces: Sequence[Piece]) -> list[tuple[datetime, datetime]]:
    """Join pieces to what is read at once, where so little is between them that it is as well."""
    runs = [(pieces[0].start, pieces[0].end)]
    for piece in pieces[1:]:
        first, after = runs[-1]
        if piece.start - after <= BETWEEN[piece.grain.size]:
            runs[-1] = (first, piece.end)
        else:
            runs.append((piece.start, piece.end))
    return runs


def _array(moments: Iterable[datetime]) -> str:
    """Write an array, which psycopg would do value by value, at a tenth of its pace."""
    return f"{{{','.join(map(datetime.isoformat, moments))}}}"


def _first_unfed(fed_at: datetime | None) -> UUID:
    """Say which id no request is below that was written after this time, or ever."""
    return first_id(fed_at - LONGEST_REQUEST) if fed_at else UUID(int=0)


def _span_of(pieces: Sequence[Piece], starts: Sequence[datetime]) -> tuple[str, list[Any]]:
    """Write which span a row is in, in SQL: the same for all, if the pieces are in one."""
    first = bisect_right(starts, pieces[0].start)
    if pieces[-1].end <= starts[first]:
        return str(first - 1), []
    return "width_bucket(rollup.start, %s::timestamptz[]) - 1", [_array(starts)]


def values(
    team_id: UUID, dimension: Dimension, *, mark: UsageFeed, search: str, limit: int
) -> list[str]:
    """List the newest values first; those of events that are not in the sums before all others."""
    text = EVENT_TEXTS[dimension]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT text FROM (
                SELECT {text} AS text, max(event.at) AS at FROM usage_usageevent AS event
                WHERE event.seq > %(fed_seq)s AND event.id >= %(first_id)s
                    AND event.team_id = %(team_id)s
                    AND strpos(lower({text}), lower(%(search)s)) > 0
                GROUP BY 1
                UNION ALL (
                SELECT text, last_used_at FROM usage_usagevalue
                WHERE team_id = %(team_id)s AND dimension = %(dimension)s
                    AND strpos(lower(text), lower(%(search)s)) > 0
                ORDER BY last_used_at DESC, id DESC
                LIMIT %(limit)s)
            ) AS found
            GROUP BY text ORDER BY max(at) DESC, text LIMIT %(limit)s
            """,
            {
                "fed_seq": mark.fed_seq,
                "first_id": _first_unfed(mark.fed_at),
                "team_id": team_id,
                "dimension": dimension.value,
                "search": search,
                "limit": limit,
            },
        )
        return [text for (text,) in cursor.fetchall()]
