"""Ranges of local days, and the quarter-hours that they are made of."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from django.utils import dateformat


def quarter_of(moment: datetime) -> datetime:
    """Say when the moment's quarter-hour began, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def days_between(first: date, last: date) -> list[date]:
    """List each day from `first` to `last`."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def starts_of_days(first: date, last: date, zone: ZoneInfo) -> list[datetime]:
    """Say when each local day from `first` to `last` begins, and when the last of them ends.

    A midnight that the clock skips begins the day at the skip; one that comes twice, the first
    time. Both are what the zone rules say for `fold=0`.
    """
    return [
        datetime.combine(day, time.min, zone).astimezone(UTC)
        for day in days_between(first, last + timedelta(days=1))
    ]


class Preset(StrEnum):
    """A range of days that has a name. All of them end today."""

    WEEK = "7d"
    THIRTY_DAYS = "30d"
    MONTH = "month"

    @property
    def label(self) -> str:
        return {
            Preset.WEEK: "7 days",
            Preset.THIRTY_DAYS: "30 days",
            Preset.MONTH: "This month",
        }[self]

    def first(self, today: date) -> date:
        if self is Preset.MONTH:
            return today.replace(day=1)
        return today - timedelta(days=6 if self is Preset.WEEK else 29)


def day_label(day: date) -> str:
    return dateformat.format(day, "j M Y")


def range_label(first: date, last: date) -> str:
    """Name a range without repeating a month or a year: 1 to 21 Nov 2026."""
    if first == last:
        return day_label(last)
    if first.year != last.year:
        return f"{day_label(first)} to {day_label(last)}"
    month = "" if first.month == last.month else f" {first:%b}"
    return f"{first.day}{month} to {day_label(last)}"
