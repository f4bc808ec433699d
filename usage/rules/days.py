"""Local days, and the quarter-hours that they are made of."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


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
