"""People: making one on the command line, what their account may do, and telling the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import transaction

from accounts import signals
from accounts.actors import SYSTEM, Actor
from accounts.models import User
from accounts.services.teams import personal_team


@transaction.atomic
def add_person(
    *,
    email: str,
    password: str,
    name: str,
    is_staff: bool = False,
    is_superuser: bool = False,
    now: datetime,
) -> User:
    """Make an account as sign-up does, with an address that counts as confirmed.

    For commands. Sign-up itself goes through allauth.
    """
    user = User.objects.create_user(
        email.lower(),
        password,
        name=name,
        is_staff=is_staff,
        is_superuser=is_superuser,
        date_joined=now,
        password_set_at=now,
    )
    EmailAddress(user=user, email=user.email, primary=True, verified=True).save()
    return user


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStaff:
    """Somebody who may open the admin, with the secrets that nobody can ask for again."""

    user: User
    secret: str
    recovery_codes: list[str]


@transaction.atomic
def add_staff(*, email: str, password: str, name: str, now: datetime) -> NewStaff:
    """Make a superuser with a second factor, without which the admin stays closed. For commands."""
    user = add_person(
        email=email, password=password, name=name, is_staff=True, is_superuser=True, now=now
    )
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    codes = RecoveryCodes.activate(user).get_unused_codes()
    announce(
        operation="AddStaff",
        description=f"Made {user.display_name} staff on the command line",
        user=user,
        after={"email": user.email, "is_staff": True, "is_superuser": True},
        actor=SYSTEM,
        now=now,
    )
    return NewStaff(user=user, secret=secret, recovery_codes=codes)


def standing(person: User) -> dict[str, Any]:
    """Say what the account itself may do, beside what teams let it: as audit logs show it."""
    return {
        "is_active": person.is_active,
        "is_staff": person.is_staff,
        "is_superuser": person.is_superuser,
        "groups": [group.name for group in person.groups.order_by("name")],
        "user_permissions": [
            f"{permission.content_type.app_label}.{permission.codename}"
            for permission in person.user_permissions.select_related("content_type")
        ],
    }


def announce_standing(*, person: User, before: dict[str, Any], actor: Actor, now: datetime) -> None:
    """Tell the audit log, in the transaction of the change, how `standing` was changed."""
    after = standing(person)
    changed = [name for name in after if after[name] != before[name]]
    if not changed:
        return
    announce(
        operation="UpdatePerson",
        description=f"Changed what the account of {person.display_name} may do",
        user=person,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
        actor=actor,
        now=now,
    )


def announce(
    *,
    operation: str,
    description: str,
    user: User,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """Tell the audit log what a person did with their own account.

    It stands in the log of their personal team. That a person signs in is nothing that the admins
    of their other teams may read.
    """
    signals.announce(
        operation=operation,
        description=description,
        team=personal_team(user),
        target=user,
        before=before,
        after=after,
        actor=actor,
        now=now,
    )
