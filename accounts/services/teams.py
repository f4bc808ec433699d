"""Teams: making, changing and ending one, and which of a person's teams comes first."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from allauth.account.adapter import get_adapter
from django.db import transaction
from django.db.models.functions import Lower

from accounts import signals
from accounts.actors import Actor
from accounts.consequences import Consequence, gather, refuse_blocked
from accounts.devices import has_factor
from accounts.models import Invitation, Membership, Team, User
from accounts.rules import Permission
from accounts.services.locks import lock_person, lock_team
from accounts.services.rights import refuse_personal, require, require_admin, standing_of

MAX_TEAMS = 50


class TooManyTeamsError(Exception):
    """Someone makes teams without end."""

    def __init__(self) -> None:
        super().__init__(
            f"You are in {MAX_TEAMS} teams, and nobody can be in more. "
            "Leave or delete those that are no longer needed."
        )


class FactorNeededError(Exception):
    """Someone asks of others what they do not do themselves."""

    def __init__(self) -> None:
        super().__init__(
            "You have no second factor yet, so this would lock you out too. Set one up first."
        )


class LeavingError(Exception):
    """Someone who is about to be deleted comes into a team: nobody could count on them there."""

    def __init__(self) -> None:
        super().__init__(
            "This account is about to be deleted, so it can come into no team. Restore it first."
        )


@transaction.atomic
def create_team(
    *, name: str, owner: User, personal: bool = False, actor: Actor, now: datetime
) -> Team:
    """Make a team whose one admin is its owner.

    Raises TooManyTeamsError and LeavingError.
    """
    if not personal:
        _require_room(owner)
    team = Team(name=name, is_personal=personal, created_at=now)
    team.save()
    Membership(team=team, user=owner, role=Membership.Role.ADMIN, joined_at=now).save()
    signals.announce(
        operation="CreateTeam",
        description=f"Created the team {name}",
        team=team,
        target=team,
        after={"name": name},
        actor=actor,
        now=now,
    )
    return team


def enter(
    *,
    team: Team,
    user: User,
    role: str,
    extra_permissions: Iterable[Permission | str],
    now: datetime,
) -> Membership:
    """Write a membership, under the team's lock. For services that announce it in their words.

    Raises TooManyTeamsError and LeavingError.
    """
    refuse_personal(team)
    _require_room(user)
    membership = Membership(
        team=team,
        user=user,
        role=role,
        extra_permissions=sorted(extra_permissions),
        joined_at=now,
    )
    membership.save(force_insert=True)
    return membership


def _require_room(user: User) -> None:
    """Make sure, until the transaction ends, that the person can come into one more team."""
    if lock_person(user.pk).deletion_requested_at:
        raise LeavingError
    if Membership.objects.filter(user=user).count() >= MAX_TEAMS:
        raise TooManyTeamsError


def shown(membership: Membership) -> dict[str, Any]:
    """Say what a standing is, as audit logs show it."""
    return {
        "email": membership.user.email,
        "role": str(membership.role),
        "permissions": [str(permission) for permission in membership.extra_permissions],
    }


@transaction.atomic
def rename_team(*, team: Team, name: str, actor: Actor, now: datetime) -> None:
    """Give the team another name. The same name again is no change."""
    team = lock_team(team)
    require(standing_of(actor, team), Permission.TEAM_WRITE)
    if name == team.name:
        return
    before, team.name = team.name, name
    team.save(update_fields=["name"])
    signals.announce(
        operation="UpdateTeam",
        description=f"Renamed the team {before} to {name}",
        team=team,
        target=team,
        before={"name": before},
        after={"name": name},
        actor=actor,
        now=now,
    )


@transaction.atomic
def set_mfa_policy(*, team: Team, required: bool, actor: Actor, now: datetime) -> None:
    """Say whether only members with a second factor may open the team's pages.

    Raises FactorNeededError for who would lock themselves out.
    """
    team = lock_team(team)
    refuse_personal(team)
    require(standing_of(actor, team), Permission.TEAM_WRITE)
    if required == team.requires_mfa:
        return
    if required and actor.user is not None and not has_factor(actor.user):
        raise FactorNeededError
    team.requires_mfa = required
    team.save(update_fields=["requires_mfa"])
    told = "Required a second factor" if required else "Stopped requiring a second factor"
    signals.announce(
        operation="UpdateTeam",
        description=f"{told} of the members of {team.name}",
        team=team,
        target=team,
        before={"requires_mfa": not required},
        after={"requires_mfa": required},
        actor=actor,
        now=now,
    )


def closing(team: Team, *, now: datetime) -> list[Consequence]:
    """Say what closing the team takes with it; what stops it comes first."""
    return gather(signals.team_closing, team=team, now=now)


@transaction.atomic
def close_team(*, team: Team, actor: Actor, now: datetime) -> None:
    """End a team for good: its keys stop, its credits are forfeited, nobody is in it any more.

    The row stays for its money and its log, which staff can still read. Does not ask whether the
    actor may; `delete_team` does.

    Raises BlockedError while something has to be done first, and TeamClosedError.
    """
    team = lock_team(team)
    told = closing(team, now=now)
    refuse_blocked(told)
    members = Membership.objects.filter(team=team)
    # How many, not who: no event about one thing tells of others, who may be erased one day.
    before = {"name": team.name, "members": members.count()}
    team.closed_at = now
    team.save(update_fields=["closed_at"])
    signals.announce(
        operation="DeleteTeam",
        description=f"Deleted the team {team.name}",
        team=team,
        target=team,
        before=before,
        after={"consequences": [consequence.text for consequence in told]},
        actor=actor,
        now=now,
    )
    members.delete()
    Invitation.of(team).filter(accepted_at=None, revoked_at=None).update(revoked_at=now)
    signals.team_closed.send(sender=Team, team=team, actor=actor, now=now)


@transaction.atomic
def delete_team(*, team: Team, actor: Actor, now: datetime) -> None:
    """Close a team as one of its admins, and tell everybody who was in it.

    Raises BlockedError while something has to be done first, and TeamClosedError.
    """
    team = lock_team(team)
    refuse_personal(team)
    require_admin(standing_of(actor, team), "delete it")
    members = list(Membership.objects.filter(team=team).select_related("user").order_by("pk"))
    close_team(team=team, actor=actor, now=now)
    for member in members:
        get_adapter().send_mail(
            "accounts/email/team_deleted",
            member.user.email,
            {"team": team, "actor": actor, "user": member.user, "at": now},
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
