"""Who may do what: areas, permissions, and the two named sets of them. Pure."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final


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
    def sentence(self) -> str:
        """What the permission lets a person do, to follow "may" or "permission to"."""
        area, access = self.split(":")
        verb = "change" if access == "write" else "see"
        names = {"api_keys": "API keys", "audit": "the audit log", "team": "the team"}
        return f"{verb} {names.get(area, area)}"


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
