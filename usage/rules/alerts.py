"""The hours and days that an alert sums: those of its person's time zone. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from usage.rules.days import starts_of_days

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

# When each hour or day begins and the last ends, in UTC, oldest first. The last is that of now.
Spans: TypeAlias = tuple[datetime, ...]


def hours_at(now: datetime, zone: ZoneInfo) -> Spans:
    """Cut at the full hours of the zone's clocks, which are quarters of an hour in UTC.

    A day of them, so that hours during which nobody looked are told of afterwards.
    """
    begin = _hour_of(now, zone)
    starts = [begin, begin + HOUR]
    while starts[0] > now - DAY:
        starts.insert(0, _hour_of(starts[0] - timedelta.resolution, zone))
    return tuple(starts)


def days_at(now: datetime, zone: ZoneInfo) -> Spans:
    """Cut at the midnights of the zone: the day before, whose requests may end today, and today.

    A day may have 23 or 25 hours.
    """
    today = now.astimezone(zone).date()
    return tuple(starts_of_days(today - DAY, today, zone))


def _hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    into = (moment - datetime.min.replace(tzinfo=UTC) + offset) % HOUR
    return moment.astimezone(UTC) - into
