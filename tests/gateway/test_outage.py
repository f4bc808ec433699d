"""A database that is away for longer than anybody waits: nothing that was streamed goes unpaid."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import sql
from pytest_django import DjangoDbBlocker

from billing.models import Charge, Hold
from billing.rules import BillingItem
from tests.gateway.clients import Task, calling
from tests.gateway.world import PRICES, PROMPT_TOKENS, UPSTREAM_KEY, World, working_on
from tests.servers import Console, Database, until
from tests.upstreams import Upstream
from usage.models import UsageEvent

COST = PROMPT_TOKENS * PRICES[BillingItem.PROMPT_TEXT] + 8 * PRICES[BillingItem.COMPLETION]


@pytest.fixture(scope="module")
def console(
    tmp_path_factory: pytest.TempPathFactory,
    make_database: Callable[[], Database],
    upstream: Upstream,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Console]:
    """Serve with a gateway that waits a second for its database, and a database of its own."""
    database = make_database()
    with django_db_blocker.unblock(), working_on(database.url):
        World("", upstream).furnish()
    folder = tmp_path_factory.mktemp("outage")
    key = {"UPSTREAM_KEY_FOR_TESTS": UPSTREAM_KEY}
    with Console(folder, database, DATABASE_PATIENCE="1", **key) as running:
        yield running


def close(database: Database, server: psycopg.Connection[Any]) -> None:
    """Let nobody into the database, and send everybody home."""
    name = sql.Identifier(database.name)
    server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
        [database.name],
    )


def test_what_was_streamed_is_charged_when_the_database_is_back_and_what_was_not_answered_is_not(
    world: World, console: Console
) -> None:
    caller = world.caller()
    asked = [
        Task(caller.base_url, caller.secret, ["gated"] * 3, {}, streams=[is_stream])
        for is_stream in (True, False)
    ]
    elsewhere = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    with elsewhere as server, calling(*asked) as results:
        until(lambda: world.upstream.count() == 6, "all requests at the upstream")
        connection.close()
        close(console.database, server)

        world.upstream.open_gate()
        streamed, whole = list(results)

        name = sql.Identifier(console.database.name)
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    assert [got.is_whole for got in (*streamed, *whole)] == [False] * 6
    assert all("database_unavailable" in got.body for got in (*streamed, *whole))
    until(lambda: not Hold.of(caller.team).filter(state="live").exists(), "all to be told")
    assert Charge.of(caller.team).count() == 3
    assert caller.spent_ticks() == 3 * COST
    assert UsageEvent.of(caller.team).filter(status=503, cost_ticks=0).count() == 3
