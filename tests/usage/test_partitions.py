"""Tables by month: there before their month begins, and dropped when their time is over."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from pytest_django import Settings

from accounts.models import Team
from accounts.one_by_one import SomeFailedError
from tests.factories import NOON, make_team
from tests.usage.requests import counted, id_at, make_record
from usage import services as usage
from usage import tasks
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db

# Years that no migration has made tables for.
MAY = datetime(2035, 5, 31, 23, 59, 59, 999_000, tzinfo=UTC)
JUNE = MAY + timedelta(milliseconds=1)


def record_at(team: Team, *moments: datetime) -> list[UUID]:
    ids = [id_at(moment, number) for number, moment in enumerate(moments)]
    usage.record(
        [make_record(team, request_id=pk, at=at) for pk, at in zip(ids, moments, strict=True)]
    )
    return ids


def table_of(pk: UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass FROM usage_usageevent WHERE id = %s", [pk])
        return str(cursor.fetchone()[0])


def test_requests_are_in_the_table_of_the_month_in_which_they_began() -> None:
    usage.make_partitions(first=MAY, last=JUNE)

    may, june = record_at(make_team(), MAY, JUNE)

    assert table_of(may) == "usage_usageevent_2035_05"
    assert table_of(june) == "usage_usageevent_2035_06"


def test_tables_are_made_for_months_ahead_once() -> None:
    for _ in range(2):
        usage.make_partitions_ahead(now=MAY)

    (pk,) = record_at(make_team(), MAY + timedelta(days=92))
    assert table_of(pk) == "usage_usageevent_2035_08"


def test_a_month_whose_table_cannot_be_made_keeps_no_other_from_having_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE usage_usageevent_2035_06 (id int)")  # Somebody's own.

    with pytest.raises(SomeFailedError):
        usage.make_partitions_ahead(now=MAY)

    (pk,) = record_at(make_team(), MAY + timedelta(days=92))
    assert table_of(pk) == "usage_usageevent_2035_08"


def test_tables_that_cannot_be_made_keep_no_old_ones_from_being_dropped(settings: Settings) -> None:
    settings.USAGE_EVENT_DAYS = 30
    usage.make_partitions(first=MAY, last=MAY)
    now = datetime(2040, 6, 1, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE usage_usageevent_{now:%Y_%m} (id int)")

    with time_machine.travel(now, tick=False), pytest.raises(SomeFailedError):
        tasks.make_partitions(timestamp=0)

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('usage_usageevent_2035_05')")
        assert cursor.fetchone() == (None,)


def test_requests_that_came_before_their_table_are_moved_into_it() -> None:
    team = make_team()
    may, june = record_at(team, MAY, JUNE)
    assert table_of(may) == "usage_usageevent_default"

    usage.make_partitions(first=MAY, last=MAY)

    assert table_of(may) == "usage_usageevent_2035_05"
    assert table_of(june) == "usage_usageevent_default"
    assert set(UsageEvent.of(team).values_list("pk", flat=True)) == {may, june}


def test_a_month_that_was_missed_gets_its_table_and_is_dropped_in_its_time() -> None:
    team = make_team()
    before = NOON - timedelta(days=400)
    (missed,) = record_at(team, before)
    assert table_of(missed) == "usage_usageevent_default"
    usage.feed(now=NOON)

    usage.make_partitions_ahead(now=NOON)
    usage.drop_partitions(now=NOON, days=30)

    assert not UsageEvent.of(team).exists()
    assert usage.dropped() == (1, before)


def test_old_months_are_dropped_and_their_sums_stay() -> None:
    team = make_team()
    usage.make_partitions(first=MAY, last=JUNE)
    _, june = record_at(team, MAY, JUNE)
    usage.feed(now=NOON)
    now = JUNE + timedelta(days=31)

    first = usage.drop_partitions(now=now, days=30)
    again = usage.drop_partitions(now=now, days=30)

    assert datetime(2035, 5, 1, tzinfo=UTC) in first
    assert again == []
    assert [event.pk for event in UsageEvent.of(team)] == [june]
    assert counted(team, MAY, JUNE) == (2, 0)
    assert usage.dropped() == (1, MAY)


def test_a_month_is_kept_until_its_time_is_over_and_its_sums_are_made() -> None:
    team = make_team()
    usage.make_partitions(first=MAY, last=MAY)
    late, early = JUNE + timedelta(days=31), JUNE + timedelta(days=31, seconds=-1)
    record_at(team, MAY)

    assert usage.drop_partitions(now=late, days=0) == []
    months = usage.drop_partitions(now=late, days=30)
    usage.feed(now=NOON)
    months += usage.drop_partitions(now=early, days=30)

    assert datetime(2035, 5, 1, tzinfo=UTC) not in months
    assert UsageEvent.of(team).exists()
