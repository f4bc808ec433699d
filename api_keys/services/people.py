"""What becomes of keys when teams and people go, and what is said of them by name."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.actors import Actor
from accounts.models import Team, User
from api_keys.models import ApiKey, KeyAddress, KeyLeak
from api_keys.services.keys import disable, record


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key as others name it, also after it was deleted, and who made it, if anybody still has."""

    id: UUID
    name: str
    is_deleted: bool
    owner: User | None = None


@transaction.atomic
def delete_all(*, team: Team, actor: Actor, now: datetime) -> None:
    """Delete every key of a team that ends."""
    # In the order in which `touch` locks them.
    rows = ApiKey.of(team).not_deleted().order_by("pk").select_for_update(no_key=True)
    for key in rows:
        key.team, before = team, key.status_at(now)
        key.deleted_at = key.modified_at = now
        key.save(update_fields=["deleted_at", "modified_at"])
        record(
            key,
            actor,
            operation="DeleteApiKey",
            description=f"Deleted the API key {key.name}",
            before={"status": before},
            after={"status": key.status_at(now)},
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
    KeyAddress.of(team).delete()
    KeyLeak.of(team).delete()


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


def names(team: Team) -> dict[UUID, str]:
    """Say what each of the team's keys is called, the deleted ones too."""
    return dict(ApiKey.of(team).values_list("pk", "name"))


def named_keys(team: Team, ids: Collection[UUID] | None = None) -> dict[UUID, NamedKey]:
    """Name these of the team's keys, or all of them, the deleted ones too, by id.

    An id that is no key of the team is not in the answer.
    """
    keys = ApiKey.of(team).select_related("owner")
    if ids is not None:
        keys = keys.filter(pk__in=ids)
    columns = ("name", "deleted_at", "owner")
    return {
        key.pk: NamedKey(key.pk, key.name, key.deleted_at is not None, key.owner)
        for key in keys.only(
            *columns, *(f"owner__{name}" for name in ("name", "email", "erased_at"))
        )
    }


def search(team: Team, words: str, *, limit: int) -> list[NamedKey]:
    """Find keys by words in their names, the deleted ones too, the latest used first."""
    keys = ApiKey.of(team)
    if words:
        keys = keys.found_by(words)
    newest = keys.order_by(F("last_used_at").desc(nulls_last=True), "-created_at", "pk")
    return [
        NamedKey(key.pk, key.name, key.deleted_at is not None)
        for key in newest.only("name", "deleted_at")[:limit]
    ]
