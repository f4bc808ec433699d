"""ClickHouse is fed every request once, whatever happens to the console or to ClickHouse."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.actors import UNKNOWN_IP
from accounts.models import Team
from accounts.one_by_one import SomeFailedError
from tests.factories import make_team
from tests.usage.requests import make_record
from tests.usage.stores.conftest import AWAY
from usage import services as usage
from usage import stores
from usage.models import UsageEvent, UsageFeed
from usage.rules import Dimension, Question
from usage.stores import StoreUnavailableError
from usage.stores.clickhouse import ClickHouseStore
from usage.stores.clickhouse.blocks import BLOCK
from usage.stores.clickhouse.tables import Tables
from usage.stores.postgres import PostgresStore

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 3, 27, tzinfo=UTC)
DAYS = tuple(MIDNIGHT + timedelta(days=number) for number in range(3))


def make_requests(team: Team, count: int) -> None:
    usage.record(
        [
            make_record(team, model=f"m-{n % 3}", at=MIDNIGHT + timedelta(minutes=97 * n))
            for n in range(count)
        ]
    )


def ask(team: Team, group: Dimension | None = None) -> Question:
    return Question(team_id=team.pk, starts=DAYS, zone=ZoneInfo("UTC"), group=group)


def requests(team: Team) -> int:
    return sum(sums.requests for sums in ClickHouseStore().query(ask(team)).values())


def events(first: int, last: int) -> list[UsageEvent]:
    """Return recorded requests by their place in the order in which they were recorded."""
    return list(UsageEvent.across_teams.order_by("seq")[first:last])


def mark(fed_seq: int) -> None:
    """Say how far ClickHouse was fed, as the feed does when it commits."""
    UsageFeed.objects.update_or_create(store="clickhouse", defaults={"fed_seq": fed_seq})


def test_a_batch_that_was_sent_before_a_crash_is_sent_again_and_counted_once(ch: Client) -> None:
    team = make_team()
    make_requests(team, 20)
    batch = events(0, 20)

    ClickHouseStore().record(batch)
    # Its transaction never ended, so the batch is not in the store yet, but in PostgreSQL.
    assert requests(team) == 20
    usage.feed(now=timezone.now())

    assert ch.query("SELECT count() FROM usage_events").result_rows == [(40,)]
    assert requests(team) == 20
    assert ClickHouseStore().query(ask(team)) == PostgresStore().query(ask(team))


def test_a_batch_that_comes_again_with_more_behind_it_is_counted_once(ch: Client) -> None:
    team = make_team()
    make_requests(team, 20)

    ClickHouseStore().record(events(0, 15))
    ClickHouseStore().record(events(0, 20))
    ClickHouseStore().record(events(5, 20))
    ClickHouseStore().record(events(5, 8))
    mark(events(19, 20)[0].seq)

    assert requests(team) == 20
    ch.command("OPTIMIZE TABLE usage_events FINAL")
    assert ch.query("SELECT count() FROM usage_events").result_rows == [(20,)]
    assert requests(team) == 20


def test_what_is_above_the_watermark_is_counted_from_postgresql_alone(ch: Client) -> None:
    team = make_team()
    make_requests(team, 10)

    ClickHouseStore().record(events(0, 10))

    for place in (3, 7):
        mark(events(place, place + 1)[0].seq)
        assert requests(team) == 10
    assert ch.query("SELECT count() FROM usage_events").result_rows == [(10,)]


def test_sums_by_hour_answer_for_finished_blocks_also_if_they_were_summed_twice(
    ch: Client,
) -> None:
    team = make_team()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER SEQUENCE usage_usageevent_seq RESTART WITH {BLOCK - 12}")
    make_requests(team, 20)
    usage.feed(now=timezone.now())
    assert ch.query("SELECT count() FROM usage_blocks").result_rows == [(0,)]

    make_requests(team, 5)
    usage.feed(now=timezone.now())
    assert ch.query("SELECT upto FROM usage_blocks").result_rows == [(BLOCK - 1,)]
    for group in [None, *Dimension]:
        assert ClickHouseStore().query(ask(team, group)) == PostgresStore().query(ask(team, group))

    # As if the console had stopped before it could say that the block was summed.
    ch.command("TRUNCATE TABLE usage_blocks")
    make_requests(team, 5)
    usage.feed(now=timezone.now())
    assert ch.query("SELECT upto FROM usage_blocks").result_rows == [(BLOCK - 1,)]
    for group in [None, *Dimension]:
        assert ClickHouseStore().query(ask(team, group)) == PostgresStore().query(ask(team, group))
    # They do answer: without the requests of that block, the same comes out.
    ch.command(
        f"ALTER TABLE usage_events DELETE WHERE seq < {BLOCK}", settings={"mutations_sync": 2}
    )
    assert ClickHouseStore().query(ask(team)) == PostgresStore().query(ask(team))


@pytest.mark.usefixtures("ch")
def test_while_clickhouse_is_away_postgresql_is_fed_and_afterwards_nothing_is_missing(
    settings: Settings,
) -> None:
    here, settings.CLICKHOUSE = settings.CLICKHOUSE, AWAY
    team = make_team()
    make_requests(team, 12)

    with pytest.raises(SomeFailedError):
        usage.feed(now=timezone.now())
    assert stores.mark(PostgresStore()).fed_seq > 0
    assert stores.mark(ClickHouseStore()).fed_seq == 0

    settings.CLICKHOUSE = here
    make_requests(team, 3)
    usage.feed(now=timezone.now())
    assert requests(team) == 15
    assert stores.mark(ClickHouseStore()).fed_seq == stores.mark(PostgresStore()).fed_seq


def test_who_asks_while_clickhouse_is_away_is_told_so(settings: Settings) -> None:
    settings.CLICKHOUSE = AWAY
    team = make_team()
    mark(1)

    with pytest.raises(StoreUnavailableError, match="Usage cannot be read at the moment"):
        ClickHouseStore().query(ask(team))


def test_to_forget_addresses_does_not_wait_for_clickhouse(ch: Client, settings: Settings) -> None:
    team = make_team()
    make_requests(team, 3)
    usage.feed(now=timezone.now())
    here, settings.CLICKHOUSE = settings.CLICKHOUSE, AWAY
    usage.forget_addresses(team)
    with pytest.raises(StoreUnavailableError):
        usage.forget_addresses_in_clickhouse(team.pk)
    assert ch.query("SELECT DISTINCT ip FROM usage_events").result_rows == [("203.0.113.7",)]

    settings.CLICKHOUSE = here
    usage.forget_addresses_in_clickhouse(team.pk)
    assert ch.query("SELECT DISTINCT ip FROM usage_events").result_rows == [(UNKNOWN_IP,)]


def test_the_tables_of_a_cluster_are_what_clickhouse_can_read(ch: Client) -> None:
    statements = [*Tables("usage", "main").create(), *Tables("usage", "main").drop()]

    assert len(statements) == 12
    for statement in statements:
        assert "ON CLUSTER" in statement
        assert ch.query(f"EXPLAIN AST {statement}").result_rows
