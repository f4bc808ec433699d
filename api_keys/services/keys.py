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


class KeyChangedError(Exception):
    """Somebody changed the key after it was read."""


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
    KeyExistsError. Raises KeyNameError for a name that is no name, TermsError for terms that are
    none.
    """
    _check(terms, now)
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
            "status": key.status_at(now),
            **{field: value for field, value in _facts(key).items() if value},
        },
        now=now,
    )
    return CreatedKey(key, secret)


@transaction.atomic
def edit(
    *,
    key: ApiKey,
    actor: Actor,
    name: str,
    terms: rules.Terms,
    seen_at: datetime,
    now: datetime,
) -> bool:
    """Give the key another name or other terms. Returns false where it had these already.

    `seen_at` is the `modified_at` of what was decided upon. Raises KeyChangedError if the key was
    changed since, KeyDeletedError, KeyNameError and TermsError.
    """
    name = rules.tidy_name(name)
    key = locked(key.pk)
    if key.deleted_at:
        raise KeyDeletedError(f"The API key {key.name} was deleted and stays deleted.")
    _check(terms, now, was=key.expires_at)
    before = {"name": key.name, **_facts(key)}
    key.name = name
    for column, value in _columns(terms).items():
        if column == "expires_at" and value != key.expires_at:
            key.expiry_told_at = None  # Of another expiry.
        setattr(key, column, value)
    after = {"name": key.name, **_facts(key)}
    changed = [field for field in after if before[field] != after[field]]
    if not changed:
        return False
    if key.modified_at != seen_at:
        raise KeyChangedError(
            f"{before['name']} was changed after this form was opened. Close it, look at what the "
            "key is like now, and edit it again."
        )
    key.modified_at = now
    key.save(update_fields=["name", *_columns(terms), "expiry_told_at", "modified_at"])
    record(
        key,
        actor,
        operation="UpdateApiKey",
        description=f"Changed the API key {key.name}",
        before={field: before[field] for field in changed},
        after={field: after[field] for field in changed},
        now=now,
    )
    return True


def _check(terms: rules.Terms, now: datetime, *, was: datetime | None = None) -> None:
    rules.check_terms(terms)
    if terms.expires_at and terms.expires_at != was and terms.expires_at <= now:
        raise rules.TermsError("expires_at", "Choose a time that has not passed yet.")


def _columns(terms: rules.Terms) -> dict[str, Any]:
    return {
        field.name: list(value) if isinstance(value := getattr(terms, field.name), tuple) else value
        for field in fields(terms)
    }


def _facts(key: ApiKey) -> dict[str, Any]:
    """Write the key's terms down as the audit log keeps them."""
    return {
        field: value.isoformat() if isinstance(value, datetime) else value
        for field, value in _columns(rules.Terms.of(key)).items()
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


def locked(key_id: UUID) -> ApiKey:
    """Read a key, with its team, under its row's lock."""
    rows = ApiKey.across_teams.select_related("team")
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=key_id)


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
        fields=["disabled_at", "deleted_at", "blocked_at", "expires_at"],
        from_queryset=ApiKey.of(key.team).select_for_update(no_key=True),
    )
    before = key.status_at(now)
    if before == ApiKey.Status.DELETED:
        if "deleted_at" in states:
            return
        raise KeyDeletedError(f"The API key {key.name} was deleted and stays deleted.")
    changed = [state for state, at in states.items() if bool(getattr(key, state)) != bool(at)]
    if not changed:
        return
    for state in changed:
        setattr(key, state, states[state])
    key.modified_at = now
    key.save(update_fields=[*changed, "modified_at"])
    after = key.status_at(now)
    # What is blocked or expired stays that, whether it is disabled besides or not.
    was_off = {} if after != before else {"disabled": not key.disabled_at}
    is_off = {} if after != before else {"disabled": bool(key.disabled_at)}
    record(
        key,
        actor,
        operation=operation,
        description=description,
        before={"status": before, **was_off},
        after={"status": after, **is_off},
        now=now,
    )
