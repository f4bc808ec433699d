"""Deleting an account: asked for, restored within 30 days, or erased after them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.urls import reverse

from accounts import signals
from accounts.actors import SYSTEM, Actor
from accounts.consequences import BlockedError, Consequence, gather, refuse_blocked
from accounts.models import (
    UNKNOWN_ZONE,
    EmailChange,
    Invitation,
    Membership,
    SignIn,
    Team,
    User,
)
from accounts.one_by_one import one_by_one
from accounts.services.invitations import revoke_all_unbacked
from accounts.services.locks import lock_person, lock_person_in_teams
from accounts.services.pending_emails import forget_pending_email, is_change
from accounts.services.people import announce
from accounts.services.rights import other_admins, present_admins
from accounts.services.sessions import delete_sessions
from accounts.services.teams import close_team, personal_team

logger = logging.getLogger(__name__)

# How long a person has to think better of it.
GRACE: Final = timedelta(days=30)


class AlreadyErasedError(Exception):
    """Somebody restores an account of which nothing is left."""

    def __init__(self) -> None:
        super().__init__("This account was erased and cannot be restored. You can make a new one.")


def erased_from(user: User) -> datetime:
    """Say from when on an account that is to be deleted cannot be restored any more."""
    assert user.deletion_requested_at is not None  # noqa: S101 -- only asked of who is leaving
    return user.deletion_requested_at + GRACE


# --- Asking for it ----------------------------------------------------------------------------


def teams_without_another_admin(user: User) -> list[Team]:
    """List the teams that the person would leave behind with nobody to look after them."""
    own = Membership.objects.filter(user=user, role=Membership.Role.ADMIN, team__is_personal=False)
    left_alone = own.filter(~Exists(other_admins(OuterRef("team"), user))).select_related("team")
    return [m.team for m in left_alone.order_by(Lower("team__name"), "team_id")]


def deletion_consequences(user: User, *, now: datetime) -> list[Consequence]:
    """Say what deleting the account takes with it; what stops it comes first.

    In words for the person and for support alike.
    """
    blocking = [
        Consequence(
            f"{team.name} has no other admin. Somebody else has to become its admin, or the team "
            "has to be deleted, first.",
            blocks=True,
        )
        for team in teams_without_another_admin(user)
    ]
    told = gather(signals.account_closing, user=user, team=personal_team(user), now=now)
    shared = Team.objects.filter(memberships__user=user, is_personal=False)
    if names := list(shared.order_by(Lower("name"), "pk").values_list("name", flat=True)):
        told.append(
            Consequence(
                f"{_listed(names)} will go on without this account. API keys that were made there "
                "stay with the team and work on."
            )
        )
    return blocking + told


@transaction.atomic
def request_deletion(*, user: User, actor: Actor, reason: str = "", now: datetime) -> None:
    """Close the account at once and have it erased 30 days later, unless it is restored before.

    Its sessions end, the keys of its personal team stop, and the invitations that it sent are
    revoked. To ask twice changes nothing.
    Raises BlockedError.
    """
    person = lock_person_in_teams(user.pk)
    if person.deletion_requested_at is None:
        refuse_blocked(deletion_consequences(person, now=now))
        person.deletion_requested_at = now
        person.save(update_fields=["deletion_requested_at"])
        announce(
            operation="DeleteAccount",
            description=f"Asked to delete the account of {person.display_name}",
            user=person,
            before={"deletion_requested_at": None},
            after={"deletion_requested_at": now, "erased_from": now + GRACE}
            | ({"reason": reason} if reason else {}),
            actor=actor,
            now=now,
        )
        team = personal_team(person)
        signals.account_closed.send(sender=User, user=person, team=team, actor=actor, now=now)
        revoke_all_unbacked(inviter=person, actor=actor, now=now)
        delete_sessions(UserSession.objects.filter(user=person))
        _mail(person, "deletion_begun", by_support=bool(reason))
    user.deletion_requested_at = person.deletion_requested_at


@transaction.atomic
def restore(*, user: User, actor: Actor, now: datetime) -> None:
    """Take back the wish to be deleted. What was disabled for it stays disabled.

    Raises AlreadyErasedError.
    """
    person = lock_person(user.pk)
    if person.erased_at:
        raise AlreadyErasedError
    if asked_at := person.deletion_requested_at:
        person.deletion_requested_at = None
        person.save(update_fields=["deletion_requested_at"])
        announce(
            operation="RestoreAccount",
            description=f"Restored the account of {person.display_name}",
            user=person,
            before={"deletion_requested_at": asked_at},
            after={"deletion_requested_at": None},
            actor=actor,
            now=now,
        )
        _mail(person, "deletion_cancelled")
    user.deletion_requested_at = None


# --- Erasing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAs:
    """By what a person can be told in texts that were written about them."""

    names: list[str]
    addresses: list[str]
    # Those of the addresses that no other account has: wherever they stand, this person is meant.
    own_addresses: list[str]


def erase_due(*, now: datetime) -> int:
    """Erase everyone whose 30 days are over; return how many that were.

    One person per transaction: a run that is interrupted loses nothing, and one account that
    cannot be erased does not keep the rest waiting. Raises SomeFailedError at the end, so that the
    job fails in sight.
    """
    due = User.objects.filter(erased_at=None, deletion_requested_at__lte=now - GRACE)
    erased = 0
    with one_by_one(logger) as each:
        for pk in list(due.order_by("deletion_requested_at", "pk").values_list("pk", flat=True)):
            with each("Account %s could not be erased", pk):
                try:
                    erased += _erase(pk, now)
                except BlockedError as error:
                    # Tried again every day, until the invoice is paid.
                    logger.warning("Account %s cannot be erased yet: %s", pk, error)
    return erased


@transaction.atomic
def _erase(pk: UUID, now: datetime) -> bool:
    """Leave a bare id, or return False for who was restored, or erased, a moment ago."""
    user = lock_person_in_teams(pk)
    asked_at = user.deletion_requested_at
    if user.erased_at or asked_at is None or asked_at > now - GRACE:
        return False
    _leave_a_bare_id(user, _known_as(user), now)
    return True


@transaction.atomic
def disown(*, address: EmailAddress, now: datetime) -> None:
    """Forget an address that is not confirmed, because whoever reads its mail did not ask for it.

    Where nobody has ever signed in to the account, it goes as well. Nothing else that is known of
    the address goes with it, such as an invitation: it was never theirs.
    """
    user = lock_person_in_teams(address.user_id)
    if is_change(address):
        forget_pending_email(user=user, actor=SYSTEM, now=now)
        return
    EmailAddress.objects.filter(pk=address.pk, verified=False).delete()
    if not (user.last_login or user.is_staff or user.erased_at):
        _leave_a_bare_id(user, replace(_known_as(user), own_addresses=[]), now)


def _leave_a_bare_id(user: User, known: KnownAs, now: datetime) -> None:
    own = personal_team(user)
    close_team(team=own, actor=SYSTEM, now=now)
    shared = [m.team for m in Membership.objects.filter(user=user).select_related("team")]
    revoke_all_unbacked(inviter=user, actor=SYSTEM, now=now)
    _delete_rows(user, known)
    _blank(user, now)
    Team.objects.filter(pk=own.pk).update(name=user.pseudonym)
    for team in [own, *shared]:
        signals.announce(
            operation="EraseAccount",
            description=f"{user.pseudonym} was erased",
            team=team,
            target=user,
            after={"erased": True},
            actor=SYSTEM,
            now=now,
        )
    signals.person_erased.send(sender=User, user=user, team=own, known=known, now=now)
    for team in shared:
        if not present_admins().filter(team=team).exists():
            # Those who stay cannot make one of themselves an admin; support has to know.
            logger.warning("Team %s has no admin any more who could be counted on", team.pk)


def _known_as(user: User) -> KnownAs:
    changes = EmailChange.objects.filter(user=user).values_list("from_email", "to_email")
    emails = EmailAddress.objects.filter(user=user)
    confirmed = {
        user.email,
        *emails.filter(verified=True).values_list("email", flat=True),
        *(address for change in changes for address in change),
    }
    # What each account elsewhere is called: at some services that is its address. Of those only
    # Google lets nobody choose it.
    social = SocialAccount.objects.filter(user=user).values_list("provider", "extra_data__name")
    called = {str(name) for _, name in social if name}
    confirmed |= {name for provider, name in social if provider == "google" and _is_address(name)}
    # What they say is theirs and have not shown; what others did with it is left alone.
    claimed = {
        *emails.filter(verified=False).values_list("email", flat=True),
        *(name for name in called if _is_address(name)),
    }
    own = {address.lower() for address in confirmed}
    handles = {name for name in called if not _is_address(name)}
    return KnownAs(
        names=[*([user.name] if user.name else []), *sorted(handles - {user.name})],
        addresses=sorted(own | {address.lower() for address in claimed}),
        own_addresses=sorted(own - _addresses_of_others(user, own)),
    )


def _is_address(name: str) -> bool:
    return "@" in name.removeprefix("@")  # As X writes its handles.


def _addresses_of_others(user: User, lowered: Iterable[str]) -> set[str]:
    """Pick the addresses that another account has, too: one person may have several."""
    people = User.objects.exclude(pk=user.pk).annotate(lowered=Lower("email"))
    further = EmailAddress.objects.exclude(user=user).annotate(lowered=Lower("email"))
    return {
        *people.filter(lowered__in=lowered).values_list("lowered", flat=True),
        *further.filter(lowered__in=lowered).values_list("lowered", flat=True),
    }


def _delete_rows(user: User, known: KnownAs) -> None:
    """Delete what only the account had, and what would lead to it."""
    delete_sessions(UserSession.objects.filter(user=user))
    for model in (Authenticator, EmailAddress, EmailChange, Membership, SignIn, SocialAccount):
        model.objects.filter(user=user).delete()
    invitations = Invitation.across_teams.all()
    invitations.filter(Q(accepted_by=user) | Q(email__in=known.own_addresses)).delete()
    # Whom they invited in the name of a team is the team's business; from whom it came is not.
    invitations.filter(invited_by=user).update(invited_by=None)
    user.groups.clear()
    user.user_permissions.clear()
    LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)
    ).update(object_repr=user.pseudonym, change_message="")


def _blank(user: User, now: datetime) -> None:
    user.email = f"deleted-{user.pk}@invalid"
    user.name = ""
    user.timezone = UNKNOWN_ZONE
    user.theme = User.Theme.SYSTEM
    user.sign_in_mail = User.SignInMail.NEW
    user.last_login = user.password_set_at = user.password_used_at = None
    user.last_team = None
    user.is_active = user.is_staff = user.is_superuser = False
    user.erased_at = now
    user.set_unusable_password()
    user.save()


# --- Words ------------------------------------------------------------------------------------


def _mail(user: User, template: str, **context: object) -> None:
    get_adapter().send_mail(
        f"accounts/email/{template}",
        user.email,
        {
            "user": user,
            "sign_in_url": settings.PUBLIC_URL + reverse("account_login"),
            "reset_url": settings.PUBLIC_URL + reverse("account_reset_password"),
            "erased_from": user.deletion_requested_at and erased_from(user).astimezone(user.zone),
            **context,
        },
    )


def _listed(names: list[str], most: int = 3) -> str:
    """Name a few and count the rest: "A, B and 4 more teams"."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more teams"]
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
