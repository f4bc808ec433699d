"""Recording requests: each once, and as it was, however many come together."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from uuid_utils.compat import uuid7

from tests.factories import NOON, make_team
from tests.usage.requests import COST_TICKS, KEY, counted, make_record
from usage import services as usage
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db

MOMENT = timedelta(seconds=1)
UTC_ZONE = ZoneInfo("UTC")
KATHMANDU = ZoneInfo("Asia/Kathmandu")


def test_a_request_is_kept_as_it_was() -> None:
    team = make_team()
    record = make_record(team, first_token_ms=212, status=200)

    usage.record([record])

    event = UsageEvent.of(team).get()
    assert (event.pk, event.at, event.api_key_id) == (record.request_id, NOON, KEY)
    assert (event.model, event.cluster, event.ip) == ("atlas-8b", "fra-1", "203.0.113.7")
    assert (event.status, event.streamed, event.first_token_ms) == (200, True, 212)
    assert (event.latency_ms, event.cost_ticks) == (900, COST_TICKS)
    assert (event.prompt_text, event.prompt_text_ticks) == (1_000, 2_000_000)
    assert (event.completion, event.completion_ticks) == (100, 500_000)
    assert (event.cached_prompt_text, event.prompt_image, event.reasoning) == (0, 0, 0)


def test_requests_are_numbered_in_the_order_of_their_recording() -> None:
    team = make_team()
    records = [make_record(team) for _ in range(3)]

    usage.record(records[:1])
    usage.record(records[1:])

    in_order = UsageEvent.of(team).order_by("seq").values_list("pk", flat=True)
    assert list(in_order) == [record.request_id for record in records]


def test_a_failed_request_counts_as_a_request_and_as_a_failure() -> None:
    team = make_team()

    usage.record([make_record(team, status=502, items=()), make_record(team)])

    assert counted(team, NOON, NOON) == (2, 1)
    assert usage.spent_ticks(team, since=NOON, until=NOON + MOMENT) == COST_TICKS


def test_a_stream_that_broke_costs_what_it_brought_and_is_a_failure() -> None:
    team = make_team()

    usage.record([make_record(team, status=502)])

    (day,) = usage.daily(team, first=NOON.date(), last=NOON.date(), zone=UTC_ZONE)
    assert (day.requests, day.failures, day.cost_ticks) == (1, 1, COST_TICKS)


def test_a_request_that_the_customer_got_wrong_is_no_failure() -> None:
    team = make_team()

    usage.record([make_record(team, status=400, items=())])

    assert counted(team, NOON, NOON) == (1, 0)


def test_an_item_named_twice_is_added_up() -> None:
    team = make_team()

    usage.record([make_record(team, items=[("prompt_text", 5, 10), ("prompt_text", 7, 14)])])

    event = UsageEvent.of(team).get()
    assert (event.prompt_text, event.prompt_text_ticks, event.cost_ticks) == (12, 24, 24)


def test_a_request_is_not_counted_twice() -> None:
    team = make_team()
    usage.record([make_record(team, request_id=(request_id := uuid7()))])

    with pytest.raises(IntegrityError), transaction.atomic():
        usage.record([make_record(team), make_record(team, request_id=request_id)])

    assert UsageEvent.of(team).count() == 1


def test_requests_of_different_months_and_of_no_month_are_all_kept_once() -> None:
    team = make_team()
    ids = [UUID(int=0), uuid7(), uuid4()]

    usage.record([make_record(team, request_id=request_id) for request_id in ids])

    assert usage.recorded(ids) == set(ids)
    for request_id in ids:
        with pytest.raises(IntegrityError), transaction.atomic():
            usage.record([make_record(team, request_id=request_id)])


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


def test_an_item_that_usage_has_no_place_for_is_refused_where_it_is_told() -> None:
    with pytest.raises(usage.UnknownItemError, match="used web_search, but usage knows prompt_"):
        make_record(make_team(), items=[("web_search", 1, 5)])


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

    event = UsageEvent.of(team).get()
    assert event.model == "Qu'en\"; DROP TABLE \\ ☂ %s"
    assert (event.prompt_text, event.cost_ticks) == (2**62, 2**62)


def test_a_time_is_kept_to_the_microsecond_whatever_its_zone() -> None:
    team = make_team()
    at = datetime(2026, 3, 29, 5, 29, 59, 999_999, tzinfo=UTC)

    usage.record([make_record(team, at=at.astimezone(KATHMANDU))])

    assert UsageEvent.of(team).get().at == at
