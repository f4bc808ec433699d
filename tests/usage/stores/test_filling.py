"""ClickHouse is filled from the beginning, and compared with PostgreSQL to the tick."""

from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from django.core.management import CommandError, call_command
from django.test import Client as HttpClient
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Team
from tests.billing.pages import text
from tests.factories import make_team, sign_in_staff
from tests.usage.requests import id_at, make_record
from tests.usage.stores.conftest import AWAY
from usage import services as usage
from usage import stores
from usage.models import UsageFeed
from usage.rules import Dimension, Question
from usage.services.comparing import store_differences
from usage.services.refilling import refill_clickhouse
from usage.stores import StoreUnavailableError
from usage.stores.clickhouse import ClickHouseStore
from usage.stores.postgres import PostgresStore

pytestmark = pytest.mark.django_db

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 5, 9, tzinfo=UTC)
SETTLED = {"mutations_sync": 2}

_serial = count()


def make_spring(team: Team) -> None:
    """Record a request every 31 hours from March to the beginning of May."""
    usage.make_partitions(first=MARCH, last=NOW)
    usage.record(
        [
            make_record(
                team,
                model=f"m-{number % 2}",
                ip=f"203.0.113.{number % 3}",
                at=(at := MARCH + timedelta(hours=31 * number)),
                request_id=id_at(at, next(_serial)),
            )
            for number in range(50)
        ]
    )


def differences() -> list[str]:
    return [str(difference) for difference in store_differences(now=NOW)]


@pytest.mark.usefixtures("ch")
def test_stores_that_were_fed_the_same_have_no_differences() -> None:
    make_spring(make_team())
    usage.feed(now=NOW)
    make_spring(make_team())

    assert differences() == []


def test_a_missing_request_is_named_with_its_team_and_day(ch: Client) -> None:
    team, other = make_team(), make_team()
    make_spring(team)
    make_spring(other)
    usage.feed(now=NOW)
    ch.command(
        "ALTER TABLE usage_events DELETE WHERE team_id = {team:UUID} AND toDate(at) = '2026-04-01'",
        parameters={"team": team.pk},
        settings=SETTLED,
    )

    (difference,) = differences()
    assert difference.startswith(f"Team {team.pk}, 2026-04-01: requests 1 in postgres, 0 in click")
    assert "cost_ticks 2,500,000 in postgres, 0 in clickhouse" in difference


def test_a_single_tick_too_many_is_found(ch: Client) -> None:
    team = make_team()
    make_spring(team)
    usage.feed(now=NOW)
    ch.command(
        "ALTER TABLE usage_events UPDATE cost_ticks = cost_ticks + 1"
        " WHERE toDate(at) = '2026-03-12'",
        settings=SETTLED,
    )

    assert differences() == [
        f"Team {team.pk}, 2026-03-12: cost_ticks 2,500,000 in postgres, 2,500,001 in clickhouse"
    ]


def test_a_request_of_another_model_is_found_although_all_sums_are_the_same(ch: Client) -> None:
    team = make_team()
    make_spring(team)
    usage.feed(now=NOW)
    ch.command(
        "ALTER TABLE usage_events UPDATE model = 'm-9' WHERE toDate(at) = '2026-03-12'",
        settings=SETTLED,
    )

    found = differences()
    assert len(found) == 2
    assert found[0].startswith(f"Team {team.pk}, from 2026-03-01 to before 2026-04-01, model 'm-1'")
    assert "model 'm-9': requests 0 in postgres, 1 in clickhouse" in found[1]


def test_to_fill_clickhouse_anew_mends_it_also_where_events_are_gone(ch: Client) -> None:
    team = make_team()
    make_spring(team)
    usage.feed(now=NOW)
    usage.drop_partitions(now=NOW, days=30)
    assert usage.dropped() is not None
    ch.command("TRUNCATE TABLE usage_events")
    assert differences() != []

    for _ in range(2):
        refill_clickhouse(now=NOW)
        assert differences() == []
        assert stores.mark(ClickHouseStore()).fed_seq == stores.mark(PostgresStore()).fed_seq

    question = Question(
        team_id=team.pk,
        starts=(MARCH, NOW),
        zone=ZoneInfo("UTC"),
        group=Dimension.IP,
    )
    assert ClickHouseStore().query(question) == PostgresStore().query(question)


def test_a_filling_that_stopped_half_way_is_seen_and_is_not_gone_on_with_by_the_feed(
    client: HttpClient, settings: Settings, ch: Client
) -> None:
    team = make_team()
    make_spring(team)
    usage.feed(now=NOW)
    usage.drop_partitions(now=NOW, days=30)
    here, settings.CLICKHOUSE = settings.CLICKHOUSE, AWAY
    with pytest.raises(StoreUnavailableError):
        refill_clickhouse(now=NOW)

    settings.CLICKHOUSE = here
    usage.feed(now=NOW)

    # What is older than the events would be missing for good.
    assert stores.mark(ClickHouseStore()).fed_seq == 0
    assert ch.query("SELECT count() FROM usage_events").result_rows == [(50,)]
    feeds = sign_in_staff(client).get(reverse("admin:usage_usagefeed_changelist"))
    assert "being filled anew since 9 May 2026" in text(feeds)
    refill_clickhouse(now=NOW)
    assert differences() == []


def test_the_commands_fill_clickhouse_name_each_difference_and_end_with_an_error(
    ch: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team()
    make_spring(team)
    call_command("usage_backfill", "clickhouse")
    call_command("usage_verify")
    assert capsys.readouterr().out.endswith("No difference\n")

    ch.command("TRUNCATE TABLE usage_events")
    with pytest.raises(SystemExit) as end:
        call_command("usage_verify")
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 50
    assert printed.err == "50 differences\n"


def test_without_a_clickhouse_filling_it_says_what_is_missing() -> None:
    with pytest.raises(CommandError, match="USAGE_STORE names no ClickHouse"):
        call_command("usage_backfill", "clickhouse")


@pytest.mark.parametrize("command", [["usage_backfill", "clickhouse"], ["usage_verify"]])
def test_while_clickhouse_is_away_the_commands_say_why_they_cannot_go_on(
    settings: Settings, command: list[str]
) -> None:
    settings.CLICKHOUSE = AWAY
    make_spring(make_team())
    UsageFeed.objects.create(store="clickhouse", fed_seq=1)

    with pytest.raises(CommandError, match=r"ClickHouse does not answer: .*refused"):
        call_command(*command)
