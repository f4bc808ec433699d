"""Everything another app may ask of API keys."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.views.decorators.debug import sensitive_variables

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from api_keys import rules
from api_keys.models import ApiKey, ApiKeyQuerySet
from api_keys.rules import digest_of, named, python_example
from audit import services as audit

__all__ = [
    "CreatedKey",
    "KeyDeletedError",
    "KeyExistsError",
    "KeyIdentity",
    "asking",
    "create",
    "delete",
    "delete_all",
    "digest_of",
    "disable",
    "disable_all",
    "enable",
    "find",
    "forget",
    "known_to",
    "living",
    "named",
    "names",
    "owned_by",
    "python_example",
    "touch",
    "visible_to",
]


class KeyExistsError(Exception):
    """The form that creates this key was sent before."""


class KeyDeletedError(Exception):
    """A deleted key stays deleted."""


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key and its secret, which exists nowhere else and only as long as this does."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyIdentity:
    """What the gateway must know about the key that a request came with."""

    id: UUID
    team_id: UUID
    name: str
    redacted: str
    owner_id: UUID | None
    created_at: datetime
    modified_at: datetime
    disabled: bool
    blocked: bool = False


@sensitive_variables("secret")
@transaction.atomic
def create(
    *,
    team: Team,
    actor: Actor,
    owner: User,
    name: str,
    key_id: UUID | None = None,
    now: datetime,
) -> CreatedKey:
    """Make a key. Its secret is in the answer and is kept nowhere.

    A caller that may ask twice, as a form may, brings the new key's id: the second time raises
    KeyExistsError. Raises KeyNameError for a name that is no name.
    """
    # A team that is about to close deletes the keys it has; none may come after.
    accounts.lock_team(team)
    secret = rules.new_secret(settings.API_KEY_PREFIX)
    key = ApiKey(
        id=key_id or uuid4(),
        team=team,
        name=rules.tidy_name(name),
        digest=digest_of(secret),
        redacted=rules.redact(secret, settings.API_KEY_PREFIX),
        owner=owner,
        created_at=now,
        modified_at=now,
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
    _record(
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


@transaction.atomic
def delete_all(*, team: Team, actor: Actor, now: datetime) -> None:
    """Delete every key of a team that ends."""
    # In the order in which `touch` locks them.
    rows = ApiKey.of(team).not_deleted().order_by("pk").select_for_update(no_key=True)
    for key in rows:
        key.team, before = team, key.status
        key.deleted_at = key.modified_at = now
        key.save(update_fields=["deleted_at", "modified_at"])
        _record(
            key,
            actor,
            operation="DeleteApiKey",
            description=f"Deleted the API key {key.name}",
            before={"status": before},
            after={"status": key.status},
            now=now,
        )


@transaction.atomic
def disable_all(*, team: Team, actor: Actor, now: datetime) -> None:
    """Disable every key that works, of a team whose person is about to be deleted."""
    # In the order in which `touch` locks them.
    rows = ApiKey.of(team).not_deleted().filter(disabled_at=None).order_by("pk")
    for key in rows.select_for_update(no_key=True):
        key.team = team
        disable(key=key, actor=actor, now=now)


def forget(team: Team) -> None:
    """Blank what the keys of an erased person's own team say about them: names and addresses.

    The keys are deleted already; their ids go on naming them in usage.
    """
    ApiKey.of(team).update(name="Deleted key", last_used_ip=None)


def owned_by(user: User) -> list[dict[str, Any]]:
    """List a person's keys in all teams, as their own copy of their data shows them."""
    keys = ApiKey.across_teams.filter(owner=user).select_related("team").order_by("created_at")
    return [
        {
            "id": key.pk,
            "team": key.team.name,
            "name": key.name,
            "key": key.redacted,
            "status": key.status.label,
            "created_at": key.created_at,
            "last_used_at": key.last_used_at,
            "last_used_ip": key.last_used_ip,
        }
        for key in keys
    ]


def living(team: Team, *, owner: User | None = None) -> list[str]:
    """Name the keys that are not deleted, of one person or of all, by name."""
    keys = ApiKey.of(team).not_deleted()
    if owner:
        keys = keys.filter(owner=owner)
    return list(keys.order_by("name", "pk").values_list("name", flat=True))


def visible_to(membership: Membership) -> ApiKeyQuerySet:
    """Find the keys that a member may see and change: an admin all of them, others their own."""
    return known_to(membership).not_deleted()


def known_to(membership: Membership) -> ApiKeyQuerySet:
    """Find what `visible_to` does and the deleted keys besides."""
    keys = ApiKey.of(membership.team)
    return keys if membership.is_admin else keys.filter(owner=membership.user)


def find(digests: Collection[str]) -> dict[str, KeyIdentity]:
    """Say which keys these are, by the digests of their secrets, in one query.

    A deleted key is as absent as one that never was.
    """
    return asking(digests)()


def asking(digests: Collection[str]) -> Callable[[], dict[str, KeyIdentity]]:
    """Ask what `find` asks, and return a function for the answer.

    Inside a pipeline, the question travels with whatever is asked next.
    """
    if not digests:
        return dict
    # The team is not known before the key is: this is where it is found out. Every request of the
    # gateway asks this, so it goes without the ORM.
    cursor = connection.cursor()
    cursor.execute(
        "SELECT digest, id, team_id, name, redacted, owner_id, created_at, modified_at,"
        " disabled_at IS NOT NULL FROM api_keys_apikey"
        " WHERE digest = ANY(%s) AND deleted_at IS NULL",
        [list(digests)],
    )

    def answer() -> dict[str, KeyIdentity]:
        with cursor:
            return {digest: KeyIdentity(*key) for digest, *key in cursor.fetchall()}

    return answer


def touch(used: Mapping[UUID, tuple[datetime, str]]) -> None:
    """Note when and from where keys were last used: one statement for a batch of many teams.

    Batches of several processes overlap and arrive out of order. So the rows are locked in the
    order of their ids, which cannot deadlock, and only ever move forward in time.
    """
    if not used:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH used AS (
                SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::inet[]) AS u (id, at, ip)
            ), locked AS (
                SELECT used.* FROM api_keys_apikey AS key JOIN used USING (id)
                ORDER BY key.id FOR NO KEY UPDATE OF key
            )
            UPDATE api_keys_apikey AS key SET last_used_at = locked.at, last_used_ip = locked.ip
            FROM locked
            WHERE key.id = locked.id AND (key.last_used_at < locked.at) IS NOT FALSE
            """,
            [
                list(used),
                [at for at, _ in used.values()],
                [ip or None for _, ip in used.values()],
            ],
        )


def names(team: Team) -> dict[UUID, str]:
    """Say what each of the team's keys is called, the deleted ones too."""
    return dict(ApiKey.of(team).values_list("pk", "name"))


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
    _record(
        key,
        actor,
        operation=operation,
        description=description,
        before={"status": before},
        after={"status": key.status},
        now=now,
    )


def _record(key: ApiKey, actor: Actor, **event: Any) -> None:
    audit.record(
        team=key.team,
        actor=actor,
        target_type="API key",
        target_id=str(key.pk),
        target_label=key.name,
        **event,
    )
