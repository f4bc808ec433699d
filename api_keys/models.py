"""Keys that let a program act for a team."""

import uuid
from datetime import date, datetime
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import FilteredRelation, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.scoping import TeamDoor, TeamOwned
from api_keys import rules, secrets


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Reads over a team's keys, and the one way in which their state changes."""

    def not_deleted(self) -> "ApiKeyQuerySet":
        return self.filter(deleted_at=None)

    def newest_first(self) -> "ApiKeyQuerySet":
        return self.order_by("-created_at", "id")

    def in_status(self, status: "ApiKey.Status", now: datetime) -> "ApiKeyQuerySet":
        """Keep the keys of which `status_at` says this."""
        living = self.not_deleted()
        unblocked = living.filter(blocked_at=None)
        unexpired = unblocked.exclude(expires_at__lte=now)
        return {
            ApiKey.Status.DELETED: self.exclude(deleted_at=None),
            ApiKey.Status.BLOCKED: living.exclude(blocked_at=None),
            ApiKey.Status.EXPIRED: unblocked.filter(expires_at__lte=now),
            ApiKey.Status.DISABLED: unexpired.exclude(disabled_at=None),
            ApiKey.Status.ACTIVE: unexpired.filter(disabled_at=None),
        }[status]

    def found_by(self, words: str) -> "ApiKeyQuerySet":
        """Keep the keys whose name has these words in it, or whose secret ends like them."""
        found = Q(name__icontains=words)
        if (
            len(words) >= secrets.SHOWN_LENGTH
        ):  # Of fewer characters there is one in any secret by chance.
            found |= Q(redacted__endswith=words)
        return self.filter(found)

    def with_spent(self, month: date) -> "ApiKeyQuerySet":
        """Add what each key has cost in the month, as `spent_ticks`."""
        # A join, which 100,000 keys can be sorted by; a subquery would run for each of them.
        in_month = FilteredRelation("key_month", condition=Q(key_month__month=month))
        return self.annotate(in_month=in_month, spent_ticks=Coalesce("in_month__spent_ticks", 0))


class ApiKey(TeamOwned):
    """A key as we keep it: the digest of its secret, never the secret.

    The id outlives the secret: usage and the audit log name a key by it, also once it is deleted.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        DISABLED = "disabled", "Disabled"
        EXPIRED = "expired", "Expired"
        BLOCKED = "blocked", "Blocked: leaked"
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
    # What it may be used for: "api-key:endpoint:chat", "api-key:model:*". Without any, nothing.
    acls = ArrayField(models.CharField(max_length=160), default=list, blank=True)
    # Each of these is empty where the key has no such limit of its own.
    expires_at = models.DateTimeField(null=True, blank=True)
    requests_per_second = models.PositiveIntegerField(null=True, blank=True)
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveBigIntegerField(null=True, blank=True)
    monthly_cap_ticks = models.BigIntegerField(null=True, blank=True)
    # Networks in CIDR notation that requests may come from; none: from anywhere.
    networks = ArrayField(models.CharField(max_length=43), default=list, blank=True)
    # When the owner was told that the key is about to expire.
    expiry_told_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    # Its secret was found in public. Only a new secret ends that.
    blocked_at = models.DateTimeField(null=True, blank=True)
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
            models.CheckConstraint(
                condition=~Q(requests_per_second__lt=1)
                & ~Q(requests_per_minute__lt=1)
                & ~Q(tokens_per_minute__lt=1)
                & ~Q(monthly_cap_ticks__lt=0),
                name="api_key_limits_are_limits",
            ),
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
        return self.status_at(timezone.now())

    def status_at(self, now: datetime) -> Status:
        """Say what the gateway makes of the key; the gravest reason to refuse it comes first."""
        if self.deleted_at:
            return self.Status.DELETED
        if self.blocked_at:
            return self.Status.BLOCKED
        if self.expires_at and self.expires_at <= now:
            return self.Status.EXPIRED
        return self.Status.DISABLED if self.disabled_at else self.Status.ACTIVE

    @property
    def expires_in(self) -> str:
        """Say how long a key that works goes on doing so, if that is not long: "3 days"."""
        now = timezone.now()
        if self.status_at(now) != self.Status.ACTIVE:
            return ""
        return rules.expires_in(self.expires_at, now)

    @property
    def may_use(self) -> str:
        return rules.may_use(self.acls)

    @property
    def may_come_from(self) -> str:
        """Name the networks that requests may come from, or nothing where from anywhere."""
        return rules.written(self.networks)


class RetiredSecret(TeamOwned):
    """A secret that a key had before it was rotated. It works until `expires_at`."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret, in hex.
    redacted = models.CharField(max_length=80)
    retired_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    of: ClassVar[TeamDoor[models.QuerySet["RetiredSecret"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="retired_secret_is_sha256"
            ),
        ]
        indexes = [models.Index(fields=["key", "-retired_at"], name="retired_secrets_newest_first")]

    def __str__(self) -> str:
        return self.redacted


class KeyLeak(TeamOwned):
    """A place where a secret of a key was found, as somebody reported it."""

    class Reporter(models.TextChoices):
        GITHUB = "github", "GitHub secret scanning"
        STAFF = "staff", "Support"

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    redacted = models.CharField(max_length=80)  # Which of the key's secrets.
    reporter = models.CharField(max_length=6, choices=Reporter)
    source = models.CharField(max_length=60, blank=True)  # "commit", "gist_content", ...
    url = models.CharField(max_length=1000, blank=True)
    reported_at = models.DateTimeField()

    of: ClassVar[TeamDoor[models.QuerySet["KeyLeak"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key", "redacted", "reporter", "source", "url"], name="key_leak_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.redacted}, found by {self.get_reporter_display()}"

    @property
    def place(self) -> str:
        """What it was found in, in words: "gist content"."""
        return self.source.replace("_", " ")

    @property
    def link(self) -> str:
        """Its address, where a browser can be sent there: anybody may write anything into it."""
        return self.url if self.url.startswith(("https://", "http://")) else ""


class KeyAddress(TeamOwned):
    """An address that a key was used from, and the country that it is in."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    ip = models.GenericIPAddressField()
    # Empty where nobody knows; null until it was looked up.
    country = models.CharField(max_length=120, null=True, blank=True)  # noqa: DJ001 -- see above
    first_used_at = models.DateTimeField()
    last_used_at = models.DateTimeField()

    of: ClassVar[TeamDoor[models.QuerySet["KeyAddress"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "ip"], name="key_address_once"),
        ]
        indexes = [
            models.Index(
                fields=["first_used_at"],
                condition=Q(country=None),
                name="key_address_not_looked_up",
            ),
        ]

    def __str__(self) -> str:
        return self.ip


class KeyMonth(TeamOwned):
    """What a key has cost in one UTC calendar month."""

    # As in TeamOwned, without an index of its own: the one below begins with the team.
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    key = models.ForeignKey(
        ApiKey,
        on_delete=models.CASCADE,
        related_name="+",
        related_query_name="key_month",  # For `with_spent` alone.
        db_index=False,
    )
    month = models.DateField()  # Its first day.
    spent_ticks = models.BigIntegerField(default=0)

    of: ClassVar[TeamDoor[models.QuerySet["KeyMonth"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "month"], name="key_month_once"),
            models.CheckConstraint(condition=Q(spent_ticks__gte=0), name="key_month_not_negative"),
        ]
        indexes = [
            models.Index(fields=["team", "month", "-spent_ticks"], name="key_months_dearest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.key_id} in {self.month:%B %Y}"


class KeySettings(TeamOwned):
    """What a team wants to be told about its keys. A team without a row wants the defaults."""

    team = models.OneToOneField("accounts.Team", on_delete=models.PROTECT, related_name="+")
    mails_new_countries = models.BooleanField(default=True)

    of: ClassVar[TeamDoor[models.QuerySet["KeySettings"]]] = TeamDoor()

    class Meta:
        verbose_name_plural = "key settings"

    def __str__(self) -> str:
        return f"Key settings of {self.team_id}"
