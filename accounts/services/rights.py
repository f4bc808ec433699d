"""What one member of a team may do about another, checked where it is done."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet
from django.utils.text import get_text_list

from accounts.actors import Actor, ActorKind
from accounts.models import Membership, Team, User
from accounts.rules import (
    ADMIN_PERMISSIONS,
    MEMBER_PERMISSIONS,
    Permission,
    known,
    with_reading,
)


class Standing(Protocol):
    """What somebody may do in a team, as a membership says it."""

    @property
    def is_admin(self) -> bool: ...
    @property
    def permissions(self) -> frozenset[Permission]: ...


@dataclass(frozen=True, slots=True)
class _Everything:
    """The standing of support and of the console itself, in every team."""

    is_admin: bool = True
    permissions: frozenset[Permission] = ADMIN_PERMISSIONS


EVERYTHING: Final = _Everything()


class NotPermittedError(PermissionDenied):
    """Someone does what their standing in the team does not allow. Answered with 403."""


class PersonalTeamError(PermissionDenied):
    """Someone treats a personal team as one of several people. Answered with 403."""

    def __init__(self, team: Team) -> None:
        super().__init__(
            f"{team.name} is the personal team of one account, and stays it. "
            "Create a team to work with others."
        )


class LastAdminError(Exception):
    """Nobody would be left to look after the team."""

    def __init__(self, team: Team) -> None:
        super().__init__(
            f"{team.name} has no other admin. Make somebody else an admin first, or delete the "
            "team."
        )


def refuse_personal(team: Team) -> None:
    if team.is_personal:
        raise PersonalTeamError(team)


def present_admins() -> QuerySet[Membership]:
    """Find the admins, of all teams, who can be counted on."""
    return Membership.objects.filter(role=Membership.Role.ADMIN, user__in=User.objects.present())


def other_admins(team: Team | OuterRef, user: User) -> QuerySet[Membership]:
    """Find those who would look after a team without this person."""
    return present_admins().filter(team=team).exclude(user=user)


def standing_of(actor: Actor, team: Team) -> Standing:
    """Read, under the team's lock, where somebody who acts stands in it.

    The request was admitted before the lock was had: meanwhile the person may have been demoted or
    removed. Raises NotPermittedError for who is not in the team.
    """
    if actor.kind != ActorKind.USER:
        return EVERYTHING
    membership = Membership.objects.filter(team=team, user=actor.user).first()
    if membership is None:
        raise NotPermittedError(f"You are no longer in {team.name}.")
    return membership


def require(giver: Standing, permission: Permission) -> None:
    if permission not in giver.permissions:
        raise NotPermittedError(
            f"You need permission to {permission.sentence}. Ask an admin of the team for it."
        )


def require_admin(giver: Standing, what: str) -> None:
    if not giver.is_admin:
        raise NotPermittedError(f"Only an admin of the team can {what}.")


def require_may_give(
    giver: Standing, role: str, permissions: Collection[str], *, instead_of: str = ""
) -> None:
    """Raise NotPermittedError unless the giver may give a role with single permissions.

    Admins may give all. Others who may change the team give, and take, what they have themselves.
    """
    require(giver, Permission.TEAM_WRITE)
    if giver.is_admin:
        return
    if Membership.Role.ADMIN in {role, instead_of}:
        require_admin(giver, "make somebody an admin, or change what an admin may do")
    beyond = effective(permissions) - giver.permissions
    if beyond:
        sentences = [permission.sentence for permission in Permission if permission in beyond]
        raise NotPermittedError(
            "You can give others only what you may do yourself. "
            f"You have no permission to {get_text_list(sentences, 'or')}."
        )


def effective(permissions: Collection[str]) -> frozenset[Permission]:
    """Say what a member may do who has these single permissions."""
    return with_reading(MEMBER_PERMISSIONS | known(permissions))
