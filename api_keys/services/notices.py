"""What people are told about keys by mail, and what a team wants to be told."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from allauth.account.adapter import get_adapter
from django.db import transaction
from django.db.models import F, Q

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from api_keys.models import ApiKey, KeySettings
from audit import services as audit

REMIND_BEFORE: Final = timedelta(days=7)
# Who makes a key for hardly longer than that knows when it expires: "in 7 days" may be the end of
# that day.
KNOWN_FOR: Final = REMIND_BEFORE + timedelta(days=1)


def mail_owner(key: ApiKey, template: str, **words: Any) -> None:
    """Mail whoever made the key, or the admins where that person is in the team no more.

    What happens in a team is for its members: who has left it learns nothing new about it.
    """
    present = _members(key).filter(user=key.owner_id)
    _mail(present or _admins(key), key, template, words)


def mail_owner_and_admins(key: ApiKey, template: str, **words: Any) -> None:
    _mail(_members(key).filter(_IS_ADMIN | Q(user=key.owner_id)), key, template, words)


_IS_ADMIN: Final = Q(role=Membership.Role.ADMIN)


def _members(key: ApiKey) -> Any:
    present = Membership.objects.filter(team=key.team_id, user__in=User.objects.present())
    return present.select_related("user").order_by("joined_at", "pk")


def _admins(key: ApiKey) -> Any:
    return _members(key).filter(_IS_ADMIN)


def _mail(members: Iterable[Membership], key: ApiKey, template: str, words: dict[str, Any]) -> None:
    for member in members:
        get_adapter().send_mail(
            template, member.user.email, {"user": member.user, "team": key.team, "key": key} | words
        )


# --- Keys that are about to expire ------------------------------------------------------------


def remind_of_expiry(*, now: datetime) -> None:
    """Mail the owner of each key that works and expires within a week, once per date.

    Not of keys that were made for hardly longer than that: who made them knows.
    """
    soon = ApiKey.across_teams.filter(
        Q(expiry_told_at=None) | Q(expiry_told_at__lt=F("expires_at") - REMIND_BEFORE),
        expires_at__gt=now,
        expires_at__lte=now + REMIND_BEFORE,
        created_at__lt=F("expires_at") - KNOWN_FOR,
        deleted_at=None,
        blocked_at=None,
        disabled_at=None,
    )
    for pk in list(soon.order_by("expires_at", "pk").values_list("pk", flat=True)):
        with transaction.atomic():
            locked = soon.select_related("team").select_for_update(of=("self",), no_key=True)
            # It may have been told of, or changed, by now.
            if key := locked.filter(pk=pk).first():
                key.expiry_told_at = now
                key.save(update_fields=["expiry_told_at"])
                mail_owner(key, "api_keys/email/expires_soon")


# --- What a team wants to be told -------------------------------------------------------------


def mails_new_countries(team: Team) -> bool:
    settings = KeySettings.of(team).first() or KeySettings()
    return settings.mails_new_countries


@transaction.atomic
def set_mails_new_countries(*, team: Team, wanted: bool, actor: Actor, now: datetime) -> None:
    """Keep whether owners are mailed when a key is first used from a new country."""
    accounts.lock_team(team)
    before = mails_new_countries(team)
    if wanted == before:
        return
    KeySettings.of(team).update_or_create(
        defaults={"mails_new_countries": wanted},
        create_defaults={"team": team, "mails_new_countries": wanted},
    )
    audit.record(
        team=team,
        actor=actor,
        operation="UpdateApiKeySettings",
        description=f"Switched mails about keys in new countries {'on' if wanted else 'off'}",
        target_type="Team",
        target_id=str(team.pk),
        target_label=team.name,
        before={"mails_new_countries": before},
        after={"mails_new_countries": wanted},
        now=now,
    )
