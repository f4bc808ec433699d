"""A month's events in a table of their own: made ahead, and dropped when they are old."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Sum

from accounts.one_by_one import one_by_one
from usage import stores
from usage.models import UsageDropped
from usage.rules import LONGEST_REQUEST, first_id, moment_of

logger = logging.getLogger(__name__)

MONTHS_AHEAD: Final = 3
# Before it there was no console; an id that says otherwise is of a clock that was not set.
OLDEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
NET: Final = "usage_usageevent_default"
# Who asks for the table waits behind this job while it waits for who asked before.
LOCK_TIMEOUT: Final = "2s"


def month_of(moment: datetime) -> datetime:
    """Say when the moment's month of UTC began."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    return month_of(month + timedelta(days=32))


def make_partitions(*, first: datetime, last: datetime) -> None:
    """Make a table for each month from that of `first` to that of `last` that has none.

    Events that came before their month had its table are moved into it. Raises SomeFailedError in
    the end, if one of the months failed.
    """
    have = {month for month, _ in _partitions()}
    month = month_of(first)
    with one_by_one(logger) as each:
        while month <= last:
            if month not in have:
                with each("The table of %s could not be made", f"{month:%Y-%m}"):
                    _make(month)
            month = month_after(month)


def make_partitions_ahead(*, now: datetime) -> None:
    """Make the tables of the months to come, and of those of which there are events without one."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {NET} WHERE id >= %s ORDER BY id LIMIT 1",  # noqa: S608
            [first_id(OLDEST)],
        )
        oldest = cursor.fetchone()
    first = min(now, moment_of(oldest[0])) if oldest else now
    make_partitions(first=first, last=month_of(now) + MONTHS_AHEAD * timedelta(days=31))


def drop_partitions(*, now: datetime, days: int) -> list[datetime]:
    """Drop the tables of the months that ended `days` ago or before; none, if that is 0.

    Returns the months. A month stays until every store has all of it. The sums stay, and a
    UsageDropped says what only they know from then on.
    """
    if not days:
        return []
    months = []
    for month, table in list(_partitions()):
        if month_after(month) + LONGEST_REQUEST + timedelta(days=days) > now:
            break
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            # Locked: who builds a store anew reads these events in a moment.
            marks = [stores.lock(store) for store in stores.fed()]
            cursor.execute(f"SELECT count(*), max(seq), max(at) FROM {table}")  # noqa: S608 -- made below
            requests, last_seq, last_at = cursor.fetchone()
            if requests:
                if any(mark.fed_seq < last_seq for mark in marks):
                    break
                UsageDropped.objects.create(month=month, requests=requests, last_at=last_at)
            cursor.execute(f"DROP TABLE {table}")
            months.append(month)
    return months


class Dropped(NamedTuple):
    """What is no longer kept one by one, of all teams."""

    requests: int
    last_at: datetime


def dropped() -> Dropped | None:
    """Say what was dropped, if anything was: only the sums know of it."""
    found = UsageDropped.objects.aggregate(requests=Sum("requests"), last_at=Max("last_at"))
    return Dropped(**found) if found["requests"] else None


def _partitions() -> Iterator[tuple[datetime, str]]:
    """List the months that have a table, the oldest first, and what it is called."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'usage_usageevent'::regclass ORDER BY relname"
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        if name != NET:
            year, month = name.rsplit("_", 2)[1:]
            yield datetime(int(year), int(month), 1, tzinfo=UTC), name


@transaction.atomic
def _make(month: datetime) -> None:
    table = f"usage_usageevent_{month:%Y_%m}"
    bounds = {"first": first_id(month), "end": first_id(month_after(month))}
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        # What came in between, after the move, could not be told from what has to be moved.
        cursor.execute(f"LOCK TABLE {NET} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            f"CREATE TABLE {table} (LIKE usage_usageevent INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        cursor.execute(
            f"WITH moved AS (DELETE FROM {NET}"  # noqa: S608
            f" WHERE id >= %(first)s AND id < %(end)s RETURNING *)"
            f" INSERT INTO {table} SELECT * FROM moved",
            bounds,
        )
        cursor.execute(
            f"ALTER TABLE usage_usageevent ATTACH PARTITION {table}"
            f" FOR VALUES FROM ('{bounds['first']}') TO ('{bounds['end']}')"
        )
