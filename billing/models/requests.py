"""What requests set aside and what they cost."""

from django.db import models
from django.db.models import Q, QuerySet
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned
from billing.rules import usd


class Hold(TeamOwned):
    """Credits set aside for one request in flight. Ends exactly once. Its id is the request's."""

    class State(models.TextChoices):
        LIVE = "live", "Live"
        SETTLED = "settled", "Settled"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Expired"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # What asks, and for what: whoever limits these sums up the live holds, so that no counter of
    # its own can drift away from them. No foreign key: api_keys is a sibling.
    api_key_id = models.UUIDField(null=True, blank=True)
    model = models.CharField(max_length=120, blank=True)
    tokens = models.BigIntegerField(default=0)  # That it may use, in prompt and answer together.
    amount_ticks = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.LIVE)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    of = TeamDoor[QuerySet["Hold"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_ticks__gte=0), name="hold_not_negative"),
            models.CheckConstraint(
                condition=Q(state="live", ended_at__isnull=True)
                | (~Q(state="live") & Q(ended_at__isnull=False)),
                name="hold_ended_unless_live",
            ),
        ]
        indexes = [
            models.Index(
                fields=["team", "expires_at"], condition=Q(state="live"), name="hold_live"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()} hold of {usd(self.amount_ticks)}"


class Charge(TeamOwned):
    """What one request cost. Written once; the hold with the same id is what made room for it."""

    id = models.UUIDField(primary_key=True, editable=False)
    cost_ticks = models.BigIntegerField()
    # What the upstream reported beyond the hold: nobody's debt, but the operator should know.
    loss_ticks = models.BigIntegerField(default=0)
    model = models.CharField(max_length=120)
    # [[billing item, quantity, unit price in ticks], ...]: a later price change alters nothing.
    lines = models.JSONField()
    # The upstream did not say what it used, so the gateway counted.
    is_estimated = models.BooleanField(default=False)
    charged_at = models.DateTimeField()

    of = TeamDoor[QuerySet["Charge"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_ticks__gte=0, loss_ticks__gte=0), name="charge_not_negative"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-charged_at"], name="charges_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{usd(self.cost_ticks)} for {self.model}"
