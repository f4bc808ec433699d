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

# One statement, under the locks of the keys' rows, so that nobody else counts or adds addresses of
# these keys meanwhile. It waits for nobody: what another transaction has locked is left out and
# returned. An address that was used yesterday too is not written down again today.
NOTE_USE: Final = """
WITH used AS (
    SELECT * FROM unnest(%(keys)s::uuid[], %(ips)s::inet[], %(moments)s::timestamptz[])
        AS u (id, ip, at)
), locked AS (
    SELECT key.id, key.team_id FROM api_keys_apikey AS key WHERE key.id = ANY(%(keys)s)
    FOR NO KEY UPDATE SKIP LOCKED
), noted AS (
    UPDATE api_keys_apikey AS key SET last_used_at = latest.at, last_used_ip = latest.ip
    FROM (SELECT DISTINCT ON (id) * FROM used ORDER BY id, at DESC, ip) AS latest
        JOIN locked USING (id)
    WHERE key.id = latest.id AND (key.last_used_at < latest.at) IS NOT FALSE
), fresh AS (
    SELECT locked.team_id, used.*, known.id IS NULL AS is_new, row_number() OVER (
        PARTITION BY used.id, known.id IS NULL ORDER BY used.at, used.ip) AS place
    FROM used JOIN locked USING (id)
        LEFT JOIN api_keys_keyaddress AS known ON known.key_id = used.id AND known.ip = used.ip
    WHERE used.ip IS NOT NULL
        AND (known.last_used_at > used.at - %(age)s) IS NOT TRUE
), filled AS (
    SELECT id, (SELECT count(*) FROM api_keys_keyaddress WHERE key_id = new.id) AS number
    FROM (SELECT DISTINCT id FROM fresh WHERE is_new) AS new
), written AS (
    INSERT INTO api_keys_keyaddress AS known (team_id, key_id, ip, first_used_at, last_used_at)
    SELECT team_id, id, ip, at, at FROM fresh LEFT JOIN filled USING (id)
    WHERE NOT is_new OR number + place <= %(most)s
    ON CONFLICT (key_id, ip) DO UPDATE
    SET last_used_at = greatest(known.last_used_at, excluded.last_used_at)
)
SELECT id FROM api_keys_apikey
WHERE id = ANY(%(keys)s) AND id NOT IN (SELECT id FROM locked)
"""
ADDRESS_AGE: Final = timedelta(days=1)
# More say nothing more about a key, and whoever uses it from a whole network could fill the disk.
MOST_ADDRESSES: Final = 1000


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


def touch(used: Mapping[tuple[UUID, str], datetime]) -> dict[tuple[UUID, str], datetime]:
    """Note when and from where keys were last used: one statement for a batch of many teams.

    Keys that somebody else has locked are left out, since whoever serves requests must not wait
    for pages and tasks. Returns what is yet to be noted of them. Batches of several processes
    overlap and arrive out of order, so a key only ever moves forward in time.
    """
    if not used:
        return {}
    parameters: dict[str, Any] = {
        "keys": [key_id for key_id, _ in used],
        "ips": [ip or None for _, ip in used],
        "moments": list(used.values()),
        "age": ADDRESS_AGE,
        "most": MOST_ADDRESSES,
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE_USE, parameters)
        skipped = {key_id for (key_id,) in cursor.fetchall()}
    return {(key_id, ip): at for (key_id, ip), at in used.items() if key_id in skipped}
