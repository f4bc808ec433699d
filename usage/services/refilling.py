"""Filling ClickHouse from the beginning."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from usage import stores
from usage.services.feeding import feed
from usage.services.partitions import dropped
from usage.stores.postgres.leftovers import leftovers

if TYPE_CHECKING:
    from usage.stores.clickhouse import ClickHouseStore


class NoClickHouseError(Exception):
    """Something is wanted of ClickHouse, and none is set."""


def required_clickhouse() -> "ClickHouseStore":
    """Return the store in ClickHouse, or raise NoClickHouseError."""
    store = stores.in_clickhouse()
    if store is None:
        raise NoClickHouseError("USAGE_STORE names no ClickHouse. See docs/scaling.md.")
    return store


def refill_clickhouse(*, now: datetime) -> None:
    """Make its tables anew and feed them everything; PostgreSQL's sums tell what events do not.

    Until it is done, pages read from PostgreSQL's events what ClickHouse has not got. Raises
    NoClickHouseError; StoreUnavailableError, and then it is to be begun again; and SomeFailedError
    as `feed` does, which goes on by itself.
    """
    store = required_clickhouse()
    _give_up(store, now)
    _begin(store)
    feed(now=now)


@transaction.atomic
def _give_up(store: "ClickHouseStore", now: datetime) -> None:
    """Say that nothing is in the store, and that nobody is to feed it.

    This is committed first. So whatever fails from here on leaves a store that is not asked, rather
    than one that misses requests, and that says so until it is filled.
    """
    mark = stores.lock(store)
    mark.fed_seq, mark.fed_at, mark.refilling_since = 0, None, now
    mark.save()


@transaction.atomic
def _begin(store: "ClickHouseStore") -> None:
    """Empty the store, and fill it with what no event tells. The feed does the rest."""
    mark = stores.lock(store)
    store.empty()
    if gone := dropped():
        store.record_sums(leftovers(last_at=gone.last_at))
    # Also where another has begun meanwhile: it empties the store again.
    mark.fed_seq, mark.fed_at, mark.refilling_since = 0, None, None
    mark.save()
