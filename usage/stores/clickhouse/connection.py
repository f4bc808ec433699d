"""Reaching ClickHouse: one client per process, which its threads share."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from django.conf import settings
from urllib3.exceptions import HTTPError

from usage.stores import StoreUnavailableError
from usage.stores.clickhouse.tables import Tables

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 3
# A page gives up after this; what changes tables may take longer.
READ_SECONDS: Final = 15
WRITE_SECONDS: Final = 120

# With replicas: a write is on most of them, and a read on one that has every such write.
WRITING: Final = {
    "distributed_foreground_insert": 1,
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
}
READING: Final = {"select_sequential_consistency": 1}


class ClickHouse:
    """Runs statements on the tables of usage. Values are parameters, never part of a statement."""

    def __init__(self, client: Client, tables: Tables) -> None:
        self._client = client
        self.tables = tables
        self._is_prepared = False

    def prepare(self) -> None:
        """Make the tables if they are not there, for which all servers of a cluster are needed."""
        if not self._is_prepared:
            ((present,),) = self.read(
                "SELECT count() FROM system.tables"
                " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
                {"names": self.tables.names()},
            )
            if present < len(self.tables.names()):
                for statement in self.tables.create():
                    self.run(statement)
            self._is_prepared = True

    def read(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        rows = self._client.query(
            sql,
            parameters=parameters,
            settings={
                "max_execution_time": READ_SECONDS,
                # Copies of a row are in the same month.
                "do_not_merge_across_partitions_select_final": 1,
                **(READING if self.tables.cluster else {}),
            },
        ).result_rows
        return [tuple(row) for row in rows]

    def insert(self, table: str, rows: list[list[Any]], types: dict[str, str]) -> None:
        self._client.insert(
            table,
            rows,
            column_names=list(types),
            column_type_names=list(types.values()),
            settings={
                # Years of sums may come at once.
                "max_partitions_per_insert_block": 0,
                **(WRITING if self.tables.cluster else {}),
            },
        )

    def run(self, sql: str, parameters: dict[str, Any] | None = None) -> None:
        """Run what changes tables, and return when it is done everywhere."""
        replicated = {**WRITING, **READING} if self.tables.cluster else {}
        self._client.command(
            sql, parameters=parameters, settings={"mutations_sync": 2, **replicated}
        )

    def empty(self) -> None:
        """Make the tables anew, with nothing in them."""
        for statement in (*self.tables.drop(), *self.tables.create()):
            self.run(statement)


@contextmanager
def clickhouse(*, patience: int) -> Iterator[ClickHouse]:
    """Reach ClickHouse for what is done within; `patience` is READ_SECONDS or WRITE_SECONDS.

    Raises StoreUnavailableError if it cannot be reached, takes too long, or refuses.
    """
    try:
        yield _connected(patience, tuple((settings.CLICKHOUSE or {}).items()))
    except (ClickHouseError, HTTPError, OSError) as error:
        # Whatever it is, operators have to see to it, and pages have no answer.
        logger.warning("ClickHouse did not answer: %s", error)
        raise StoreUnavailableError from error


@lru_cache(maxsize=4)
def _connected(patience: int, options: tuple[tuple[str, Any], ...]) -> ClickHouse:
    given = dict(options)
    cluster = given.pop("cluster", "")
    client = clickhouse_connect.get_client(
        **given,
        connect_timeout=CONNECT_SECONDS,
        send_receive_timeout=patience,
        # A session answers one question at a time.
        autogenerate_session_id=False,
    )
    return ClickHouse(client, Tables(given["database"], cluster))
