"""Who may do what: areas, permissions, and the two named sets of them. Pure."""

from collections.abc import Collection
from enum import StrEnum
from itertools import groupby
from typing import Final

from django.utils.text import get_text_list


class Permission(StrEnum):
    """`area:read` or `area:write`. Writing includes reading."""

    TEAM_READ = "team:read"
    TEAM_WRITE = "team:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    USAGE_READ = "usage:read"
    USAGE_WRITE = "usage:write"
    COLLECTIONS_READ = "collections:read"
    COLLECTIONS_WRITE = "collections:write"
    AUDIT_READ = "audit:read"
    AUDIT_WRITE = "audit:write"

    @property
    def area(self) -> str:
        return self.split(":")[0]

    @property
    def sentence(self) -> str:
        """What the permission lets a person do, to follow "may" or "permission to"."""
        area, access = self.split(":")
        verb = "change" if access == "write" else "see"
        names = {
            "api_keys": "API keys",
            "audit": "the audit log",
            "team": "the team",
            # Nobody can change what was used.
            "usage:write": "usage alerts",
        }
        return f"{verb} {names.get(self, names.get(area, area))}"


ADMIN_PERMISSIONS: Final = frozenset(Permission)
# A member's `api_keys:write` reaches the keys that the member made; api_keys.services sees to it.
MEMBER_PERMISSIONS: Final = frozenset(
    {
        Permission.TEAM_READ,
        Permission.API_KEYS_READ,
        Permission.API_KEYS_WRITE,
        Permission.COLLECTIONS_READ,
        Permission.COLLECTIONS_WRITE,
    }
)


def known(stored: Collection[str]) -> frozenset[Permission]:
    """Read permissions as they are stored. What no version of this code knows gives nothing."""
    return frozenset(permission for permission in Permission if permission in stored)


def with_reading(permissions: frozenset[Permission]) -> frozenset[Permission]:
    """Add `area:read` for every `area:write`."""
    readable = {Permission(f"{p.split(':')[0]}:read") for p in permissions}
    return permissions | readable


# The log is for reading: nobody can change what was done.
OPENS_NOTHING: Final = frozenset({Permission.AUDIT_WRITE})
# What a member may be given on top of the role, by area, weakest first.
SINGLE_PERMISSIONS: Final = {
    area: tuple(p for p in permissions if p not in MEMBER_PERMISSIONS | OPENS_NOTHING)
    for area, permissions in groupby(Permission, key=lambda permission: permission.area)
    if not MEMBER_PERMISSIONS.issuperset({Permission(f"{area}:write")})
}


def beyond_member(permissions: Collection[str]) -> list[Permission]:
    """Reduce stored permissions to what they add to a member's, the strongest of each area."""
    kept = {p.area: p for p in Permission if p in permissions and p not in MEMBER_PERMISSIONS}
    return list(kept.values())


def in_words(permissions: Collection[str]) -> str:
    """Say what single permissions add, to follow "may": "change billing, and see usage"."""
    things: dict[str, list[str]] = {"change": [], "see": []}
    for permission in beyond_member(permissions):
        verb, thing = permission.sentence.split(maxsplit=1)
        things[verb].append(thing)
    return ", and ".join(f"{verb} {get_text_list(of, 'and')}" for verb, of in things.items() if of)


def as_what(*, is_admin: bool, permissions: Collection[str]) -> str:
    """Say what somebody is in a team, to follow "as": "a member who may also see usage"."""
    if is_admin:
        return "an admin, who may do everything"
    more = in_words(permissions)
    return f"a member who may also {more}" if more else "a member"
