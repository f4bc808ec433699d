"""Usage for staff: requests to look up, and how far the stores are. Nothing to touch."""

from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.timesince import timesince

from accounts.admin import ReadOnlyAdmin
from billing import services as billing
from usage import services as usage
from usage.models import UsageEvent, UsageFeed

STORES: Final = {"postgres": "PostgreSQL", "clickhouse": "ClickHouse"}


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    """Requests of all teams."""

    list_display = ["id", "at", "team", "model", "reached", "status", "cost"]
    search_fields = ["=id", "=team__id", "=api_key_id"]
    ordering = ["-id"]  # Ids begin with the time, and have an index over all teams.
    fields = [
        "id", "number", "at", "team", "key", "model", "reached", "ip", "status", "streamed",
        "first_token", "took", "items", "cost",
    ]  # fmt: skip

    @admin.display(description="Number")
    def number(self, event: UsageEvent) -> str:
        return f"{event.seq:,}"

    @admin.display(description="API key")
    def key(self, event: UsageEvent) -> str:
        key = _shown(event).key
        name = key.name + (" (deleted)" if key.is_deleted else "") if key else "Unknown"
        return f"{name}, {event.api_key_id}"

    @admin.display(description="Cluster")
    def reached(self, event: UsageEvent) -> str:
        return event.cluster or "None was reached"

    @admin.display(description="First token after")
    def first_token(self, event: UsageEvent) -> str:
        seconds = _shown(event).first_token_s
        return "Not measured" if seconds is None else f"{seconds:.3f} s"

    @admin.display(description="Took")
    def took(self, event: UsageEvent) -> str:
        return f"{_shown(event).total_s:.3f} s"

    @admin.display(description="Items")
    def items(self, event: UsageEvent) -> str:
        return "\n".join(
            f"{item.label}: {item.quantity:,} for {billing.usd(item.cost_ticks)}"
            for item in _shown(event).items
        )

    @admin.display(description="Cost")
    def cost(self, event: UsageEvent) -> str:
        return billing.usd(event.cost_ticks)


@admin.register(UsageFeed)
class UsageFeedAdmin(ReadOnlyAdmin):
    """How far each store is. What it has not got, pages read more slowly from the requests."""

    list_display = ["named", "has", "complete", "waiting"]
    list_display_links = None  # There is no more to see of one.
    list_select_related = False
    ordering = ["store"]
    fields = ("named", "has", "complete", "waiting")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = {"title": "How far the stores of usage are"}
        return super().changelist_view(request, title | (extra_context or {}))

    @admin.display(description="Store")
    def named(self, feed: UsageFeed) -> str:
        name = STORES.get(feed.store, feed.store)
        return name if usage.is_fed(feed) else f"{name}, not in use"

    @admin.display(description="Has all requests up to")
    def has(self, feed: UsageFeed) -> str:
        return f"Number {feed.fed_seq:,}"

    @admin.display(description="Last up to date")
    def complete(self, feed: UsageFeed) -> str:
        return _time(feed.fed_at) if feed.fed_at else "Never"

    @admin.display(description="Requests that wait")
    def waiting(self, feed: UsageFeed) -> str:
        if feed.refilling_since:
            return (
                f"All: it is being filled anew since {_time(feed.refilling_since)}. If that was"
                " interrupted, begin it again."
            )
        lag = usage.lag(feed)
        if lag.oldest_at is None:
            return "None"
        most = usage.MOST_COUNTED
        count = f"{lag.requests:,}" if lag.requests <= most else f"More than {most:,}"
        age = timesince(lag.oldest_at, timezone.now())
        return f"{count}, the oldest since {age} ({_time(lag.oldest_at)})"


def _shown(event: UsageEvent) -> usage.ShownRequest:
    (shown,) = usage.named_requests(event.team, [event])
    return shown


def _time(at: datetime) -> str:
    return localize(timezone.localtime(at))
