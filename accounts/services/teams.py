"""Teams and who is in them: making one, letting people in, and which comes first."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Lower
from django.http import Http404

from accounts.actors import Actor
from accounts.consequences import Consequence, gather, refuse_blocked
from accounts.models import Invitation, Membership, Team, User
from accounts.rules import Permission
from accounts.signals import account_changed, team_closed, team_closing

MAX_TEAMS = 50


class TooManyTeamsError(Exception):
    """Someone makes teams without end."""

    def __init__(self) -> None:
        super().__init__(
            f"You are in {MAX_TEAMS} teams, and nobody can be in more. "
            "Use one of them, or ask support to remove those that are no longer needed."
        )


class TeamClosedError(Http404):
    """Someone changes a team that was deleted meanwhile. For everybody it is not there any more."""

    def __init__(self, team: Team) -> None:
        super().__init__(f"The team {team.name} was deleted.")


def lock_team(team: Team) -> Team:
    """Lock the team's row until the transaction ends, and read it anew.

    Whatever changes who is in a team, or must not happen while it closes, begins with this, and
    locks nothing else before. Rows that merely name the team can be written meanwhile.

    Raises TeamClosedError.
    """
    locked = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    if locked.closed_at:
        raise TeamClosedError(locked)
    return locked


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


def closing(team: Team, *, now: datetime) -> list[Consequence]:
    """Say what closing the team takes with it; what stops it comes first."""
    return gather(team_closing, team=team, now=now)


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
    members = (
        Membership.objects.filter(team=team).select_related("user").order_by("joined_at", "pk")
    )
    before = {"name": team.name, "members": [member.user.display_name for member in members]}
    team.closed_at = now
    team.save(update_fields=["closed_at"])
    account_changed.send(
        sender=Team,
        operation="DeleteTeam",
        team=team,
        actor=actor,
        description=f"Deleted the team {team.name}",
        target=team,
        before=before,
        after={"consequences": [consequence.text for consequence in told]},
        now=now,
    )
    members.delete()
    Invitation.of(team).filter(accepted_at=None, revoked_at=None).update(revoked_at=now)
    team_closed.send(sender=Team, team=team, actor=actor, now=now)


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
