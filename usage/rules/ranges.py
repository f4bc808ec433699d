"""Ranges of time as a page is asked for them, and the spans that its charts cut them into, pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from usage.rules.days import days_between

QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
# Ten years, with the leap days in them.
MOST_DAYS: Final = 3653
# Longer ranges are shown by the day, or by the week, unless somebody asks for something else.
DAYS_BY_HOUR: Final = 2
DAYS_BY_DAY: Final = 100
DAYS_BY_WEEK: Final = 800
MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Granularity(StrEnum):
    """How long a bar of the chart is, the finest first. The values are what addresses carry."""

    QUARTER = "15m"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def label(self) -> str:
        return {"15m": "15 minutes", "day": "Daily"}.get(self, f"{self.capitalize()}ly")

    @property
    def noun(self) -> str:
        """What one bar is: "per day"."""
        return "15 minutes" if self is Granularity.QUARTER else str(self)

    def counted(self, number: int) -> str:
        """Say how many: "7 days"."""
        word = "quarter-hour" if self is Granularity.QUARTER else str(self)
        return f"{number:,} {word}{'' if number == 1 else 's'}"

    @property
    def finer(self) -> "Granularity | None":
        """What shows the inside of one bar: a month's days, not its weeks, which it cuts."""
        return {
            Granularity.HOUR: Granularity.QUARTER,
            Granularity.DAY: Granularity.HOUR,
            Granularity.WEEK: Granularity.DAY,
            Granularity.MONTH: Granularity.DAY,
        }.get(self)


# A range is cut into these if it is longer than the one and no longer than the other.
FITS: Final = {
    Granularity.QUARTER: (timedelta(0), 2 * DAY),
    Granularity.HOUR: (HOUR, 31 * DAY),
    Granularity.DAY: (DAY, 366 * DAY),
    Granularity.WEEK: (7 * DAY, 1827 * DAY),
    Granularity.MONTH: (31 * DAY, MOST_DAYS * DAY),
}


class Preset(StrEnum):
    """A range that has a name."""

    TODAY = "today"
    LAST_DAY = "24h"
    WEEK = "7d"
    THIRTY_DAYS = "30d"
    MONTH = "month"
    LAST_MONTH = "last_month"
    NINETY_DAYS = "90d"
    YEAR = "year"
    TWELVE_MONTHS = "12m"

    @property
    def label(self) -> str:
        return {
            Preset.TODAY: "Today",
            Preset.LAST_DAY: "24 hours",
            Preset.WEEK: "7 days",
            Preset.THIRTY_DAYS: "30 days",
            Preset.MONTH: "This month",
            Preset.LAST_MONTH: "Last month",
            Preset.NINETY_DAYS: "90 days",
            Preset.YEAR: "This year",
            Preset.TWELVE_MONTHS: "12 months",
        }[self]

    def days(self, today: date) -> tuple[date, date]:
        """Say which its first and last days are; for the 24 hours, those that they touch."""
        month = today.replace(day=1)
        first = {
            Preset.TODAY: today,
            Preset.LAST_DAY: today - DAY,
            Preset.WEEK: today - 6 * DAY,
            Preset.THIRTY_DAYS: today - 29 * DAY,
            Preset.MONTH: month,
            Preset.LAST_MONTH: months_before(month, 1),
            Preset.NINETY_DAYS: today - 89 * DAY,
            Preset.YEAR: today.replace(month=1, day=1),
            Preset.TWELVE_MONTHS: months_before(month, 11),
        }[self]
        return first, month - DAY if self is Preset.LAST_MONTH else today


@dataclass(frozen=True, kw_only=True)
class Range:
    """The time from `begin` to `end`, both in UTC and on quarter-hours, as `zone` sees it."""

    begin: datetime
    end: datetime
    zone: ZoneInfo
    preset: Preset | None = None

    @classmethod
    def of_days(
        cls, first: date, last: date, zone: ZoneInfo, preset: Preset | None = None
    ) -> "Range":
        return cls(
            begin=_midnight(first, zone), end=_midnight(last + DAY, zone), zone=zone, preset=preset
        )

    @classmethod
    def of_moments(cls, begin: date, end: date, zone: ZoneInfo) -> "Range":
        """From a day or time to a day, which is in it, or a time, which is not.

        A time without an offset is one of the zone, and the first of two with the same name.
        """
        ends = end if isinstance(end, datetime) else end + DAY
        return cls(begin=_moment(begin, zone), end=_moment(ends, zone), zone=zone)

    @classmethod
    def of_preset(cls, preset: Preset, zone: ZoneInfo, now: datetime) -> "Range":
        if preset is Preset.LAST_DAY:
            # The hour that is running and the 23 before it.
            local = now.astimezone(zone)
            into_hour = timedelta(
                minutes=local.minute, seconds=local.second, microseconds=local.microsecond
            )
            end = now.astimezone(UTC) - into_hour + HOUR
            return cls(begin=end - DAY, end=end, zone=zone, preset=preset)
        return cls.of_days(*preset.days(now.astimezone(zone).date()), zone, preset)

    @cached_property
    def first(self) -> date:
        return self.begin.astimezone(self.zone).date()

    @cached_property
    def last(self) -> date:
        """The day of the last moment in it."""
        return (self.end - QUARTER).astimezone(self.zone).date()

    @cached_property
    def is_days(self) -> bool:
        """Whether it is made of whole local days."""
        return self.begin == _midnight(self.first, self.zone) and self.end == _midnight(
            self.last + DAY, self.zone
        )

    @property
    def length(self) -> timedelta:
        """By the clock on the wall: a day is a day, also when it has 23 hours."""
        if self.is_days:
            return self.last - self.first + DAY
        return self.end - self.begin

    def pairs(self) -> list[tuple[str, str]]:
        """Write it as the names and values of an address, the zone not among them."""
        if self.preset:
            return [("range", self.preset)]
        if self.is_days:
            return [("from", self.first.isoformat()), ("to", self.last.isoformat())]
        return [("from", self._written(self.begin)), ("to", self._written(self.end))]

    def _written(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        naive = local.replace(tzinfo=None, fold=0)
        # Where clocks are put back, only the offset tells an hour from the one that follows it.
        is_told = naive.replace(tzinfo=self.zone).astimezone(UTC) == moment
        return (naive if is_told else local).isoformat(timespec="minutes")

    @property
    def label(self) -> str:
        if self.is_days:
            return range_label(self.first, self.last)
        return moments_label(self.begin.astimezone(self.zone), self.end.astimezone(self.zone))

    def granularities(self) -> list[Granularity]:
        """List what it can be cut into, the finest first; never nothing."""
        length = self.length
        fitting = [size for size, (over, up_to) in FITS.items() if over < length <= up_to]
        # Ten years may be some hours longer, where its ends are told in different zones.
        return fitting or [Granularity.MONTH]

    def usual(self) -> Granularity:
        """Say what it is cut into unless somebody asks for something else."""
        for wanted, most in (
            (Granularity.HOUR, DAYS_BY_HOUR),
            (Granularity.DAY, DAYS_BY_DAY),
            (Granularity.WEEK, DAYS_BY_WEEK),
        ):
            if self.length <= most * DAY:
                return self.nearest(wanted)
        return self.nearest(Granularity.MONTH)

    def nearest(self, wanted: Granularity) -> Granularity:
        """Say which of those that fit is nearest to `wanted`."""
        order = list(Granularity)
        return min(
            self.granularities(), key=lambda size: abs(order.index(size) - order.index(wanted))
        )

    def starts(self, granularity: Granularity, *, until: datetime | None = None) -> list[datetime]:
        """Say when each span in it begins, in UTC, and at last when the last of them ends.

        The first and the last span may be cut by the range. What has not begun `until` then is
        left out, but for one span.
        """
        inner = (
            start.astimezone(UTC)
            for start in _boundaries(self, granularity)
            if self.begin < start < self.end
        )
        starts = [self.begin, *inner, self.end]
        if until is None:
            return starts
        begun = sum(start <= until for start in starts[:-1])
        return starts[: max(begun, 1) + 1]

    def before(self) -> "Range":
        """Say which range is compared with it: the one of its kind before it."""
        zone, first, last = self.zone, self.first, self.last
        if not self.is_days:
            return replace(
                self, begin=self.begin - (self.end - self.begin), end=self.begin, preset=None
            )
        if self.preset in {Preset.MONTH, Preset.LAST_MONTH}:
            begin = months_before(first, 1)
            if self.preset is Preset.LAST_MONTH:
                return Range.of_days(begin, first - DAY, zone)
            return Range.of_days(begin, min(begin + (last - first), first - DAY), zone)
        if self.preset in {Preset.YEAR, Preset.TWELVE_MONTHS}:
            return Range.of_days(months_before(first, 12), months_before(last, 12), zone)
        return Range.of_days(first - (last - first + DAY), first - DAY, zone)


def _boundaries(range_: Range, granularity: Granularity) -> Iterator[datetime]:
    """Name moments at which spans begin, among them all that are inside the range."""
    zone = range_.zone
    match granularity:
        case Granularity.QUARTER:
            yield from _quarters(range_)
        case Granularity.HOUR:
            hour = None
            for quarter in _quarters(range_):
                local = quarter.astimezone(zone)
                # Where clocks are put back by an hour, an hour has the same number as the last.
                if local.hour != hour or not local.minute:
                    yield quarter
                hour = local.hour
        case Granularity.DAY:
            yield from _once(range_.first, range_.last, zone)
        case Granularity.WEEK:
            monday = range_.first - range_.first.weekday() * DAY
            while monday <= range_.last:
                yield _midnight(monday, zone)
                monday += 7 * DAY
        case Granularity.MONTH:
            month = range_.first.replace(day=1)
            while month <= range_.last:
                yield _midnight(month, zone)
                month = months_before(month, -1)


def begins_one(local: datetime, granularity: Granularity, zone: ZoneInfo) -> bool:
    """Say whether a span of this length begins at a local time, as `_boundaries` has them."""
    moment = local.astimezone(UTC)
    if granularity is Granularity.QUARTER:
        return True
    if granularity is Granularity.HOUR:
        return not local.minute or (moment - QUARTER).astimezone(zone).hour != local.hour
    is_first = {Granularity.WEEK: not local.weekday(), Granularity.MONTH: local.day == 1}
    return moment == _midnight(local.date(), zone) and is_first.get(granularity, True)


def _once(first: date, last: date, zone: ZoneInfo) -> Iterator[datetime]:
    """Say when days begin. One that a zone left out altogether begins when the next does."""
    before = None
    for day in days_between(first, last):
        start = _midnight(day, zone)
        if start != before:
            yield start
        before = start


def _quarters(range_: Range) -> Iterator[datetime]:
    moment = range_.begin
    while moment < range_.end:
        yield moment
        moment += QUARTER


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Say in UTC when a local day begins, as `days.starts_of_days` does."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _moment(when: date, zone: ZoneInfo) -> datetime:
    if not isinstance(when, datetime):
        return _midnight(when, zone)
    return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)


def months_before(day: date, months: int) -> date:
    """Go back by months, from the 31st to the last day of a shorter one."""
    number = day.year * 12 + day.month - 1 - months
    first = date(number // 12, number % 12 + 1, 1)
    following = date((number + 1) // 12, (number + 1) % 12 + 1, 1)
    return min(first + (day.day - 1) * DAY, following - DAY)


# --- Words ------------------------------------------------------------------------------------


def month_name(day: date) -> str:
    # Formatting by %b takes ten times as long, and a year has many days.
    return MONTHS[day.month - 1]


def day_label(day: date) -> str:
    return f"{day.day} {month_name(day)} {day.year:04}"


def range_label(first: date, last: date) -> str:
    """Name a range without repeating a month or a year: 1 to 21 Nov 2026."""
    if first == last:
        return day_label(last)
    if first.year != last.year:
        return f"{day_label(first)} to {day_label(last)}"
    month = "" if first.month == last.month else f" {month_name(first)}"
    return f"{first.day}{month} to {day_label(last)}"


def moments_label(begin: datetime, end: datetime) -> str:
    """Name a range that does not begin and end with a day, by local times."""
    if (end - timedelta(minutes=1)).date() == begin.date():
        return f"{day_label(begin)}, {begin:%H:%M} to {end:%H:%M}"
    return f"{day_label(begin)}, {begin:%H:%M} to {day_label(end)}, {end:%H:%M}"
