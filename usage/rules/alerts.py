"""The hours and days that an alert sums: those of its person's time zone. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from usage.rules.days import starts_of_days

HOUR: Final = timedelta(hours=1)


class Spans(NamedTuple):
    """The hour or day before this one, and this one: where each begins and the second ends, UTC.

    The one before is looked at too, as requests that began in it may end after it.
    """

    before: datetime
    begin: datetime
    end: datetime


def hours_at(now: datetime, zone: ZoneInfo) -> Spans:
    """Cut at the full hours of the zone's clocks, which are quarters of an hour in UTC."""
    offset = now.astimezone(zone).utcoffset() or timedelta()
    into = (now - datetime.min.replace(tzinfo=UTC) + offset) % HOUR
    begin = now.astimezone(UTC) - into
    return Spans(begin - HOUR, begin, begin + HOUR)


def days_at(now: datetime, zone: ZoneInfo) -> Spans:
    """Cut at the midnights of the zone. A day may have 23 or 25 hours."""
    today = now.astimezone(zone).date()
    return Spans(*starts_of_days(today - timedelta(days=1), today, zone))
