"""Find keys for the gateway, and note that they were used: without the ORM, in batches."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection

from api_keys.rules import EVERYTHING, Terms

# A key's secret of today, and those of yesterday that still work. Whatever one of the latter may
# do is what the key may do; it is only called by its own name, by which its program knows it.
FIND: Final = """
SELECT found.digest, key.id, key.team_id, key.name, found.redacted, key.owner_id, key.created_at,
    key.modified_at, key.disabled_at IS NOT NULL, key.blocked_at IS NOT NULL, key.acls,
    key.expires_at, key.requests_per_second, key.requests_per_minute, key.tokens_per_minute,
    key.networks, key.monthly_cap_ticks
FROM (
    SELECT digest, id AS key_id, redacted FROM api_keys_apikey WHERE digest = ANY(%(digests)s)
    UNION ALL
    SELECT digest, key_id, redacted FROM api_keys_retiredsecret
    WHERE digest = ANY(%(digests)s) AND expires_at > %(now)s
) AS found JOIN api_keys_apikey AS key ON key.id = found.key_id
WHERE key.deleted_at IS NULL
"""

# An address that was used yesterday too is not written down again today.
NOTE_ADDRESSES: Final = """
INSERT INTO api_keys_keyaddress AS known (team_id, key_id, ip, first_used_at, last_used_at)
SELECT key.team_id, key.id, used.ip, used.at, used.at
FROM unnest(%(keys)s::uuid[], %(ips)s::inet[], %(moments)s::timestamptz[]) AS used (id, ip, at)
JOIN api_keys_apikey AS key USING (id)
WHERE NOT EXISTS (
    SELECT FROM api_keys_keyaddress AS recent
    WHERE recent.key_id = used.id AND recent.ip = used.ip
        AND recent.last_used_at > used.at - %(age)s
)
ORDER BY key.id, used.ip
ON CONFLICT (key_id, ip) DO UPDATE
SET last_used_at = greatest(known.last_used_at, excluded.last_used_at)
"""

NOTE_USE: Final = """
WITH used AS (
    SELECT * FROM unnest(%(keys)s::uuid[], %(moments)s::timestamptz[], %(ips)s::inet[])
        AS u (id, at, ip)
), locked AS (
    SELECT used.* FROM api_keys_apikey AS key JOIN used USING (id)
    ORDER BY key.id FOR NO KEY UPDATE OF key
)
UPDATE api_keys_apikey AS key SET last_used_at = locked.at, last_used_ip = locked.ip
FROM locked
WHERE key.id = locked.id AND (key.last_used_at < locked.at) IS NOT FALSE
"""
ADDRESS_AGE: Final = timedelta(days=1)


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
    terms: Terms = EVERYTHING


def find(digests: Collection[str], *, now: datetime) -> dict[str, KeyIdentity]:
    """Say which keys these are, by the digests of their secrets, in one query.

    A deleted key is as absent as one that never was, and so is a secret that a rotation ended.
    """
    return asking(digests, now=now)()


def asking(digests: Collection[str], *, now: datetime) -> Callable[[], dict[str, KeyIdentity]]:
    """Ask what `find` asks, and return a function for the answer.

    Inside a pipeline, the question travels with whatever is asked next.
    """
    if not digests:
        return dict
    # The team is not known before the key is: this is where it is found out. Every request of the
    # gateway asks this, so it goes without the ORM.
    cursor = connection.cursor()
    cursor.execute(FIND, {"digests": list(digests), "now": now})

    def answer() -> dict[str, KeyIdentity]:
        with cursor:
            return {digest: _identity(*row) for digest, *row in cursor.fetchall()}

    return answer


def _identity(*row: Any) -> KeyIdentity:
    *identity, acls, expires_at, per_second, per_minute, tokens, networks, cap_ticks = row
    terms = Terms(
        acls=tuple(acls),
        expires_at=expires_at,
        requests_per_second=per_second,
        requests_per_minute=per_minute,
        tokens_per_minute=tokens,
        networks=tuple(networks),
        monthly_cap_ticks=cap_ticks,
    )
    return KeyIdentity(*[*identity, terms])


def touch(used: Mapping[tuple[UUID, str], datetime]) -> None:
    """Note when and from where keys were last used: two statements for a batch of many teams.

    Batches of several processes overlap and arrive out of order. So the rows are locked in the
    order of their ids, which cannot deadlock, and only ever move forward in time.
    """
    if not used:
        return
    latest: dict[UUID, tuple[datetime, str]] = {}
    for (key_id, ip), at in used.items():
        latest[key_id] = max(latest.get(key_id, (at, ip)), (at, ip))
    known = [(key_id, ip, at) for (key_id, ip), at in used.items() if ip]
    with connection.cursor() as cursor:
        cursor.execute(
            NOTE_USE,
            {
                "keys": list(latest),
                "moments": [at for at, _ in latest.values()],
                "ips": [ip or None for _, ip in latest.values()],
            },
        )
        if known:
            key_ids, ips, moments = map(list, zip(*known, strict=True))
            parameters: dict[str, Any] = {
                "keys": key_ids,
                "ips": ips,
                "moments": moments,
                "age": ADDRESS_AGE,
            }
            cursor.execute(NOTE_ADDRESSES, parameters)
