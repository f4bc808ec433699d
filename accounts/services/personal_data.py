"""A person's own copy of everything that is kept about them. No secrets, and nothing of others."""

from datetime import datetime
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.models import EmailChange, Invitation, Membership, SignIn, User
from accounts.services.people import announce
from accounts.signals import personal_data_asked

# How much of the audit log a copy holds: a file that a browser can still open.
EVENTS_IN_COPY: Final = 10_000


@transaction.atomic
def personal_data(*, user: User, actor: Actor, now: datetime) -> dict[str, Any]:
    """Gather the account's own rows, and what the apps above add of theirs."""
    announce(
        operation="DownloadPersonalData",
        description="Downloaded a copy of their data",
        user=user,
        actor=actor,
        now=now,
    )
    copy = {
        "made_at": now,
        "console": settings.PUBLIC_URL,
        "account": _account(user),
        "email_addresses": _rows(EmailAddress, user, "email", "verified", "primary"),
        "email_changes": _rows(
            EmailChange, user, "from_email", "to_email", "changed_at", "undone_at"
        ),
        "sign_in_methods": _methods(user),
        "second_factors": _factors(user),
        "sessions": _rows(UserSession, user, "created_at", "last_seen_at", "ip", "user_agent"),
        "sign_ins": _rows(SignIn, user, "at", "ip", "device", "place"),
        "teams": _teams(user),
        "invitations_sent": _invitations(user),
    }
    answers: list[tuple[Any, Any]] = personal_data_asked.send(sender=User, user=user, now=now)
    for _, answer in answers:
        copy |= answer
    return copy


def _account(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "email": user.email,
        "name": user.name,
        "time_zone": user.timezone,
        "theme": user.get_theme_display(),
        "sign_in_mail": user.get_sign_in_mail_display(),
        "created_at": user.date_joined,
        "last_sign_in_at": user.last_login,
        "is_staff": user.is_staff,
    }


def _rows(model: Any, user: User, *columns: str) -> list[dict[str, Any]]:
    return list(model.objects.filter(user=user).order_by("pk").values(*columns))


def _methods(user: User) -> list[dict[str, Any]]:
    methods: list[dict[str, Any]] = []
    if user.has_usable_password():
        methods.append(
            {
                "method": "password",
                "set_at": user.password_set_at,
                "last_used_at": user.password_used_at,
            }
        )
    social = SocialAccount.objects.filter(user=user).order_by("pk")
    methods += [
        {
            "method": account.provider,
            "their_id": account.uid,
            "name": account.extra_data["name"],
            "linked_at": account.date_joined,
            "last_used_at": account.last_login,
        }
        for account in social
    ]
    return methods


def _factors(user: User) -> list[dict[str, Any]]:
    """Name each factor. Its data are its secret, but for the name that its person gave it."""
    return [
        {
            "kind": factor.get_type_display(),
            "name": factor.data.get("name", "")
            if factor.type == Authenticator.Type.WEBAUTHN
            else "",
            "added_at": factor.created_at,
            "last_used_at": factor.last_used_at,
        }
        for factor in Authenticator.objects.filter(user=user).order_by("pk")
    ]


def _teams(user: User) -> list[dict[str, Any]]:
    memberships = Membership.objects.filter(user=user).select_related("team")
    return [
        {
            "id": membership.team_id,
            "name": membership.team.name,
            "is_personal": membership.team.is_personal,
            "role": membership.get_role_display(),
            "permissions": sorted(membership.permissions),
            "joined_at": membership.joined_at,
            "last_seen_at": membership.last_seen_at,
        }
        for membership in memberships.order_by("joined_at", "pk")
    ]


def _invitations(user: User) -> list[dict[str, Any]]:
    sent = Invitation.across_teams.filter(invited_by=user).select_related("team")
    return [
        {
            "team": invitation.team.name,
            "email": invitation.email,
            "role": invitation.get_role_display(),
            "sent_at": invitation.sent_at,
            "accepted_at": invitation.accepted_at,
            "revoked_at": invitation.revoked_at,
        }
        for invitation in sent.order_by("created_at", "pk")
    ]
