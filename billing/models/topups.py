"""When credits are bought without anybody asking."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q, QuerySet

from accounts.scoping import TeamDoor, TeamOwned


class TopUpRule(TeamOwned):
    """Buy so much as soon as prepaid credits fall under so much. One row per team."""

    team = models.OneToOneField("accounts.Team", on_delete=models.PROTECT, related_name="+")
    is_on = models.BooleanField(default=False)
    trigger_cents = models.PositiveBigIntegerField()
    amount_cents = models.PositiveBigIntegerField()
    # The most that a UTC calendar month may buy so.
    month_max_cents = models.PositiveBigIntegerField()
    # Why it was switched off by itself: a failure code of a payment. Empty: by a person.
    stopped_by = models.CharField(max_length=40, blank=True)
    # The buyer of what is bought so.
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField()

    of = TeamDoor[QuerySet["TopUpRule"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_cents__gt=0, month_max_cents__gte=F("amount_cents")),
                name="top_up_rule_month_allows_one",
            ),
        ]
        indexes = [
            models.Index(fields=["team"], condition=Q(is_on=True), name="top_up_rules_on"),
        ]

    def __str__(self) -> str:
        return f"Top-up rule of {self.team}"
