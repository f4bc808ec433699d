"""What was served: each request, and the sums that every page reads."""

from usage.models.events import UsageEvent
from usage.models.feed import UsageFeed
from usage.models.rollups import UsageRollup, UsageSeries, UsageValue, UsageZone

__all__ = [
    "UsageEvent",
    "UsageFeed",
    "UsageRollup",
    "UsageSeries",
    "UsageValue",
    "UsageZone",
]
