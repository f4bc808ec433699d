"""What accounts can be asked for: making people and teams, and which team comes first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import transaction
from django.db.models.functions import Lower

from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from accounts.signals import account_changed

MAX_TEAMS = 50


class TooManyTeamsError(Exception):
    """Someone makes teams without end."""

    def __init__(self) -> None:
        super().__init__(
            f"You are in {MAX_TEAMS} teams, and nobody can be in more. "
            "Use one of them, or ask support to remove those that are no longer needed."
        )


@transaction.atomic
def create_team(
    *, name: str, owner: User, personal: bool = False, actor: Actor, now: datetime
) -> Team:
    """Make a team whose one admin is its owner.

    Raises TooManyTeamsError.
    """
    if not personal and Membership.objects.filter(user=owner).count() >= MAX_TEAMS:
        raise TooManyTeamsError
    team = Team(name=name, is_personal=personal, created_at=now)
    team.save()
    Membership(team=team, user=owner, role=Membership.Role.ADMIN, joined_at=now).save()
    account_changed.send(
        sender=Team,
        operation="CreateTeam",
        team=team,
        actor=actor,
        description=f"Created the team {name}",
        target=team,
        before={},
        after={"name": name},
        now=now,
    )
    return team


@transaction.atomic
def add_member(
    *,
    team: Team,
    user: User,
    role: Membership.Role,
    extra_permissions: Iterable[Permission] = (),
    actor: Actor,
    now: datetime,
) -> Membership:
    """Let somebody into a team. Raises IntegrityError for who is in it already."""
    extra = sorted(extra_permissions)
    membership = Membership(team=team, user=user, role=role, extra_permissions=extra, joined_at=now)
    membership.save(force_insert=True)
    account_changed.send(
        sender=Membership,
        operation="AddMember",
        team=team,
        actor=actor,
        description=f"Added {user.display_name} to the team",
        target=user,
        before={},
        after={"email": user.email, "role": str(role), "permissions": [str(p) for p in extra]},
        now=now,
    )
    return membership


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
    account_changed.send(
        sender=User,
        operation="AddStaff",
        team=personal_team(user),
        actor=SYSTEM,
        description=f"Made {user.display_name} staff on the command line",
        target=user,
        before={},
        after={"email": user.email, "is_staff": True, "is_superuser": True},
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
    account_changed.send(
        sender=User,
        operation="UpdatePerson",
        team=personal_team(person),
        actor=actor,
        description=f"Changed what the account of {person.display_name} may do",
        target=person,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
        now=now,
    )


def teams_of(user: User) -> list[Membership]:
    """Everywhere the person belongs, with the team: the personal team first, then by name."""
    memberships = Membership.objects.filter(user=user).select_related("team")
    return list(
        memberships.order_by("-team__is_personal", Lower("team__name"), "joined_at", "team_id")
    )


def personal_team(user: User) -> Team:
    """Find the team that came with the account."""
    own = Membership.objects.filter(user=user, role=Membership.Role.ADMIN, team__is_personal=True)
    return own.select_related("team").earliest("joined_at", "pk").team


def default_team(user: User) -> Team:
    """Choose where /team/default/ leads: the last team used if still a member, or the personal."""
    if user.last_team_id is not None:
        used = Membership.objects.filter(user=user, team_id=user.last_team_id)
        if membership := used.select_related("team").first():
            return membership.team
    return personal_team(user)


def announce(*, operation: str, description: str, user: User, actor: Actor, now: datetime) -> None:
    """Tell the audit log what a person did with their own account.

    It stands in the log of their personal team. That a person signs in is nothing that the admins
    of their other teams may read.
    """
    account_changed.send(
        sender=User,
        operation=operation,
        team=personal_team(user),
        actor=actor,
        description=description,
        target=user,
        before={},
        after={},
        now=now,
    )
