"""Feeding the stores with what was recorded: in order, every event once, none forgotten."""

import logging
import time
from datetime import datetime
from typing import Final

from django.db import OperationalError, connection, transaction

from accounts.one_by_one import one_by_one
from usage import stores
from usage.models import UsageEvent, UsageFeed
from usage.stores import Store

logger = logging.getLogger(__name__)

CHUNK: Final = 5_000
# Whoever records waits behind the feed while the feed waits for whoever recorded before. So it
# waits for a moment only, and lets all pass before it tries once more.
LOCK_TIMEOUT: Final = "200ms"
TRIES: Final = 2
PAUSE_SECONDS: Final = 1


def feed(*, now: datetime) -> None:
    """Add what was recorded until now to the sums of every store.

    Raises SomeFailedError in the end, if one of them failed; it goes on where it stopped the next
    time. Raises OperationalError if somebody goes on writing events for seconds.
    """
    upto = decided_seq()
    with one_by_one(logger) as each:
        for store in stores.fed():
            with each("Usage's store %s could not be fed", store.name):
                feed_store(store, upto, now=now)


def feed_store(store: Store, upto: int, *, now: datetime) -> None:
    """Feed one store up to a `seq` that is decided. Raises what the store raises."""
    # On its own: one that never could be reached is to be seen waiting, too.
    feed, _ = UsageFeed.objects.get_or_create(store=store.name)
    if feed.refilling_since:  # Nor does it wait for the lock of whoever fills it.
        logger.warning(
            "Usage's store %s is not fed: it is being filled anew since %s. If that was"
            " interrupted, begin it again.",
            store.name,
            feed.refilling_since,
        )
        return
    while _feed_chunk(store, upto, now):
        pass


def decided_seq() -> int:
    """Find a number up to which nothing can be recorded any more, however late it is committed.

    Numbers are given out before their transactions commit, so the highest number one sees may have
    gaps below it that are filled later. For a moment nobody may write: who had a number by then has
    committed or given up. Raises OperationalError if somebody goes on writing.
    """
    for attempt in range(TRIES):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                # Only the whole: who writes to a part of it locks the whole as well.
                cursor.execute("LOCK TABLE ONLY usage_usageevent IN SHARE MODE")
                cursor.execute(
                    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END"
                    " FROM usage_usageevent_seq"
                )
                return int(cursor.fetchone()[0])
        except OperationalError:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError  # The loop returns or raises.


@transaction.atomic
def _feed_chunk(store: Store, upto: int, now: datetime) -> bool:
    """Feed some events, in one transaction with the row that says so. Say whether there are more.

    Raises what the store raises; then neither happened.
    """
    mark = stores.lock(store)
    if mark.refilling_since:
        return False
    waiting = UsageEvent.across_teams.filter(seq__gt=mark.fed_seq, seq__lte=upto).order_by("seq")
    events = list(waiting[:CHUNK])
    if events:
        store.record(events)
    is_more = len(events) == CHUNK
    # Another feed may have been further by the time this one had the lock.
    mark.fed_seq = events[-1].seq if is_more else max(upto, mark.fed_seq)
    mark.fed_at = mark.fed_at if is_more else now
    mark.save()
    return is_more
