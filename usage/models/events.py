"""Single requests."""

from django.db import models
from django.db.models import Q

from accounts.scoping import TeamDoor, TeamOwned


class UsageEvent(TeamOwned):
    """One request. Its id is the request's, so that none is counted twice.

    The table is partitioned by the month in which the id, a UUIDv7, was made: so the primary key is
    the id alone, a look-up by it touches one partition, and old months go by dropping a table.
    """

    # As in TeamOwned, without an index of its own, as every request pays for each, and without a
    # constraint: its charge and its hold, in the same transaction, have theirs.
    team = models.ForeignKey(
        "accounts.Team",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField(primary_key=True, editable=False)
    # The order in which requests were written, with gaps; the database counts it.
    seq = models.BigIntegerField(editable=False)
    at = models.DateTimeField()
    # No foreign key: a key that is gone leaves its usage behind.
    api_key_id = models.UUIDField()
    model = models.CharField(max_length=120)
    cluster = models.CharField(max_length=120)  # Empty if no cluster was reached.
    ip = models.GenericIPAddressField()
    status = models.PositiveSmallIntegerField()
    streamed = models.BooleanField()
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField()
    cost_ticks = models.BigIntegerField()
    # The billing items: units, and what they cost.
    prompt_text = models.BigIntegerField()
    cached_prompt_text = models.BigIntegerField()
    prompt_image = models.BigIntegerField()
    completion = models.BigIntegerField()
    reasoning = models.BigIntegerField()
    prompt_text_ticks = models.BigIntegerField()
    cached_prompt_text_ticks = models.BigIntegerField()
    prompt_image_ticks = models.BigIntegerField()
    completion_ticks = models.BigIntegerField()
    reasoning_ticks = models.BigIntegerField()

    of = TeamDoor[models.QuerySet["UsageEvent"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_ticks__gte=0), name="usage_event_cost_not_negative"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-at", "-id"], name="usage_events_newest_first"),
            models.Index(fields=["seq"], name="usage_events_in_order"),
        ]

    def __str__(self) -> str:
        return f"Request {self.pk}"
