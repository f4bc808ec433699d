"""Inviting people to a team by e-mail: sending, sending again, revoking, accepting."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.urls import reverse

from accounts import signals
from accounts.actors import Actor
from accounts.models import Invitation, Membership, Team, User
from accounts.rules import Permission, beyond_member
from accounts.services.locks import lock_team
from accounts.services.rights import (
    NotPermittedError,
    refuse_personal,
    require_may_give,
    standing_of,
)
from accounts.services.teams import enter, shown
from accounts.services.tokens import digest_of, new_token

INVITATION_LIFETIME: Final = timedelta(days=7)
# How many a team may have waiting, expired ones included until they are sent again or revoked.
MAX_WAITING: Final = 50
# How many mails go out in 24 hours, for one team and on behalf of one person.
MAX_MAILS_A_DAY: Final = 100


class TooManyInvitationsError(Exception):
    """A team invites more people than a team has reason to."""


class AlreadyMemberError(Exception):
    """Somebody is invited to a team that they are in."""

    def __init__(self, emails: list[str]) -> None:
        self.emails = emails
        super().__init__(" ".join(f"{email} is in the team already." for email in emails))


class InvitationState(StrEnum):
    """What has become of an invitation."""

    OPEN = "open"
    EXPIRED = "expired"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    REPLACED = "replaced"  # It was sent again, with another link.
    VOID = "void"  # Who sent it is not there any more, or could not send it any more.


class InvitationOverError(Exception):
    """An invitation cannot be used, or not be changed, any more."""

    def __init__(self, state: InvitationState) -> None:
        self.state = state
        super().__init__(
            {
                InvitationState.EXPIRED: "This invitation has expired.",
                InvitationState.ACCEPTED: "This invitation was accepted.",
                InvitationState.REVOKED: "This invitation was revoked.",
                InvitationState.REPLACED: "This invitation was sent again already.",
                InvitationState.VOID: "This invitation is no longer valid.",
            }[state]
        )


class WrongAddressError(Exception):
    """Somebody accepts what was sent to an address that is not known to be theirs."""

    def __init__(self, email: str) -> None:
        super().__init__(
            f"This invitation is for {email}, which is not a confirmed address of your account."
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """Whom a mail went out to, and who has an invitation that is open already."""

    to: list[str]
    waiting: list[str]


# --- Inviting ---------------------------------------------------------------------------------


@transaction.atomic
def invite(
    *,
    team: Team,
    emails: Collection[str],
    role: Membership.Role,
    extra_permissions: Collection[Permission],
    actor: Actor,
    now: datetime,
) -> Sent:
    """Mail an invitation to each address. One that has an open one is left alone.

    Nothing here depends on who has an account, so that nobody can find that out. Raises
    NotPermittedError, AlreadyMemberError and TooManyInvitationsError; nobody is invited then.
    """
    team = lock_team(team)
    refuse_personal(team)
    extra = [] if role == Membership.Role.ADMIN else beyond_member(extra_permissions)
    require_may_give(standing_of(actor, team), role, extra)
    wanted = sorted({email.lower() for email in emails})
    _refuse_members(team, wanted)
    there = {invitation.email: invitation for invitation in waiting_invitations(team)}
    open_ones = [email for email in wanted if email in there and there[email].expires_at > now]
    to_send = [email for email in wanted if email not in open_ones]
    _refuse_floods(team, len(to_send), len([e for e in to_send if e not in there]), actor, now)
    for email in to_send:
        if email in there:
            _end(there[email], now)
        _send(
            Invitation(
                team=team,
                email=email,
                role=role,
                extra_permissions=extra,
                invited_by=actor.user,
                created_at=now,
            ),
            actor,
            "InviteMember",
            f"Invited {email} to the team",
            now,
        )
    return Sent(to_send, open_ones)


@transaction.atomic
def resend_invitation(*, invitation: Invitation, actor: Actor, now: datetime) -> None:
    """Mail an invitation once more, for another seven days. The link of the mail before is dead.

    Raises NotPermittedError, TooManyInvitationsError and InvitationOverError.
    """
    team = lock_team(invitation.team)
    invitation = _changeable(invitation)
    giver = standing_of(actor, team)
    require_may_give(giver, invitation.role, invitation.extra_permissions)
    _refuse_floods(team, 1, 0, actor, now)
    _end(invitation, now)
    _send(
        # Another row: what was sent stays on record, and each row stands for one mail.
        Invitation(
            team=team,
            email=invitation.email,
            role=invitation.role,
            extra_permissions=invitation.extra_permissions,
            invited_by=actor.user,
            created_at=invitation.created_at,
        ),
        actor,
        "ResendInvitation",
        f"Sent the invitation of {invitation.email} again",
        now,
        before={"expires_at": invitation.expires_at},
    )


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: Actor, now: datetime) -> None:
    """End an invitation before it is accepted. Raises NotPermittedError and InvitationOverError."""
    team = lock_team(invitation.team)
    invitation = _changeable(invitation)
    require_may_give(standing_of(actor, team), invitation.role, invitation.extra_permissions)
    _revoke(invitation, actor, now)


def revoke_unbacked(*, team: Team, inviter: User, actor: Actor, now: datetime) -> None:
    """Revoke what somebody sent who could not send it any more; under the team's lock.

    Whoever goes, or stops being an admin, must not come back by a link they sent before.
    """
    for invitation in waiting_invitations(team).filter(invited_by=inviter):
        if not _is_backed(invitation):
            _revoke(invitation, actor, now)


def revoke_all_unbacked(*, inviter: User, actor: Actor, now: datetime) -> None:
    """Do so in every team, for somebody who is there no more; under the locks of their teams."""
    sent = Invitation.across_teams.filter(invited_by=inviter, accepted_at=None, revoked_at=None)
    for team in Team.objects.filter(pk__in=sent.values("team")).order_by("pk"):
        revoke_unbacked(team=team, inviter=inviter, actor=actor, now=now)


def waiting_invitations(team: Team) -> QuerySet[Invitation]:
    """List the invitations that nobody has accepted or revoked, the latest first."""
    unanswered = Invitation.of(team).filter(accepted_at=None, revoked_at=None)
    return unanswered.select_related("invited_by").order_by("-sent_at", "email")


# --- Accepting --------------------------------------------------------------------------------


def find_invitation(token: str) -> Invitation | None:
    """Find an invitation, in whatever state, by the token of its link."""
    # The team is not known before the invitation is: this is where it is found out.
    rows = Invitation.across_teams.select_related("team", "invited_by")
    return rows.filter(digest=digest_of(token)).first()


def invitation_state(invitation: Invitation, *, now: datetime) -> InvitationState:
    if invitation.accepted_at:
        return InvitationState.ACCEPTED
    if invitation.revoked_at:
        later = waiting_invitations(invitation.team).filter(
            email=invitation.email, expires_at__gt=now
        )
        return InvitationState.REPLACED if later.exists() else InvitationState.REVOKED
    if invitation.expires_at <= now:
        return InvitationState.EXPIRED
    return InvitationState.OPEN if _is_backed(invitation) else InvitationState.VOID


def owns_address(user: User, email: str) -> bool:
    """Say whether an address is known to be the person's own."""
    own = EmailAddress.objects.filter(user=user, verified=True).annotate(lowered=Lower("email"))
    return bool(own.filter(lowered=email.lower()).exists())


@transaction.atomic
def accept_invitation(*, token: str, user: User, actor: Actor, now: datetime) -> Team:
    """Let the person into the team that invited them; for who is in it already, nothing changes.

    Raises InvitationOverError, WrongAddressError, TooManyTeamsError, LeavingError and
    TeamClosedError.
    """
    found = find_invitation(token)
    if found is None:
        raise Invitation.DoesNotExist
    team = lock_team(found.team)
    invitation = Invitation.of(team).select_related("invited_by").get(pk=found.pk)
    if Membership.objects.filter(team=team, user=user).exists():
        return team
    state = invitation_state(invitation, now=now)
    if state != InvitationState.OPEN:
        raise InvitationOverError(state)
    if not owns_address(user, invitation.email):
        raise WrongAddressError(invitation.email)
    membership = enter(
        team=team,
        user=user,
        role=invitation.role,
        extra_permissions=invitation.extra_permissions,
        now=now,
    )
    invitation.accepted_at, invitation.accepted_by = now, user
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    signals.announce(
        operation="AcceptInvitation",
        # Not by whose: that would be a third person's name. The log has who invited the address.
        description="Joined the team by an invitation",
        team=team,
        target=user,
        after=shown(membership) | {"invited_as": invitation.email},
        actor=actor,
        now=now,
    )
    return team


# --- Shared -----------------------------------------------------------------------------------


def _is_backed(invitation: Invitation) -> bool:
    """Say whether who sent it could send it now; what no person sent needs nobody behind it."""
    if invitation.invited_by_id is None:
        return True
    giver = Membership.objects.filter(
        team=invitation.team_id, user=invitation.invited_by_id, user__in=User.objects.present()
    ).first()
    if giver is None:
        return False
    try:
        require_may_give(giver, invitation.role, invitation.extra_permissions)
    except NotPermittedError:
        return False
    return True


def _changeable(invitation: Invitation) -> Invitation:
    """Read an invitation anew, under the team's lock; it may be sent again or revoked."""
    fresh = Invitation.of(invitation.team).select_related("team").get(pk=invitation.pk)
    if fresh.accepted_at:
        raise InvitationOverError(InvitationState.ACCEPTED)
    if fresh.revoked_at:
        is_replaced = waiting_invitations(fresh.team).filter(email=fresh.email).exists()
        raise InvitationOverError(
            InvitationState.REPLACED if is_replaced else InvitationState.REVOKED
        )
    return fresh


def _refuse_members(team: Team, emails: list[str]) -> None:
    # By the address that the members page shows: whatever others they have is their own business.
    members = User.objects.filter(memberships__team=team).annotate(lowered=Lower("email"))
    if there := list(members.filter(lowered__in=emails).values_list("lowered", flat=True)):
        raise AlreadyMemberError(sorted(there))


def _refuse_floods(team: Team, mails: int, new: int, actor: Actor, now: datetime) -> None:
    count = waiting_invitations(team).count()
    if count + new > MAX_WAITING:
        raise TooManyInvitationsError(
            f"A team can have {MAX_WAITING} invitations waiting, and {team.name} has {count}. "
            "Revoke those that are no longer needed first."
        )
    own = Q(team=team) | Q(invited_by=actor.user) if actor.user else Q(team=team)
    sent = Invitation.across_teams.filter(own, sent_at__gt=now - timedelta(days=1)).count()
    if sent + mails > MAX_MAILS_A_DAY:
        raise TooManyInvitationsError(
            f"At most {MAX_MAILS_A_DAY} invitations can be mailed within 24 hours, and {sent} "
            "were. Send the rest tomorrow."
        )


def _send(
    invitation: Invitation,
    actor: Actor,
    operation: str,
    description: str,
    now: datetime,
    *,
    before: dict[str, Any] | None = None,
) -> None:
    """Store an invitation under a new token, announce it, and mail the token, which is not kept."""
    token = new_token()
    invitation.digest = digest_of(token)
    invitation.sent_at, invitation.expires_at = now, now + INVITATION_LIFETIME
    invitation.save(force_insert=True)
    signals.announce(
        operation=operation,
        description=description,
        team=invitation.team,
        target=invitation,
        before=before,
        after=_offer(invitation),
        actor=actor,
        now=now,
    )
    get_adapter().send_mail(
        "accounts/email/invitation",
        invitation.email,
        {
            "invitation": invitation,
            "team": invitation.team,
            "inviter": actor.label,
            "days": INVITATION_LIFETIME.days,
            "link": settings.PUBLIC_URL + reverse("accounts:invitation", args=[token]),
        },
    )


def _end(invitation: Invitation, now: datetime) -> None:
    invitation.revoked_at = now
    invitation.save(update_fields=["revoked_at"])


def _revoke(invitation: Invitation, actor: Actor, now: datetime) -> None:
    _end(invitation, now)
    signals.announce(
        operation="RevokeInvitation",
        description=f"Revoked the invitation of {invitation.email}",
        team=invitation.team,
        target=invitation,
        before=_offer(invitation),
        actor=actor,
        now=now,
    )


def _offer(invitation: Invitation) -> dict[str, Any]:
    return {
        "email": invitation.email,
        "role": str(invitation.role),
        "permissions": [str(permission) for permission in invitation.extra_permissions],
        "expires_at": invitation.expires_at,
    }
