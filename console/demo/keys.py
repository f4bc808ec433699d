"""What the keys of the demo world are limited by, and which of them has a new secret."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from accounts.actors import Actor
from accounts.models import User
from api_keys import services as api_keys
from billing import services as billing


def limit(keys: Mapping[str, Any], people: Mapping[str, User], *, now: datetime) -> str:
    """Limit what some keys may do, and rotate one; return its new secret."""
    terms = {
        "ci-runner": api_keys.Terms(
            acls=(
                "api-key:endpoint:chat",
                "api-key:model:grok-code-fast-1",
                "api-key:model:grok-build-0.1",
            ),
            expires_at=now + timedelta(days=3),
            networks=("192.0.2.0/24",),
        ),
        "search-ranking": api_keys.Terms(
            acls=("api-key:endpoint:chat", "api-key:model:*"),
            requests_per_second=20,
            requests_per_minute=600,
            tokens_per_minute=2_000_000,
            monthly_cap_ticks=50 * billing.TICKS_PER_USD,
        ),
    }
    bob, alice = (
        Actor.for_user(people[name], ip="203.0.113.24", user_agent="Mozilla/5.0 (demo)")
        for name in ("bob", "alice")
    )
    for name, wanted in terms.items():
        api_keys.edit(
            key=keys[name],
            actor=bob,
            name=name,
            terms=wanted,
            seen_at=keys[name].modified_at,
            now=now - timedelta(hours=3),
        )
    rotated = api_keys.rotate(
        key=keys["web-production"],
        actor=alice,
        grace=timedelta(hours=24),
        rotation=0,
        now=now - timedelta(hours=2),
    )
    return rotated.secret
