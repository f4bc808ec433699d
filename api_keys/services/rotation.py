"""Give a key a new secret, and let the old one go on for a while or end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.views.decorators.debug import sensitive_variables

from accounts import services as accounts
from accounts.actors import Actor
from api_keys import rules, secrets
from api_keys.models import ApiKey, RetiredSecret
from api_keys.services.keys import CreatedKey, KeyDeletedError, locked, record

SHOWN_AT_MOST: Final = 20
# Each is a way in that people have to keep in mind.
LIVING_AT_MOST: Final = 10


class GraceError(Exception):
    """The old secret cannot go on for so long."""


class AlreadyRotatedError(Exception):
    """The key has another secret than the one that was to be replaced."""


@dataclass(frozen=True, slots=True)
class RotatedKey(CreatedKey):
    """A key with its new secret, and the old one, redacted, with how long it works if it does."""

    old: str
    old_until: datetime | None


def rotations_of(key: ApiKey) -> int:
    """Count how often the key got a new secret."""
    return RetiredSecret.of(key.team).filter(key=key).count()


def retired_secrets(key: ApiKey, *, now: datetime) -> Page[RetiredSecret]:
    """List the secrets that the key had before, the last one first, no more than fit a page.

    Those that still work come first: people must find them to end them.
    """
    works = ExpressionWrapper(Q(expires_at__gt=now), BooleanField())
    had = RetiredSecret.of(key.team).filter(key=key).order_by(works.desc(), "-retired_at", "-pk")
    return Paginator(had, SHOWN_AT_MOST).page(1)


@sensitive_variables("secret")
@transaction.atomic
def rotate(
    *, key: ApiKey, actor: Actor, grace: timedelta, rotation: int, now: datetime
) -> RotatedKey:
    """Replace the key's secret; the old one works on for `grace`. The new one is kept nowhere.

    `rotation` is how often the key had been rotated when this was decided. A form that is sent
    twice, and two people who rotate at once, bring the same: the second raises AlreadyRotatedError,
    or it would end what the first has just been shown. A key that was blocked works again, with its
    new secret alone: neither the old one goes on nor any that was replaced before.
    """
    if not timedelta(0) <= grace <= rules.GRACE_MOST:
        raise GraceError(f"The old secret can go on for at most {rules.span(rules.GRACE_MOST)}.")
    # A team that is about to close deletes the keys it has; none may get a new secret after.
    accounts.lock_team(key.team)
    key = locked(key.pk)
    if key.deleted_at:
        raise KeyDeletedError(f"The API key {key.name} was deleted and stays deleted.")
    if rotations_of(key) != rotation:
        raise AlreadyRotatedError(
            f"{key.name} has had a new secret since this form was opened. It was shown then and "
            "cannot be shown again."
        )
    if key.blocked_at:
        grace = timedelta(0)
        for living in _living(key, now):
            _end(key, living, actor, now)
    elif grace and _living(key, now).count() >= LIVING_AT_MOST:
        raise GraceError(
            f"{LIVING_AT_MOST} old secrets of this key still work. End one of them on the key's "
            "page first, or let the old secret not work on at all."
        )
    before = key.status_at(now)
    old = RetiredSecret.across_teams.create(
        team=key.team,
        key=key,
        digest=key.digest,
        redacted=key.redacted,
        retired_at=now,
        expires_at=now + grace,
    )
    secret = secrets.new_secret(settings.API_KEY_PREFIX)
    key.digest = secrets.digest_of(secret)
    key.redacted = secrets.redact(secret, settings.API_KEY_PREFIX)
    key.blocked_at, key.modified_at = None, now
    key.save(update_fields=["digest", "redacted", "blocked_at", "modified_at"])
    goes_on = old.expires_at > now
    record(
        key,
        actor,
        operation="RotateApiKey",
        description=f"Rotated the secret of the API key {key.name}",
        before={"key": old.redacted, "status": before},
        after={
            "key": key.redacted,
            "status": key.status_at(now),
            "old_secret_expires_at": old.expires_at.isoformat(),
        },
        now=now,
    )
    return RotatedKey(key, secret, old.redacted, old.expires_at if goes_on else None)


@transaction.atomic
def end_secret(*, key: ApiKey, retired_id: int, actor: Actor, now: datetime) -> bool:
    """End a secret that was replaced before its time. Returns false where it is over already."""
    key = locked(key.pk)
    old = _living(key, now).filter(pk=retired_id).first()
    if old is None or key.deleted_at:
        return False
    _end(key, old, actor, now)
    return True


def _living(key: ApiKey, now: datetime) -> QuerySet[RetiredSecret]:
    return RetiredSecret.of(key.team).filter(key=key, expires_at__gt=now)


def _end(key: ApiKey, old: RetiredSecret, actor: Actor, now: datetime) -> None:
    before, old.expires_at = old.expires_at, now
    old.save(update_fields=["expires_at"])
    record(
        key,
        actor,
        operation="EndRetiredSecret",
        description=f"Ended the old secret {old.redacted} of the API key {key.name}",
        before={"key": old.redacted, "expires_at": before.isoformat()},
        after={"key": old.redacted, "expires_at": now.isoformat()},
        now=now,
    )
