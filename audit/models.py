"""Who did what, to which team, and when. Rows are added and read, nothing else."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.actors import ActorKind
from accounts.scoping import TeamDoor, TeamOwned


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Reads over a team's audit log."""

    def newest_first(self) -> "AuditEventQuerySet":
        """By time, and within one instant by id, which counts up (UUIDv7)."""
        return self.order_by("-happened_at", "-id")

    def oldest_first(self) -> "AuditEventQuerySet":
        return self.order_by("happened_at", "id")

    def older_than(self, event: "AuditEvent") -> "AuditEventQuerySet":
        """Keep what follows the event on the page. The last condition is what the index seeks."""
        at = event.happened_at
        return self.filter(Q(happened_at__lt=at) | Q(id__lt=event.pk), happened_at__lte=at)

    def newer_than(self, event: "AuditEvent") -> "AuditEventQuerySet":
        at = event.happened_at
        return self.filter(Q(happened_at__gt=at) | Q(id__gt=event.pk), happened_at__gte=at)


class AuditEvent(TeamOwned):
    """One operation of a person, a key, staff or the system.

    Never changed and never deleted: a trigger in the database refuses both, whoever asks. Its one
    exception: once a person is erased, a pseudonym stands where their name and addresses stood.
    What a later release has to add about a row (its seal) goes to a table of its own.
    """

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        DENIED = "denied", "Denied"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Empty for what a person does with their account alone, such as signing in. No team's log
    # shows it: `of(team)` never meets an empty team.
    team = models.ForeignKey(  # type: ignore[assignment]
        "accounts.Team", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    happened_at = models.DateTimeField()
    operation = models.CharField(max_length=60)
    description = models.TextField()
    actor_kind = models.CharField(
        max_length=6, choices=[(kind.value, kind.value.capitalize()) for kind in ActorKind]
    )
    actor_label = models.TextField()
    # No constraint and no action on deletion: when a person is deleted the row must not change,
    # and the bare id that stays says "the same person" without saying who.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
    )
    key_id = models.UUIDField(null=True, blank=True)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=80, blank=True)
    target_label = models.TextField(blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.TextField(blank=True)
    outcome = models.CharField(max_length=6, choices=Outcome, default=Outcome.DONE)
    is_change = models.BooleanField(default=False)
    before = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)

    of = TeamDoor(AuditEventQuerySet)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=["done", "denied", "failed"]),
                name="audit_event_outcome_known",
            ),
            models.CheckConstraint(
                condition=Q(is_change=False) | Q(outcome="done"),
                name="audit_event_change_was_done",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-happened_at", "-id"], name="audit_log_newest_first"),
            models.Index(
                fields=["team", "-happened_at", "-id"],
                condition=Q(is_change=True),
                name="audit_recent_changes",
            ),
            models.Index(
                fields=["team", "target_id", "-happened_at", "-id"],
                condition=Q(is_change=True),
                name="audit_changes_of_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} by {self.actor_label}"
