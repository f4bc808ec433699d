"""Everything another app may ask of usage: to record requests, and what they come to."""

from usage.rules import DayTotal, Total
from usage.services.alerting import send_alerts
from usage.services.alerts import (
    AlertChangedError,
    AlertTerms,
    AlertTermsError,
    NoAlertError,
    ShownAlert,
    TooManyAlertsError,
    alerts,
    alerts_of,
    create_alert,
    delete_alert,
    delete_alerts,
    edit_alert,
)
from usage.services.backfill import EventsGoneError, rebuild, rebuild_coarser
from usage.services.comparing import Difference, store_differences
from usage.services.exports import (
    NoExportError,
    ShownExport,
    TooLargeError,
    TooManyExportsError,
    ask_export,
    cancel_export,
    delete_exports,
    exports,
    exports_of,
    find_export,
    parts_of,
    retry_export,
    shown_exports,
    small_csv,
    sweep_exports,
)
from usage.services.feeding import feed
from usage.services.forgetting import forget_addresses, forget_addresses_in_clickhouse
from usage.services.lag import MOST_COUNTED, is_fed, lag
from usage.services.making import KEPT_FOR as EXPORTS_KEPT_FOR
from usage.services.making import advance as advance_export
from usage.services.making import fail_export
from usage.services.making import go_on as go_on_with_export
from usage.services.partitions import (
    drop_partitions,
    dropped,
    make_partitions,
    make_partitions_ahead,
)
from usage.services.record import (
    RequestRecord,
    UnexplainedCostError,
    UnknownItemError,
    record,
    recorded,
)
from usage.services.refilling import NoClickHouseError, refill_clickhouse
from usage.services.requests import Narrowing, RequestsPage, ShownRequest, narrowings
from usage.services.requests import find as find_request
from usage.services.requests import named as named_requests
from usage.services.requests import page as requests_page
from usage.services.totals import (
    cost_figure,
    daily,
    first_token_ms,
    has_any,
    requests_figure,
    spent_ticks,
    total,
)
from usage.services.verify import sum_differences
from usage.services.zones import keep_zones

__all__ = [
    "EXPORTS_KEPT_FOR",
    "MOST_COUNTED",
    "AlertChangedError",
    "AlertTerms",
    "AlertTermsError",
    "DayTotal",
    "Difference",
    "EventsGoneError",
    "Narrowing",
    "NoAlertError",
    "NoClickHouseError",
    "NoExportError",
    "RequestRecord",
    "RequestsPage",
    "ShownAlert",
    "ShownExport",
    "ShownRequest",
    "TooLargeError",
    "TooManyAlertsError",
    "TooManyExportsError",
    "Total",
    "UnexplainedCostError",
    "UnknownItemError",
    "advance_export",
    "alerts",
    "alerts_of",
    "ask_export",
    "cancel_export",
    "cost_figure",
    "create_alert",
    "daily",
    "delete_alert",
    "delete_alerts",
    "delete_exports",
    "drop_partitions",
    "dropped",
    "edit_alert",
    "exports",
    "exports_of",
    "fail_export",
    "feed",
    "find_export",
    "find_request",
    "first_token_ms",
    "forget_addresses",
    "forget_addresses_in_clickhouse",
    "go_on_with_export",
    "has_any",
    "is_fed",
    "keep_zones",
    "lag",
    "make_partitions",
    "make_partitions_ahead",
    "named_requests",
    "narrowings",
    "parts_of",
    "rebuild",
    "rebuild_coarser",
    "record",
    "recorded",
    "refill_clickhouse",
    "requests_figure",
    "requests_page",
    "retry_export",
    "send_alerts",
    "shown_exports",
    "small_csv",
    "spent_ticks",
    "store_differences",
    "sum_differences",
    "sweep_exports",
    "total",
]
