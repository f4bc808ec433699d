"""Make keys, change what they are, and find those that a member may change."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from api_keys import rules, secrets
from api_keys.models import ApiKey, ApiKeyQuerySet
from audit import services as audit


class KeyExistsError(Exception):
    """The form that creates this key was sent before."""


class KeyDeletedError(Exception):
    """A deleted key stays deleted."""


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key and its secret, which exists nowhere else and only as long as this does."""

    key: ApiKey
    secret: str = field(repr=False)


@sensitive_variables("secret")
@transaction.atomic
def create(
    *,
    team: Team,
    actor: Actor,
    owner: User,
    name: str,
    terms: rules.Terms = rules.EVERYTHING,
    key_id: UUID | None = None,
    now: datetime,
) -> CreatedKey:
    """Make a key. Its secret is in the answer and is kept nowhere.

    A caller that may ask twice, as a form may, brings the new key's id: the second time raises
    KeyExistsError. Raises KeyNameError for a name that is no name.
    """
    # A team that is about to close deletes the keys it has; none may come after.
    accounts.lock_team(team)
    secret = secrets.new_secret(settings.API_KEY_PREFIX)
    key = ApiKey(
        id=key_id or uuid4(),
        team=team,
        name=rules.tidy_name(name),
        digest=secrets.digest_of(secret),
        redacted=secrets.redact(secret, settings.API_KEY_PREFIX),
        owner=owner,
        created_at=now,
        modified_at=now,
        **_columns(terms),
    )
    try:
        with transaction.atomic():
            # An INSERT and nothing else: a chosen id must never reach a row that is there already.
            key.save(force_insert=True)
    except IntegrityError as error:
        if "api_keys_apikey_pkey" not in str(error):
            raise
        raise KeyExistsError(
            "This form was already sent, and its key was made. Its secret was shown then and "
            "cannot be shown again."
        ) from None
    record(
        key,
        actor,
        operation="CreateApiKey",
        description=f"Created the API key {key.name}",
        after={
            "name": key.name,
            "key": key.redacted,
            "owner": owner.display_name,
            "status": key.status,
        },
        now=now,
    )
    return CreatedKey(key, secret)


def _columns(terms: rules.Terms) -> dict[str, Any]:
    return {
        field.name: list(value) if isinstance(value := getattr(terms, field.name), tuple) else value
        for field in fields(terms)
    }


def disable(*, key: ApiKey, actor: Actor, now: datetime) -> None:
    """Refuse the key's requests until it is enabled again."""
    _change(
        key,
        actor,
        operation="DisableApiKey",
        description=f"Disabled the API key {key.name}",
        now=now,
        disabled_at=now,
    )


def enable(*, key: ApiKey, actor: Actor, now: datetime) -> None:
    """Let a disabled key work again."""
    _change(
        key,
        actor,
        operation="EnableApiKey",
        description=f"Enabled the API key {key.name}",
        now=now,
        disabled_at=None,
    )


def delete(*, key: ApiKey, actor: Actor, now: datetime) -> None:
    """Refuse the key's requests for good. The row stays, so that usage can still name it."""
    _change(
        key,
        actor,
        operation="DeleteApiKey",
        description=f"Deleted the API key {key.name}",
        now=now,
        deleted_at=now,
    )


def visible_to(membership: Membership) -> ApiKeyQuerySet:
    """Find the keys that a member may see and change: an admin all of them, others their own."""
    return known_to(membership).not_deleted()


def known_to(membership: Membership) -> ApiKeyQuerySet:
    """Find what `visible_to` does and the deleted keys besides."""
    keys = ApiKey.of(membership.team)
    return keys if membership.is_admin else keys.filter(owner=membership.user)


def record(key: ApiKey, actor: Actor, **event: Any) -> None:
    audit.record(
        team=key.team,
        actor=actor,
        target_type="API key",
        target_id=str(key.pk),
        target_label=key.name,
        **event,
    )


@transaction.atomic
def _change(
    key: ApiKey,
    actor: Actor,
    *,
    operation: str,
    description: str,
    now: datetime,
    **states: datetime | None,
) -> None:
    """Change the key's state under its row's lock, once.

    Two tabs and a double click all ask for the same thing, so asking again is not an error; it
    changes nothing and is not recorded.
    """
    key.refresh_from_db(
        fields=["disabled_at", "deleted_at"],
        from_queryset=ApiKey.of(key.team).select_for_update(no_key=True),
    )
    before = key.status
    if before == ApiKey.Status.DELETED:
        if "deleted_at" in states:
            return
        raise KeyDeletedError(f"The API key {key.name} was deleted and stays deleted.")
    for state, at in states.items():
        setattr(key, state, at)
    if key.status == before:
        return
    key.modified_at = now
    key.save(update_fields=[*states, "modified_at"])
    record(
        key,
        actor,
        operation=operation,
        description=description,
        before={"status": before},
        after={"status": key.status},
        now=now,
    )
