"""The feed among others: requests that commit late, feeds that die, two feeds at once."""

from collections.abc import Sequence
from datetime import timedelta
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import Team
from tests.factories import NOON, make_member, make_team
from tests.races import race
from tests.servers import DEADLINE_SECONDS
from tests.usage.requests import id_at, make_record
from usage import services as usage
from usage import stores
from usage.models import UsageEvent, UsageFeed, UsageRollup, UsageZone
from usage.rules import Question
from usage.services.feeding import CHUNK, decided_seq, feed_store
from usage.stores.postgres.building import drop_days
from usage.stores.postgres.reading import TRIES

pytestmark = pytest.mark.django_db(transaction=True)


def summed(team: Team) -> int:
    """Count the requests that the feed has brought into the sums."""
    hours = UsageRollup.across_teams.filter(grain=1, series__slice=0, series__team=team)
    return sum(hours.values_list("requests", flat=True))


def answered(team: Team) -> int:
    question = Question(
        team_id=team.pk, starts=(NOON, NOON + timedelta(hours=1)), zone=ZoneInfo("UTC")
    )
    return sum(sums.requests for sums in stores.current().query(question).values())


def test_a_request_that_commits_late_is_not_passed_over() -> None:
    team = make_team()
    is_numbered, may_commit = Event(), Event()

    def record_late() -> None:
        with transaction.atomic():
            usage.record([make_record(team)])
            is_numbered.set()
            may_commit.wait(DEADLINE_SECONDS)

    def record_soon_and_feed() -> None:
        is_numbered.wait(DEADLINE_SECONDS)
        usage.record([make_record(team)])
        try:
            # It gives up, as it cannot know what becomes of the number below its own.
            usage.feed(now=NOON)
        finally:
            assert answered(team) == 1
            may_commit.set()

    late, soon = race(record_late, record_soon_and_feed)

    assert late is None
    assert "lock timeout" in str(soon)
    assert not UsageFeed.objects.exists()
    usage.feed(now=NOON)
    assert summed(team) == answered(team) == 2


def test_two_feeds_at_once_count_nothing_twice() -> None:
    team = make_team()
    usage.record([make_record(team) for _ in range(50)])

    def record_and_feed() -> None:
        for _ in range(5):
            usage.record([make_record(team)])
            usage.feed(now=NOON)

    results = race(*[record_and_feed] * 4)

    assert results == [None] * 4
    assert summed(team) == answered(team) == 70


def test_a_question_in_the_midst_of_feeding_counts_every_request_once() -> None:
    team = make_team()
    usage.record([make_record(team) for _ in range(20)])
    counts: list[int] = []

    def feed() -> None:
        for _ in range(10):
            usage.record([make_record(make_team())])
            usage.feed(now=NOON)

    def ask() -> None:
        counts.extend(answered(team) for _ in range(40))

    assert race(feed, ask) == [None, None]
    assert set(counts) == {20}


@pytest.mark.parametrize("between", ["feed", "drop the zone"])
def test_a_question_is_asked_again_if_the_sums_change_between_its_two_statements(
    between: str,
) -> None:
    team, zone = make_team(), ZoneInfo("Europe/Berlin")
    member = make_member(team)
    member.timezone = zone.key
    member.save()
    usage.record([make_record(team) for _ in range(20)])
    usage.feed(now=NOON)
    usage.record([make_record(team) for _ in range(5)])
    changed = Event()

    def change() -> None:
        if between == "feed":
            usage.feed(now=NOON)
        else:
            with transaction.atomic():
                drop_days(UsageZone.of(team).get(name=zone.key).pk)

    def change_after_the_first(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if not changed.is_set() and "FROM usage_usagezone" in sql:
            changed.set()
            assert race(change) == [None]
        return result

    day = (NOON - timedelta(hours=13), NOON + timedelta(hours=11))
    question = Question(team_id=team.pk, starts=day, zone=zone)
    with connection.execute_wrapper(change_after_the_first):
        (sums,) = stores.current().query(question).values()

    assert changed.is_set()
    assert sums.requests == 25


def test_a_question_gives_up_when_the_sums_change_each_time_it_is_asked() -> None:
    team = make_team()
    changes: list[object] = []

    def feed() -> None:
        usage.record([make_record(team)])
        usage.feed(now=NOON)

    def change_after_the_first(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "AS sign" not in sql and "FROM usage_usagezone" in sql:
            changes.extend(race(feed))
        return result

    with (
        connection.execute_wrapper(change_after_the_first),
        pytest.raises(stores.StoreUnavailableError),
    ):
        answered(team)

    assert changes == [None] * TRIES
    assert answered(team) == TRIES


def test_all_questions_of_a_page_are_answered_from_one_moment() -> None:
    team = make_team()
    usage.record([make_record(team)])

    with stores.reading():
        before = answered(team)
        assert race(lambda: usage.record([make_record(team)])) == [None]
        meanwhile = answered(team)

    assert (before, meanwhile, answered(team)) == (1, 1, 2)


class DyingStore:
    """A store that has the events, and dies before that is committed."""

    name = "dying"

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.deaths = 2

    def record(self, events: Sequence[UsageEvent]) -> None:
        self.seen += [event.seq for event in events]
        if len(self.seen) > CHUNK and self.deaths:
            self.deaths -= 1
            raise ConnectionResetError


def test_a_feed_that_dies_between_two_chunks_goes_on_where_it_stopped() -> None:
    team = make_team()
    usage.record([make_record(team) for _ in range(CHUNK + 7)])
    store = DyingStore()
    upto = decided_seq()

    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            feed_store(store, upto, now=NOON)  # type: ignore[arg-type]
    feed_store(store, upto, now=NOON)  # type: ignore[arg-type]

    seqs = list(UsageEvent.of(team).order_by("seq").values_list("seq", flat=True))
    assert store.seen == [*seqs, *seqs[CHUNK:], *seqs[CHUNK:]]
    assert UsageFeed.objects.get(store="dying").fed_seq == seqs[-1]


def test_no_month_is_dropped_while_sums_are_built_of_its_requests() -> None:
    team = make_team()
    usage.record([make_record(team, request_id=id_at(NOON, 1))])
    usage.make_partitions_ahead(now=NOON)
    usage.feed(now=NOON)

    with transaction.atomic():
        stores.lock(stores.at_hand())
        (error,) = race(lambda: usage.drop_partitions(now=NOON + timedelta(days=70), days=30))

    assert isinstance(error, OperationalError)
    assert UsageEvent.of(team).exists()
    assert usage.dropped() is None
