"""What was served: each request, and the quarter-hour sums that every page reads."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Sum, Value
from django.db.models.functions import Coalesce

from accounts.scoping import TeamDoor, TeamOwned
from usage import rules


class UsageEvent(TeamOwned):
    """One request. Its id is the request's, so that none is counted twice."""

    # As in TeamOwned, without an index of its own: the one below begins with the team, and every
    # request pays for each index.
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    id = models.UUIDField(primary_key=True, editable=False)
    at = models.DateTimeField()
    # No foreign key: api_keys is a sibling, and a key that is gone leaves its usage behind.
    api_key_id = models.UUIDField()
    model = models.CharField(max_length=120)
    cluster = models.CharField(max_length=120)  # Empty if no cluster was reached.
    ip = models.GenericIPAddressField()
    status = models.PositiveSmallIntegerField()
    streamed = models.BooleanField()
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField()
    cost_ticks = models.BigIntegerField()
    items = models.JSONField()  # [[billing item, quantity, cost in ticks], ...]

    of = TeamDoor[models.QuerySet["UsageEvent"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_ticks__gte=0), name="usage_event_cost_not_negative"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-at", "-id"], name="usage_events_newest_first"),
        ]

    def __str__(self) -> str:
        return f"Request {self.pk}"


class UsageRollupQuerySet(models.QuerySet["UsageRollup"]):
    """Reads over a team's sums."""

    def cost_ticks(self) -> int:
        sums: dict[str, int] = self.aggregate(cost_ticks=Coalesce(Sum("cost_ticks"), 0))
        return sums["cost_ticks"]

    def all_and_failed(self) -> tuple[int, int]:
        """Count the requests, and those of them that failed."""
        counts: dict[str, int] = self.aggregate(
            all=Coalesce(Sum("requests", filter=Q(item=rules.COUNTED_BY)), 0),
            failed=Coalesce(Sum("requests", filter=Q(item=rules.FAILED)), 0),
        )
        return counts["all"], counts["failed"]

    def by_span(self, starts: Sequence[datetime]) -> Iterable[tuple[int, str, int, int, int]]:
        """Sum by span of time and item: number of the span, item, quantity, cost, requests.

        Span 1 begins at `starts[0]` and ends where span 2 begins; the last start ends the last
        span. The spans are given by their starts, which Python computes, and not found with AT TIME
        ZONE, because the server may know other zone rules than the page that shows the result.
        """
        number = Func(
            F("quarter"),
            Value(starts, output_field=ArrayField(models.DateTimeField())),
            function="width_bucket",
            output_field=models.IntegerField(),
        )
        return (
            self.filter(quarter__gte=starts[0], quarter__lt=starts[-1])
            .values_list(number, "item")
            .annotate(Sum("quantity"), Sum("cost_ticks"), Sum("requests"))
        )


class UsageRollup(TeamOwned):
    """What one billing item came to in one quarter-hour, for one key, model, cluster and address.

    A quarter-hour is the largest span that every time zone's hours and days are made of. A request
    adds to one row for each of its items, so only the rows of the item `prompt_text`, which every
    request has, count requests. The item `failed` counts those of them that failed.
    """

    # As in TeamOwned, without an index of its own: the one below begins with the team, and every
    # request pays for each index.
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    quarter = models.DateTimeField()  # Its start.
    api_key_id = models.UUIDField()
    model = models.CharField(max_length=120)
    cluster = models.CharField(max_length=120)
    ip = models.GenericIPAddressField()
    item = models.CharField(max_length=40)
    quantity = models.BigIntegerField()
    cost_ticks = models.BigIntegerField()
    requests = models.BigIntegerField()

    of = TeamDoor(UsageRollupQuerySet)

    class Meta:
        constraints = [
            # Its index serves every range read as well, as it begins with the team and the time.
            models.UniqueConstraint(
                fields=["team", "quarter", "api_key_id", "model", "cluster", "ip", "item"],
                name="usage_rollup_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} at {self.quarter:%Y-%m-%d %H:%M}"
