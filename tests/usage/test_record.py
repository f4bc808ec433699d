"""Recording requests: each once, with sums that say the same, however many come together."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from uuid_utils.compat import uuid7

from accounts.models import Team
from tests.factories import NOON, make_team
from tests.usage.requests import COST_TICKS, ITEMS, KEY, make_record
from usage import services as usage
from usage.models import UsageEvent, UsageRollup

pytestmark = pytest.mark.django_db

MOMENT = timedelta(seconds=1)
UTC_ZONE = ZoneInfo("UTC")
KATHMANDU = ZoneInfo("Asia/Kathmandu")


def sums(team: Team) -> dict[str, tuple[int, int, int]]:
    rows = UsageRollup.of(team).values_list("item", "quantity", "cost_ticks", "requests")
    return {item: (quantity, cost, requests) for item, quantity, cost, requests in rows}


def test_a_request_is_kept_as_it_was() -> None:
    team = make_team()
    record = make_record(team, first_token_ms=212, status=200)

    usage.record([record])

    event = UsageEvent.of(team).get()
    assert (event.pk, event.at, event.api_key_id) == (record.request_id, NOON, KEY)
    assert (event.model, event.cluster, event.ip) == ("atlas-8b", "fra-1", "203.0.113.7")
    assert (event.status, event.streamed, event.first_token_ms) == (200, True, 212)
    assert (event.latency_ms, event.cost_ticks) == (900, COST_TICKS)
    assert event.items == [list(item) for item in ITEMS]


def test_requests_of_one_quarter_hour_share_a_row_for_each_item() -> None:
    team = make_team()

    usage.record([make_record(team), make_record(team, at=NOON + timedelta(minutes=14))])
    usage.record([make_record(team, at=NOON + timedelta(minutes=15) - MOMENT)])

    assert sums(team) == {
        "prompt_text": (3_000, 6_000_000, 3),
        "completion": (300, 1_500_000, 3),
    }
    assert set(UsageRollup.of(team).values_list("quarter", flat=True)) == {NOON}


@pytest.mark.parametrize(
    "difference",
    [
        {"at": NOON + timedelta(minutes=15)},
        {"key_id": UUID(int=7)},
        {"model": "atlas-70b"},
        {"cluster": "iad-1"},
        {"ip": "2001:db8::7"},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_requests_that_differ_have_rows_of_their_own(difference: dict[str, Any]) -> None:
    team = make_team()

    usage.record([make_record(team), make_record(team, **difference)])

    assert UsageRollup.of(team).count() == 4


def test_a_failed_request_counts_as_a_request_and_as_a_failure() -> None:
    team = make_team()

    usage.record([make_record(team, status=502, items=()), make_record(team)])

    count = usage.requests_between(team, since=NOON, until=NOON + MOMENT)
    assert count == usage.RequestCount(requests=2, failures=1)
    assert usage.spent_ticks(team, since=NOON, until=NOON + MOMENT) == COST_TICKS


def test_a_stream_that_broke_costs_what_it_brought_and_is_a_failure() -> None:
    team = make_team()

    usage.record([make_record(team, status=502)])

    (day,) = usage.daily(team, first=NOON.date(), last=NOON.date(), zone=UTC_ZONE)
    assert (day.requests, day.failures, day.cost_ticks, day.tokens) == (1, 1, COST_TICKS, 1_100)


def test_a_request_that_the_customer_got_wrong_is_no_failure() -> None:
    team = make_team()

    usage.record([make_record(team, status=400, items=())])

    count = usage.requests_between(team, since=NOON, until=NOON + MOMENT)
    assert count == usage.RequestCount(requests=1, failures=0)


def test_an_item_named_twice_is_counted_as_one_request() -> None:
    team = make_team()

    usage.record([make_record(team, items=[("prompt_text", 5, 10), ("prompt_text", 7, 14)])])

    assert sums(team) == {"prompt_text": (12, 24, 1)}


def test_a_request_is_not_counted_twice() -> None:
    team = make_team()
    usage.record([make_record(team, request_id=(request_id := uuid7()))])
    before = sums(team)

    with pytest.raises(IntegrityError), transaction.atomic():
        usage.record([make_record(team), make_record(team, request_id=request_id)])

    assert sums(team) == before
    assert UsageEvent.of(team).count() == 1


def test_the_last_moment_of_a_quarter_hour_belongs_to_it() -> None:
    team = make_team()

    usage.record([make_record(team, at=NOON - MOMENT), make_record(team, at=NOON)])

    assert UsageRollup.of(team).count() == 4


def test_what_the_caller_rolls_back_was_never_recorded() -> None:
    team = make_team()

    with transaction.atomic():
        usage.record([make_record(team)])
        transaction.set_rollback(True)

    assert not usage.has_any(team)
    assert not UsageEvent.of(team).exists()


def test_a_cost_that_the_items_do_not_explain_is_refused_where_it_is_told() -> None:
    with pytest.raises(usage.UnexplainedCostError, match="cost 9 ticks, but its billing items"):
        make_record(make_team(), cost_ticks=9)


def test_nothing_to_record_asks_nothing_of_the_database(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(0):
        usage.record([])


def test_two_hundred_requests_of_many_teams_take_as_many_statements_as_one() -> None:
    teams = [make_team() for _ in range(5)]
    many = [
        make_record(teams[number % 5], key_id=UUID(int=number % 7), model=f"model-{number % 3}")
        for number in range(200)
    ]
    with CaptureQueriesContext(connection) as queries_for_one:
        usage.record([make_record(teams[0])])

    with CaptureQueriesContext(connection) as queries_for_many:
        usage.record(many)

    assert len(queries_for_many) == len(queries_for_one) == 1
    assert sum(UsageEvent.of(team).count() for team in teams) == 201


def test_names_and_numbers_of_any_kind_survive() -> None:
    team = make_team()
    items = [("prompt_text", 2**62, 2**62)]

    usage.record([make_record(team, model="Qu'en\"; DROP TABLE \\ ☂ %s", items=items)])

    assert UsageRollup.of(team).get().model == "Qu'en\"; DROP TABLE \\ ☂ %s"
    assert sums(team) == {"prompt_text": (2**62, 2**62, 1)}


def test_a_time_is_kept_to_the_microsecond_whatever_its_zone() -> None:
    team = make_team()
    at = datetime(2026, 3, 29, 5, 29, 59, 999_999, tzinfo=UTC)

    usage.record([make_record(team, at=at.astimezone(KATHMANDU))])

    assert UsageEvent.of(team).get().at == at
    assert UsageRollup.of(team).first().quarter == at.replace(  # type: ignore[union-attr]
        minute=15, second=0, microsecond=0
    )
