"""Rules that mail somebody when something costs more than it should."""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.scoping import TeamDoor, TeamOwned


class UsageAlert(TeamOwned):
    """A person's wish to be mailed when an hour or a day costs more than so much.

    What is watched is the whole team, or one key by its id, or one model by its name.
    """

    class Watched(models.TextChoices):
        TEAM = "", "The whole team"
        API_KEY = "api_key", "One API key"
        MODEL = "model", "One model"

    class Per(models.TextChoices):
        HOUR = "hour", "Hour"
        DAY = "day", "Day"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Its days and hours are those of this person's time zone.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    watched = models.CharField(max_length=7, choices=Watched, blank=True, default=Watched.TEAM)
    value = models.CharField(max_length=120, blank=True)
    per = models.CharField(max_length=4, choices=Per)
    limit_ticks = models.BigIntegerField()
    to_admins = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()
    # Since when it asks what it asks now. Hours and days that ended before are not told of.
    since = models.DateTimeField()

    of = TeamDoor[models.QuerySet["UsageAlert"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(limit_ticks__gt=0), name="usage_alert_limit_positive"
            ),
            models.CheckConstraint(
                condition=Q(watched="", value="")
                | (Q(watched__in=["api_key", "model"]) & ~Q(value="")),
                name="usage_alert_watches_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"More than {self.limit_ticks} ticks per {self.per}"


class UsageAlertMail(TeamOwned):
    """One hour or day of which an alert told, so that it tells of it once.

    An alert that was changed to ask something else may tell of the same hour or day again.
    """

    alert = models.ForeignKey(UsageAlert, on_delete=models.CASCADE, related_name="mails")
    since = models.DateTimeField()  # The alert's, when it told.
    begins_at = models.DateTimeField()
    cost_ticks = models.BigIntegerField()  # What it had come to by then.
    sent_at = models.DateTimeField()

    of = TeamDoor[models.QuerySet["UsageAlertMail"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["alert", "since", "begins_at"], name="usage_alert_tells_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Mail about {self.begins_at:%Y-%m-%d %H:%M}"
