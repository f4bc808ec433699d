"""The tables of usage in ClickHouse: on one server, or on each shard and replica of a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from usage.rules import Dimension, Sums

DIMENSIONS: Final = {
    Dimension.API_KEY: "api_key_id",
    Dimension.MODEL: "model",
    Dimension.CLUSTER: "cluster",
    Dimension.IP: "ip",
}
_VALUES: Final = {
    "api_key_id": "UUID",
    "model": "LowCardinality(String)",
    "cluster": "LowCardinality(String)",
}
_MEASURES: Final = dict.fromkeys(Sums._fields, "Int64")

# A row for each request. Copies of a row have the same sorting key, as it ends with the id.
EVENTS: Final = "usage_events"
EVENT_TYPES: Final = {
    "team_id": "UUID",
    "at": "DateTime('UTC')",
    "id": "UUID",
    "seq": "Int64",
    **_VALUES,
    "ip": "String",
    **_MEASURES,
}
# Sums of the requests of one hour and one block, which ends with the number `upto`, by the values
# of the dimensions in `slice`; the others are empty.
HOURS: Final = "usage_hours"
HOUR_TYPES: Final = {
    "team_id": "UUID",
    "slice": "UInt8",
    "hour": "DateTime('UTC')",
    "upto": "Int64",
    **_VALUES,
    **_MEASURES,
}
# The blocks of which the sums are complete.
BLOCKS: Final = "usage_blocks"
BLOCK_TYPES: Final = {"upto": "Int64"}


@dataclass(frozen=True, slots=True)
class _Table:
    columns: Mapping[str, str]
    partition: str
    order: str
    # Copies of a row have to be on the same shard.
    shard: str
    index: str = ""


_TABLES: Final = {
    EVENTS: _Table(
        EVENT_TYPES,
        "toYYYYMM(at)",
        "team_id, at, id",
        "cityHash64(team_id)",
        ", INDEX seqs seq TYPE minmax GRANULARITY 1",
    ),
    HOURS: _Table(
        HOUR_TYPES,
        "toYYYYMM(hour)",
        "team_id, slice, api_key_id, model, cluster, hour, upto",
        "cityHash64(team_id)",
    ),
    BLOCKS: _Table(BLOCK_TYPES, "tuple()", "upto", "upto"),
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Statements that make the tables and drop them, in a database and perhaps a cluster."""

    database: str
    cluster: str

    def local(self, table: str) -> str:
        """Name the table that has the rows, and where: the other one is a view of all shards."""
        return f"{table}_local{self._everywhere}" if self.cluster else table

    def names(self) -> list[str]:
        """Name the tables that statements are about."""
        return list(_TABLES)

    def create(self) -> Iterator[str]:
        for name, table in _TABLES.items():
            columns = ", ".join(f"{column} {type_}" for column, type_ in table.columns.items())
            yield (
                f"CREATE TABLE IF NOT EXISTS {self.local(name)} ({columns}{table.index})"
                f" ENGINE = {'Replicated' if self.cluster else ''}ReplacingMergeTree"
                f" PARTITION BY {table.partition} ORDER BY ({table.order})"
            )
            if self.cluster:
                yield (
                    f"CREATE TABLE IF NOT EXISTS {name}{self._everywhere} ({columns}) ENGINE ="
                    f" Distributed('{self.cluster}', '{self.database}', '{name}_local',"
                    f" {table.shard})"
                )

    def drop(self) -> Iterator[str]:
        for name in _TABLES:
            if self.cluster:
                yield f"DROP TABLE IF EXISTS {name}{self._everywhere} SYNC"
            yield f"DROP TABLE IF EXISTS {self.local(name)} SYNC"

    @property
    def _everywhere(self) -> str:
        return f" ON CLUSTER '{self.cluster}'" if self.cluster else ""
