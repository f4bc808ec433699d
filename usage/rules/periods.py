"""The periods that a chart has a bar for: when they are, what they are called, pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from usage.rules.ranges import (
    DAY,
    QUARTER,
    Granularity,
    Range,
    begins_one,
    day_label,
    month_name,
    range_label,
)

MOST_TICKS: Final = 8
LONG: Final = 2 * DAY
WEEKDAYS: Final = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One bar of a chart, and one row of its table."""

    begin: datetime  # As the zone's clock has it.
    end: datetime
    label: str
    is_running: bool  # Not over yet.
    is_cut: bool  # The range has a part of it only.
    is_days: bool  # One or more whole days.

    @property
    def remark(self) -> str:
        """What stands beside its name, in pages and files: "so far, part of it"."""
        remarks = {"so far": self.is_running, "part of it": self.is_cut}
        return ", ".join(remark for remark, holds in remarks.items() if holds)

    def span(self, zone: ZoneInfo) -> tuple[str, str]:
        """Write its first and last day, or when it begins and ends, as an address has them."""
        if self.is_days:
            return self.begin.date().isoformat(), _last(self.end).date().isoformat()
        range_ = Range(begin=_utc(self.begin), end=_utc(self.end), zone=zone)
        (_, begin), (_, end) = range_.pairs()
        return begin, end


def periods(range_: Range, granularity: Granularity, *, now: datetime) -> list[Period]:
    """List the periods that have begun, the oldest first; of a range to come, the first."""
    zone = range_.zone
    starts = [start.astimezone(zone) for start in range_.starts(granularity, until=now)]
    is_one = [begins_one(start, granularity, zone) for start in starts]
    shown = [
        _period(begin, end, granularity, is_cut=not all(is_whole), now=now)
        for (begin, end), is_whole in zip(pairwise(starts), pairwise(is_one), strict=True)
    ]
    known = Counter(one.label for one in shown)
    return [
        # Where clocks are put back, two hours have the same name.
        replace(one, label=f"{one.label} ({one.begin:%Z})") if known[one.label] > 1 else one
        for one in shown
    ]


def _period(
    begin: datetime, end: datetime, granularity: Granularity, *, is_cut: bool, now: datetime
) -> Period:
    is_by_time = granularity in {Granularity.QUARTER, Granularity.HOUR}
    if is_by_time:
        label = f"{day_label(begin)}, {begin:%H:%M}"
    elif granularity is Granularity.DAY:
        label = f"{WEEKDAYS[begin.weekday()]}, {day_label(begin)}"
    elif granularity is Granularity.MONTH and not is_cut:
        label = f"{month_name(begin)} {begin.year}"
    else:
        label = range_label(begin.date(), _last(end).date())
    return Period(
        begin=begin,
        end=end,
        label=label,
        is_running=begin <= now < end,
        is_cut=is_cut,
        is_days=not is_by_time and not is_cut,
    )


def _last(end: datetime) -> datetime:
    """Say what the clock shows in the last quarter-hour before a time."""
    return (_utc(end) - QUARTER).astimezone(end.tzinfo)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def axis_words(shown: Sequence[Period], granularity: Granularity) -> list[tuple[int, str]]:
    """Choose which bars are named under the chart, few enough to stand side by side."""
    is_by_time = granularity in {Granularity.QUARTER, Granularity.HOUR}
    is_long = shown[-1].end - shown[0].begin > LONG
    if is_by_time and is_long:
        places = [
            place for place, one in enumerate(shown) if one.begin.hour == one.begin.minute == 0
        ]
    elif is_by_time and len(shown) > MOST_TICKS:
        places = [place for place, one in enumerate(shown) if not one.begin.minute]
    else:
        places = list(range(len(shown)))
    places = places or [0]
    step = -(-len(places) // MOST_TICKS)
    if is_by_time and not is_long:
        step = next(nice for nice in (1, 2, 3, 4, 6, 8, 12, 24) if nice >= step)
    chosen = places[::step]
    words = []
    year = None
    for place in chosen:
        begin = shown[place].begin
        if is_by_time and not is_long:
            word = f"{begin:%H:%M}"
        elif granularity is Granularity.MONTH:
            word = f"{begin:%b}"
        else:
            word = f"{begin.day} {begin:%b}"
        # The year stands under the first name of it, where there is more than one.
        if shown[0].begin.year != shown[-1].begin.year and begin.year != year:
            word, year = f"{word}<br>{begin.year}", begin.year
        words.append((place, word))
    return words


def cut_at(range_: Range, now: datetime) -> datetime:
    """Say how far the range before is to be compared: not further than this one has come.

    By the clock on the wall, so that half a day is compared with half a day.
    """
    before = range_.before()
    if not range_.begin <= now < range_.end:
        return before.end
    passed = _wall(now, range_.zone) - _wall(range_.begin, range_.zone)
    passed -= timedelta(seconds=passed.total_seconds() % QUARTER.total_seconds())
    moment = (_wall(before.begin, before.zone) + passed).replace(tzinfo=before.zone)
    return min(max(_utc(moment), before.begin + QUARTER), before.end)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
