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
from accounts.scoping import TeamDoor, TeamOwned

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

    def present(self) -> models.QuerySet["User"]:
        """Find who can be counted on: neither closed by support nor about to be deleted."""
        return self.filter(is_active=True, deletion_requested_at=None)

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

    A row outlives its person: once deleted and erased, it is a bare id that keys, purchases and
    the audit log go on naming.
    """

    class Theme(models.TextChoices):
        SYSTEM = "", "System"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    class SignInMail(models.TextChoices):
        NEW = "new", "From a new device or place"
        EACH = "each", "On each sign-in"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()
    name = models.CharField(max_length=NAME_MAX_LENGTH, blank=True)
    timezone = models.CharField(max_length=64, default=UNKNOWN_ZONE)
    theme = models.CharField(max_length=5, choices=Theme, blank=True, default=Theme.SYSTEM)
    sign_in_mail = models.CharField(max_length=4, choices=SignInMail, default=SignInMail.NEW)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=now)
    # Of the password, if there is one; not known for those that were set before it was kept.
    password_set_at = models.DateTimeField(null=True, blank=True)
    password_used_at = models.DateTimeField(null=True, blank=True)
    # From when the person, or support, asked to delete the account. Until it is erased, 30 days
    # later, its person can sign in and restore it, and open nothing else.
    deletion_requested_at = models.DateTimeField(null=True, blank=True)
    # From when nothing personal is left of it.
    erased_at = models.DateTimeField(null=True, blank=True)
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
        return self.pseudonym if self.erased_at else self.name or self.email

    @property
    def pseudonym(self) -> str:
        """What the account is called once nobody may be able to tell whose it was."""
        return f"Deleted account {str(self.pk)[:8]}"

    @property
    def is_leaving(self) -> bool:
        """Whether the account is to be deleted, and can still be restored."""
        return self.deletion_requested_at is not None and self.erased_at is None

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
    # The team that came with an account. It has one member for life, its person.
    is_personal = models.BooleanField(default=False)
    # Members without a second factor can open only the page that sets one up.
    requires_mfa = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now)
    # A closed team has no members and no working keys. Its row stays for its money and its log.
    closed_at = models.DateTimeField(null=True, blank=True)
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
    # When the person last opened a page of this team; to within five minutes.
    last_seen_at = models.DateTimeField(null=True, blank=True)

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

    @property
    def may_also(self) -> str:
        """What the single permissions add, in words."""
        return "" if self.is_admin else rules.in_words(self.extra_permissions)

    @property
    def as_what(self) -> str:
        return rules.as_what(is_admin=self.is_admin, permissions=self.extra_permissions)


class Invitation(TeamOwned):
    """An offer, mailed to one address, to join a team. It is open until one of its ends is set."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()  # In lower case.
    role = models.CharField(max_length=6, choices=Membership.Role, default=Membership.Role.MEMBER)
    extra_permissions = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    # SHA-256 of the token in the mailed link, in hex. Sending again makes a new token.
    digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    of: ClassVar[TeamDoor[models.QuerySet["Invitation"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "email"],
                condition=Q(accepted_at=None, revoked_at=None),
                name="invitation_once_while_open",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_admin(self) -> bool:
        return self.role == Membership.Role.ADMIN

    @property
    def may_also(self) -> str:
        return "" if self.is_admin else rules.in_words(self.extra_permissions)

    @property
    def as_what(self) -> str:
        return rules.as_what(is_admin=self.is_admin, permissions=self.extra_permissions)


class SignIn(models.Model):
    """One completed sign-in: what its mail told, and how the next one knows what is new."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    ip = models.GenericIPAddressField(null=True, blank=True)
    device = models.CharField(max_length=120)  # "Firefox on Linux".
    place = models.CharField(max_length=120, blank=True)  # "Berlin, Germany"; empty: not known.

    class Meta:
        indexes = [models.Index(fields=["user", "-at"], name="sign_in_of_user_newest")]

    def __str__(self) -> str:
        return f"{self.user} from {self.device}"


class EmailChange(models.Model):
    """A change of somebody's e-mail, which whoever reads the old address can undo for a while."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    from_email = models.EmailField()
    to_email = models.EmailField()
    changed_at = models.DateTimeField()
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the mailed token, in hex.
    undone_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.from_email} to {self.to_email}"
