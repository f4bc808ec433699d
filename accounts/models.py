"""People, the teams they belong to, and what each team lets them do."""

import uuid
import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.utils.timezone import now

from accounts import rules

NAME_MAX_LENGTH = 80
UNKNOWN_ZONE = "UTC"
# "!" is how Django marks a password that nobody can enter.
HAS_PASSWORD = ~Q(password__startswith="!")  # noqa: S106


class UserManager(BaseUserManager["User"]):
    """Makes people. Sign-up goes through allauth; this is for commands and tests."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def with_password(self, email: str) -> "User | None":
        """Find the account that this e-mail and a password sign in to; there is at most one."""
        # PostgreSQL lowers both, as its constraint does.
        same = self.alias(lowered=Lower("email")).filter(lowered=Lower(Value(email)))
        return same.filter(HAS_PASSWORD).first()

    def get_by_natural_key(self, username: str | None) -> "User":
        user = self.with_password(username or "")
        if user is None:
            raise User.DoesNotExist
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person who can sign in.

    The e-mail is not unique: one person may have several accounts of different sign-in methods
    with one address. At most one of them has a password, so that e-mail sign-in is never ambiguous.
    """

    class Theme(models.TextChoices):
        SYSTEM = "", "System"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()
    name = models.CharField(max_length=NAME_MAX_LENGTH, blank=True)
    timezone = models.CharField(max_length=64, default=UNKNOWN_ZONE)
    theme = models.CharField(max_length=5, choices=Theme, blank=True, default=Theme.SYSTEM)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=now)
    last_team = models.ForeignKey(
        "Team", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                condition=HAS_PASSWORD,
                name="user_one_password_per_email",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        return self.name or self.email

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        try:
            return zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return zoneinfo.ZoneInfo(UNKNOWN_ZONE)


class Team(models.Model):
    """The tenant: keys, credits, invoices and usage all belong to a team, never to a person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    is_personal = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's standing in one team."""

    class Role(models.TextChoices):
        ADMIN = "admin", "Admin"
        MEMBER = "member", "Member"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=6, choices=Role, default=Role.MEMBER)
    # Single permissions on top of the role's, as admins give them.
    extra_permissions = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    joined_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="membership_once_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"

    @property
    def is_admin(self) -> bool:
        return self.role == self.Role.ADMIN

    @property
    def permissions(self) -> frozenset[rules.Permission]:
        if self.is_admin:
            return rules.ADMIN_PERMISSIONS
        return rules.with_reading(rules.MEMBER_PERMISSIONS | rules.known(self.extra_permissions))
