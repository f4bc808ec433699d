"""Both stores, on their real engines: a ClickHouse runs within the process of the tests."""

from collections.abc import Iterator
from itertools import count

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from pytest_django import Settings

from usage.stores import Store
from usage.stores.clickhouse import ClickHouseStore
from usage.stores.postgres import PostgresStore

# Where nobody listens.
AWAY = {"host": "127.0.0.1", "port": 1, "database": "usage", "secure": False, "cluster": ""}

_serial = count(1)


@pytest.fixture(scope="session")
def engine() -> Iterator[Client]:
    """Start the engine, of which a process has only one. Without chdb these tests fail."""
    client = clickhouse_connect.get_client(interface="chdb")
    yield client
    client.close()


@pytest.fixture
def ch(engine: Client, settings: Settings) -> Iterator[Client]:
    """Make a database of the test's own, which the console is set to feed."""
    name = f"usage_{next(_serial)}"
    engine.command(f"CREATE DATABASE {name}")
    settings.CLICKHOUSE = {"interface": "chdb", "database": name, "cluster": ""}
    client = clickhouse_connect.get_client(interface="chdb", database=name)
    yield client
    client.close()
    engine.command(f"DROP DATABASE {name}")


@pytest.fixture(params=["postgres", "clickhouse"])
def store(request: pytest.FixtureRequest) -> Store:
    """Return each of the stores in turn."""
    if request.param == "postgres":
        return PostgresStore()
    request.getfixturevalue("ch")
    return ClickHouseStore()
