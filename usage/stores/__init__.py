"""Where usage is kept to be asked about: PostgreSQL, or ClickHouse beside it.

A store is fed from the events, in order and exactly once, and answers from what it was fed with
and, for the newest requests, from the events themselves.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from usage.models import UsageEvent, UsageFeed
from usage.rules import Answer, Dimension, Question

if TYPE_CHECKING:
    from usage.stores.clickhouse import ClickHouseStore


class StoreUnavailableError(Exception):
    """The store cannot be asked now. Nothing is lost: it is fed later with what it missed.

    Its text is for customers. What went wrong is its cause, and in the log.
    """

    def __init__(self) -> None:
        super().__init__(
            "Usage cannot be read at the moment. All requests are still counted; try again in a"
            " few minutes."
        )


class Store(Protocol):
    """Sums of requests, by time and by what tells them apart."""

    @property
    def name(self) -> str:
        """What its row in UsageFeed is called."""

    def record(self, events: Sequence[UsageEvent]) -> None:
        """Add these events, which come once and in order, within the caller's transaction.

        They are in the database, and none of them is in the store. If the caller's transaction
        fails after this, the same events come again, and perhaps others after them.
        """

    def query(self, question: Question) -> Answer:
        """Sum the requests that were recorded so far, also those that the store has not got yet."""

    def values(
        self, team_id: UUID, dimension: Dimension, *, search: str = "", limit: int = 50
    ) -> list[str]:
        """List values that a dimension has had and whose text contains `search`, newest use first.

        An API key's text is its id: whoever knows the names of keys searches them itself.
        """

    def forget_addresses(self, team_id: UUID) -> None:
        """Sum the team's requests as if all had come from UNKNOWN_IP, which its events now say.

        The caller holds the lock of the store's UsageFeed, and all events that it was fed with.
        """


def current() -> Store:
    """Return the store that the explorer of usage asks."""
    return in_clickhouse() or at_hand()


def at_hand() -> Store:
    """Return the store that is in the console's own database, and so is there whenever pages are.

    It is fed even if another is asked, so that one may go back to it.
    """
    from usage.stores.postgres import PostgresStore  # noqa: PLC0415 -- it imports this module

    return PostgresStore()


def in_clickhouse() -> "ClickHouseStore | None":
    """Return the store in ClickHouse, if there is one."""
    if settings.CLICKHOUSE is None:
        return None
    # It imports this module; and what reaches a ClickHouse is loaded where there is one.
    from usage.stores.clickhouse import ClickHouseStore  # noqa: PLC0415

    return ClickHouseStore()


def fed() -> list[Store]:
    """Return all stores that are fed."""
    store = in_clickhouse()
    return [at_hand(), store] if store else [at_hand()]


def mark(store: Store) -> UsageFeed:
    """Say which events are in the store: those whose `seq` is not above its `fed_seq`."""
    return UsageFeed.objects.filter(store=store.name).first() or UsageFeed(store=store.name)


def lock(store: Store) -> UsageFeed:
    """Let nobody else change the store's sums until the caller's transaction ends."""
    UsageFeed.objects.get_or_create(store=store.name)
    return UsageFeed.objects.select_for_update().get(store=store.name)


@contextmanager
def reading() -> Iterator[None]:
    """Let everything that is asked within be answered from the same moment.

    Not to be entered within a transaction that has asked something already: PostgreSQL fixes what
    it shows at the first question. A test's transaction is its own and needs no moment.
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
