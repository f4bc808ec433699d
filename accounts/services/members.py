"""Who is in a team and what they may do there; a team is never left without an admin."""

from collections.abc import Collection, Iterable
from datetime import datetime

from allauth.account.adapter import get_adapter
from django.db import transaction

from accounts import signals
from accounts.actors import Actor
from accounts.consequences import Consequence, gather, refuse_blocked
from accounts.models import Membership, Team, User
from accounts.rules import Permission, beyond_member
from accounts.services.invitations import revoke_unbacked
from accounts.services.locks import lock_team
from accounts.services.rights import (
    LastAdminError,
    effective,
    other_admins,
    refuse_personal,
    require,
    require_admin,
    require_may_give,
    standing_of,
)
from accounts.services.teams import enter, shown


class NotMemberError(Exception):
    """Someone changes the standing of a person who has none in this team, any more."""

    def __init__(self, team: Team) -> None:
        # Not who: the account may be a stranger's, named by its id alone.
        super().__init__(f"This person is not in {team.name} any more.")


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
    """Let somebody into a team. Does not ask whether the actor may, nor whether the person wants.

    Raises TooManyTeamsError, LeavingError, and IntegrityError for who is in it already.
    """
    team = lock_team(team)
    membership = enter(
        team=team, user=user, role=role, extra_permissions=extra_permissions, now=now
    )
    signals.announce(
        operation="AddMember",
        description=f"Added {user.display_name} to the team",
        team=team,
        target=user,
        after=shown(membership),
        actor=actor,
        now=now,
    )
    return membership


def leaving(team: Team, user: User, *, now: datetime) -> list[Consequence]:
    """Say what becomes of what the person has in the team when they go."""
    return gather(signals.member_leaving, team=team, user=user, now=now)


@transaction.atomic
def update_member(
    *,
    team: Team,
    user: User,
    role: Membership.Role,
    extra_permissions: Collection[Permission],
    actor: Actor,
    now: datetime,
) -> None:
    """Change what a member may do in the team. What they may do already is no change.

    Raises NotPermittedError, LastAdminError and NotMemberError.
    """
    team = lock_team(team)
    refuse_personal(team)
    membership = _membership(team, user)
    extra = [] if role == Membership.Role.ADMIN else beyond_member(extra_permissions)
    changed = effective(membership.extra_permissions) ^ effective(extra)
    require_may_give(standing_of(actor, team), role, changed, instead_of=membership.role)
    before = shown(membership)
    if membership.is_admin and role != Membership.Role.ADMIN:
        _require_another_admin(team, user)
    membership.role, membership.extra_permissions = role, extra
    after = shown(membership)
    if after == before:
        return
    membership.save(update_fields=["role", "extra_permissions"])
    signals.announce(
        operation="UpdateMember",
        description=f"Changed what {user.display_name} may do in the team",
        team=team,
        target=user,
        before=before,
        after=after,
        actor=actor,
        now=now,
    )
    revoke_unbacked(team=team, inviter=user, actor=actor, now=now)
    _tell("role_changed", membership, actor)


@transaction.atomic
def remove_member(*, team: Team, user: User, actor: Actor, now: datetime) -> None:
    """Take somebody out of the team. What they made there stays with it.

    Raises NotPermittedError, LastAdminError, NotMemberError and BlockedError.
    """
    team = lock_team(team)
    refuse_personal(team)
    giver = standing_of(actor, team)
    require(giver, Permission.TEAM_WRITE)
    membership = _membership(team, user)
    if membership.is_admin:
        require_admin(giver, "remove an admin")
    told = f"Removed {user.display_name} from the team"
    _take_out(membership, team, operation="RemoveMember", told=told, actor=actor, now=now)
    _tell("member_removed", membership, actor)


@transaction.atomic
def leave_team(*, team: Team, user: User, actor: Actor, now: datetime) -> None:
    """Go out of a team by oneself, with the invitations that one sent.

    Raises LastAdminError, NotMemberError and BlockedError.
    """
    team = lock_team(team)
    refuse_personal(team)
    membership = _membership(team, user)
    told = f"Left the team {team.name}"
    _take_out(membership, team, operation="LeaveTeam", told=told, actor=actor, now=now)


def is_last_admin(membership: Membership) -> bool:
    """Say whether the team would be without an admin if this member were none."""
    return membership.is_admin and not other_admins(membership.team, membership.user).exists()


def _take_out(
    membership: Membership, team: Team, *, operation: str, told: str, actor: Actor, now: datetime
) -> None:
    user = membership.user
    if membership.is_admin:
        _require_another_admin(team, user)
    refuse_blocked(leaving(team, user, now=now))
    Membership.objects.filter(pk=membership.pk).delete()
    signals.announce(
        operation=operation,
        description=told,
        team=team,
        target=user,
        before=shown(membership),
        actor=actor,
        now=now,
    )
    revoke_unbacked(team=team, inviter=user, actor=actor, now=now)


def _membership(team: Team, user: User) -> Membership:
    membership = Membership.objects.filter(team=team, user=user).first()
    if membership is None:
        raise NotMemberError(team)
    membership.team, membership.user = team, user
    return membership


def _require_another_admin(team: Team, user: User) -> None:
    if not other_admins(team, user).exists():
        raise LastAdminError(team)


def _tell(mail: str, membership: Membership, actor: Actor) -> None:
    """Mail a member what was done about them, unless they did it."""
    if actor.user == membership.user:
        return
    get_adapter().send_mail(
        f"accounts/email/{mail}",
        membership.user.email,
        {
            "team": membership.team,
            "membership": membership,
            "user": membership.user,
            "actor": actor,
        },
    )
