"""Filling ClickHouse from the beginning."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from usage import stores
from usage.services.feeding import feed
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
    NoClickHouseError, StoreUnavailableError, and SomeFailedError as `feed` does; begin again then.
    """
    store = required_clickhouse()
    while not _emptied(store):
        pass
    feed(now=now)


@transaction.atomic
def _emptied(store: "ClickHouseStore") -> bool:
    """Empty a store that nothing is said to be in, or else say so first.

    So a crash in between leaves a store that is not asked, rather than one that misses requests.
    """
    mark = stores.lock(store)
    if mark.fed_seq == 0:
        store.empty()
        store.record_sums(leftovers())
        return True
    mark.fed_seq, mark.fed_at = 0, None
    mark.save()
    return False
