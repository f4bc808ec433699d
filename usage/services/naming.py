"""What those things are called that requests are told apart by, also once they are gone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from accounts.models import Membership, Team
from api_keys import services as api_keys
from usage.rules import Group, label_of

# Longer lists of keys cost PostgreSQL more to look up than all of a team's keys.
MOST_IDS: Final = 1000
NO_CLUSTER: Final = "No cluster reached"
NOBODY: Final = "Nobody"


@dataclass(frozen=True, slots=True)
class Name:
    """A group's name for people. `remark` says that it is gone; `key`, whose page tells more."""

    text: str
    remark: str = ""
    key: api_keys.NamedKey | None = None

    @property
    def full(self) -> str:
        return f"{self.text} ({self.remark})" if self.remark else self.text


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose keys are whose: a member's id by a key's id, and what the members are called."""

    of_keys: Mapping[str, str]
    names: Mapping[str, Name]


def names(team: Team, group: Group, values: Collection[str]) -> dict[str, Name]:
    """Name values as a store has them, each of them, whatever it is. Members are named by owners.

    A key that is not the team's has no name here, and no page.
    """
    if group is Group.API_KEY:
        return _key_names(team, values)
    if group is Group.TOKEN_TYPE:
        return {value: Name(label_of(value)) for value in values}
    return {value: Name(value or NO_CLUSTER) for value in values}


def _key_names(team: Team, values: Collection[str]) -> dict[str, Name]:
    known = _named(team, values)
    found = {}
    for value in values:
        key = known.get(UUID(value))
        found[value] = of_key(key) if key else Name(f"Unknown key {value[:8]}")
    return found


def of_key(key: api_keys.NamedKey) -> Name:
    return Name(key.name, "deleted" if key.is_deleted else "", key)


def owners(team: Team, key_ids: Collection[str]) -> Owners:
    """Say who owns the keys today. Who left the team keeps their name, and their keys."""
    known = _named(team, key_ids)
    members = set(Membership.objects.filter(team=team).values_list("user_id", flat=True))
    of_keys, found = {}, {}
    for key_id in key_ids:
        key = known.get(UUID(key_id))
        owner = key.owner if key else None
        value = str(owner.pk) if owner else ""
        of_keys[key_id] = value
        if owner is None:
            found[value] = Name(NOBODY)
        else:
            found[value] = Name(owner.display_name, "" if owner.pk in members else "left the team")
    return Owners(of_keys, found)


def _named(team: Team, values: Collection[str]) -> dict[UUID, api_keys.NamedKey]:
    ids = {UUID(value) for value in values}
    return api_keys.named_keys(team, ids if len(ids) <= MOST_IDS else None)
