"""How far the stores are behind what was recorded, for staff."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from usage import stores
from usage.models import UsageEvent, UsageFeed

# To count further would take longer than whoever looks at a page waits.
MOST_COUNTED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Lag:
    """What a store has not got yet."""

    requests: int  # Above MOST_COUNTED: that many, and nobody counted on.
    oldest_at: datetime | None


def lag(feed: UsageFeed) -> Lag:
    """Look at what waits for a store, by the index of `seq` alone."""
    waiting = UsageEvent.across_teams.filter(seq__gt=feed.fed_seq).order_by("seq")
    oldest_at = waiting.values_list("at", flat=True).first()
    return Lag(waiting[: MOST_COUNTED + 1].count(), oldest_at)


def is_fed(feed: UsageFeed) -> bool:
    """Say whether this store is fed at all; one that was given up stays as far as it was."""
    return feed.store in {store.name for store in stores.fed()}
