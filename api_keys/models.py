"""Keys that let a program act for a team."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.scoping import TeamDoor, TeamOwned


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Reads over a team's keys, and the one way in which their state changes."""

    def not_deleted(self) -> "ApiKeyQuerySet":
        return self.filter(deleted_at=None)

    def newest_first(self) -> "ApiKeyQuerySet":
        return self.order_by("-created_at", "id")


class ApiKey(TeamOwned):
    """A key as we keep it: the digest of its secret, never the secret.

    The id outlives the secret: usage and the audit log name a key by it, also once it is deleted.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        DISABLED = "disabled", "Disabled"
        DELETED = "deleted", "Deleted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64)  # SHA-256 of the secret, in hex.
    redacted = models.CharField(max_length=80)  # "ck-…4f9a".
    # Empty for a key that no person made. A person who owns keys cannot be deleted before it is
    # decided what becomes of the programs that use them.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    # Written by the gateway, often. No index may hold them, so that PostgreSQL can rewrite the
    # row in place.
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)

    of = TeamDoor(ApiKeyQuerySet)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="api_key_digest_once"),
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="api_key_digest_is_sha256"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="api_key_has_a_name"),
        ]
        indexes = [
            models.Index(
                fields=["team", "-created_at", "id"],
                condition=Q(deleted_at=None),
                name="api_key_list_newest_first",
            ),
            models.Index(
                fields=["team", "owner", "-created_at", "id"],
                condition=Q(deleted_at=None),
                name="api_key_own_newest_first",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> Status:
        if self.deleted_at:
            return self.Status.DELETED
        return self.Status.DISABLED if self.disabled_at else self.Status.ACTIVE
