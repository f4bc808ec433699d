"""Which sums of whole months, days, hours and quarter-hours a span of time is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from usage.rules.days import quarter_of

QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


class Size(Enum):
    """How long the spans of a grain are."""

    QUARTER = 0
    HOUR = 1
    DAY = 2
    MONTH = 3


@dataclass(frozen=True, slots=True)
class Grain:
    """Sums that are kept of all spans of one size, under a number. Days are those of `zone`."""

    number: int
    size: Size
    zone: ZoneInfo

    def start_of(self, moment: datetime) -> datetime:
        """Say when the span with this moment in it began."""
        if self.size is Size.QUARTER:
            return quarter_of(moment)
        if self.size is Size.HOUR:
            return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        day = moment.astimezone(self.zone).date()
        # A clock that goes back over midnight shows the day before again, which has ended by then.
        if start_of_day(day + DAY, self.zone) <= moment:
            day += DAY
        if self.size is Size.MONTH:
            day = day.replace(day=1)
        return start_of_day(day, self.zone)

    def next_start(self, moment: datetime) -> datetime:
        """Say when the first span begins that has nothing before this moment in it."""
        start = self.start_of(moment)
        return start if start == moment else self.after(start)

    def after(self, start: datetime) -> datetime:
        """Say when the span after the one that starts here begins."""
        if self.size in {Size.QUARTER, Size.HOUR}:
            return start + (QUARTER if self.size is Size.QUARTER else HOUR)
        if self.size is Size.MONTH:
            # The month's first day is the 1st where it starts, so 32 days on is in the next.
            after = (start.astimezone(self.zone).date() + 32 * DAY).replace(day=1)
            return start_of_day(after, self.zone)
        return start_of_day(start.astimezone(self.zone).date() + DAY, self.zone)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


class Piece(NamedTuple):
    """Part of what was asked for: all spans of a grain from `start` to `end`."""

    grain: Grain
    start: datetime
    end: datetime


# A page asks several questions about the same spans, and days take time to find.
@lru_cache(maxsize=64)
def cover(starts: tuple[datetime, ...], grains: tuple[Grain, ...]) -> tuple[Piece, ...]:
    """Divide the spans between `starts` into whole spans of grains, the largest that fit.

    `grains` begin with the largest and end with quarter-hours. No piece has parts of two spans
    unless it is made of whole ones, and pieces of one grain that touch are one.
    """
    pieces: list[Piece] = []
    for start, end in pairwise(starts):
        for piece in _cover(start, end, grains):
            if pieces and pieces[-1].grain == piece.grain and pieces[-1].end == piece.start:
                pieces[-1] = Piece(piece.grain, pieces[-1].start, piece.end)
            else:
                pieces.append(piece)
    return tuple(pieces)


def _cover(start: datetime, end: datetime, grains: Sequence[Grain]) -> Iterator[Piece]:
    if start >= end:
        return
    grain, *finer = grains
    first, last = grain.next_start(start), grain.start_of(end)
    if first >= last:
        if not finer:
            raise ValueError("A span has to begin and end with a quarter-hour.")
        yield from _cover(start, end, finer)
        return
    yield from _cover(start, first, finer)
    yield Piece(grain, first, last)
    yield from _cover(last, end, finer)
