"""Find keys for the gateway, and note that they were used: without the ORM, in batches."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection


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
