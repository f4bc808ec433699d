"""What keys cost in a month: written with every charge, and asked before the next."""

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Final
from uuid import UUID

import orjson
from django.db import connection

# Each row changes only under the lock of its team's billing account, so what is read under that
# lock is what was spent.
ADD: Final = """
INSERT INTO api_keys_keymonth AS known (month, team_id, key_id, spent_ticks)
SELECT %(month)s, spent.* FROM jsonb_to_recordset(%(spent)s)
    AS spent (team_id uuid, key_id uuid, ticks bigint)
ON CONFLICT (key_id, month) DO UPDATE SET spent_ticks = known.spent_ticks + excluded.spent_ticks
"""


def add_spent(spent: Mapping[tuple[UUID, UUID], int], *, month: date) -> None:
    """Add what requests have cost, by team and key. Only in the transaction that charges them."""
    rows = [
        {"team_id": team_id, "key_id": key_id, "ticks": ticks}
        for (team_id, key_id), ticks in spent.items()
        if ticks
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(ADD, {"month": month, "spent": orjson.dumps(rows).decode()})


def asking_spent(key_ids: Collection[UUID], *, month: date) -> Callable[[], dict[UUID, int]]:
    """Ask what keys have cost in a month, and return a function for the answer.

    Inside a pipeline, the question travels with whatever is asked next.
    """
    if not key_ids:
        return dict
    cursor = connection.cursor()
    cursor.execute(
        "SELECT key_id, spent_ticks FROM api_keys_keymonth WHERE key_id = ANY(%s) AND month = %s",
        [list(key_ids), month],
    )

    def answer() -> dict[UUID, int]:
        with cursor:
            return dict(cursor.fetchall())

    return answer
