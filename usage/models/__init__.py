"""What was served, the sums that every page reads, and what people asked to be told and given."""

from usage.models.alerts import UsageAlert, UsageAlertMail
from usage.models.dropped import UsageDropped
from usage.models.events import UsageEvent
from usage.models.exports import UsageExport, UsageExportPart
from usage.models.feed import UsageFeed
from usage.models.rollups import UsageRollup, UsageSeries, UsageValue, UsageZone

__all__ = [
    "UsageAlert",
    "UsageAlertMail",
    "UsageDropped",
    "UsageEvent",
    "UsageExport",
    "UsageExportPart",
    "UsageFeed",
    "UsageRollup",
    "UsageSeries",
    "UsageValue",
    "UsageZone",
]
