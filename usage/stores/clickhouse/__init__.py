"""Requests in ClickHouse, for more of them than one PostgreSQL sums in a moment.

A row may come twice: a batch is sent again if the console stopped between its insert and the commit
that says so, also together with what was recorded since. The copies have the same sorting key, so
`FINAL` reads one of them, and merges leave one. Nothing relies on how batches are cut, on a window
in which ClickHouse remembers them, or on replication. Rows above the watermark are not read, so a
batch is seen as a whole or not at all.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID, uuid4

from procrastinate.contrib.django import app

from accounts.actors import UNKNOWN_IP
from usage import stores
from usage.models import UsageEvent
from usage.rules import FAILURE_STATUS, Answer, Dimension, Question
from usage.stores.clickhouse import blocks, reading
from usage.stores.clickhouse.connection import READ_SECONDS, WRITE_SECONDS, clickhouse
from usage.stores.clickhouse.tables import DIMENSIONS, EVENT_TYPES, EVENTS
from usage.stores.postgres import PostgresStore
from usage.stores.postgres.leftovers import Leftover
from usage.stores.postgres.reading import of_tail

PAGE: Final = 50_000


class ClickHouseStore:
    """A row for each request, and sums by hour of all but the newest: docs/scaling.md."""

    name = "clickhouse"

    def record(self, events: Sequence[UsageEvent]) -> None:
        with clickhouse(patience=WRITE_SECONDS) as ch:
            ch.prepare()
            ch.insert(EVENTS, [_row(event) for event in events], EVENT_TYPES)
            blocks.sum_finished(ch, stores.mark(self).fed_seq)

    def query(self, question: Question) -> Answer:
        mark = stores.mark(self)
        # After the watermark was read: each request is above it, and here, or it is in ClickHouse.
        answer = dict(of_tail(question, after=mark))
        if mark.fed_seq:
            with clickhouse(patience=READ_SECONDS) as ch:
                for key, sums in reading.sums(ch, question, mark.fed_seq):
                    answer[key] = answer[key].plus(sums) if key in answer else sums
        return answer

    def values(
        self, team_id: UUID, dimension: Dimension, *, search: str = "", limit: int = 50
    ) -> list[str]:
        """Ask PostgreSQL, which has a short list of them; here they would be sought in all rows."""
        return PostgresStore().values(team_id, dimension, search=search, limit=limit)

    def forget_addresses(self, team_id: UUID) -> None:
        """Leave it to a job, which tries again for as long as ClickHouse is away."""
        app.configure_task("usage.tasks.forget_addresses_in_clickhouse").defer(team_id=str(team_id))

    def rewrite_addresses(self, team_id: UUID) -> None:
        """Do what `forget_addresses` leaves to a job. The caller holds the feed's lock."""
        with clickhouse(patience=WRITE_SECONDS) as ch:
            ch.prepare()
            ch.run(
                f"ALTER TABLE {ch.tables.local(EVENTS)} UPDATE ip = {{ip:String}}"
                " WHERE team_id = {team:UUID} AND ip != {ip:String}",
                {"ip": UNKNOWN_IP, "team": team_id},
            )

    def record_sums(self, sums: Iterable[Leftover]) -> None:
        """Add what requests came to whose events are gone, to empty tables."""
        rows = iter(sums)
        with clickhouse(patience=WRITE_SECONDS) as ch:
            while page := list(islice(rows, PAGE)):
                ch.insert(EVENTS, [_sums_row(one) for one in page], EVENT_TYPES)

    def empty(self) -> None:
        """Forget all that was fed. The caller holds the feed's lock, and begins it anew."""
        with clickhouse(patience=WRITE_SECONDS) as ch:
            ch.empty()


def _sums_row(leftover: Leftover) -> list[Any]:
    fields = {
        "team_id": leftover.team_id,
        "at": leftover.start,
        "id": uuid4(),
        "seq": blocks.OLDEST,
        **{DIMENSIONS[name]: text for name, text in leftover.texts.items()},
        **leftover.sums._asdict(),
    }
    return [fields[name] for name in EVENT_TYPES]


def _row(event: UsageEvent) -> list[Any]:
    fields = {"requests": 1, "failed": int(event.status >= FAILURE_STATUS)}
    return [fields[name] if name in fields else getattr(event, name) for name in EVENT_TYPES]
