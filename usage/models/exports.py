"""Files of single requests that take too long to be made while somebody waits."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.scoping import TeamDoor, TeamOwned


class UsageExport(TeamOwned):
    """One person's wish for a file of single requests, and how far it has come."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "In progress"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    # Chosen by the form that asks for it, so that a form sent twice asks once.
    id = models.UUIDField(primary_key=True, editable=False)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField()
    query = models.JSONField()  # What rules.requests.Search says of itself.
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    # Only events up to this number are in it, which all existed when it began.
    upto_seq = models.BigIntegerField(null=True, blank=True)
    rows_total = models.BigIntegerField(null=True, blank=True)
    rows_done = models.BigIntegerField(default=0)
    # The last request that is in it: the next part goes on from there.
    last_at = models.DateTimeField(null=True, blank=True)
    last_id = models.UUIDField(null=True, blank=True)
    touched_at = models.DateTimeField()  # When it last came further.
    finished_at = models.DateTimeField(null=True, blank=True)
    bytes = models.BigIntegerField(default=0)

    of = TeamDoor[models.QuerySet["UsageExport"]]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "running", "ready", "failed", "cancelled"]),
                name="usage_export_state_known",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-asked_at", "-id"], name="usage_exports_newest_first"),
        ]

    def __str__(self) -> str:
        return f"Export {self.pk}"

    @property
    def is_active(self) -> bool:
        return self.state in {self.State.WAITING, self.State.RUNNING}

    @property
    def rows_gone(self) -> int:
        """How many requests were dropped, their time being over, before they were written."""
        return max((self.rows_total or 0) - self.rows_done, 0)


class UsageExportPart(TeamOwned):
    """A piece of an export's file, compressed. The file is all of them, in their order."""

    export = models.ForeignKey(UsageExport, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    of = TeamDoor[models.QuerySet["UsageExportPart"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export", "number"], name="usage_export_part_once"),
        ]

    def __str__(self) -> str:
        return f"Part {self.number}"
