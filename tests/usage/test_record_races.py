"""Requests that are recorded at the same moment: none is lost, and none waits for ever."""

from functools import partial
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Team
from tests.factories import NOON, make_team
from tests.races import race
from tests.usage.requests import COST_TICKS, make_record
from usage import services as usage
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 15


def test_batches_in_opposite_order_lose_nothing_and_never_lock_each_other_out() -> None:
    teams = [make_team() for _ in range(3)]
    keys = [uuid4() for _ in range(4)]

    def record_all(turn: int) -> None:
        own = uuid4()
        for _ in range(ROUNDS):
            # Rows that all callers share, and rows that only this one has.
            batch = [make_record(team, key_id=key) for team in teams for key in (*keys, own)]
            with transaction.atomic():
                usage.record(batch[::turn])

    results = race(*(partial(record_all, turn) for turn in (1, -1) * 3))

    assert results == [None] * 6
    requests = 6 * ROUNDS * (len(keys) + 1)
    for team in teams:
        assert UsageEvent.of(team).count() == requests
        assert day_of(team).requests == requests
        assert day_of(team).cost_ticks == requests * COST_TICKS


def test_of_two_callers_with_one_request_only_one_records_it() -> None:
    team = make_team()
    twin = make_record(team)

    def record_with_another() -> None:
        with transaction.atomic():
            usage.record([make_record(team, key_id=uuid4()), twin])

    results = race(record_with_another, record_with_another, record_with_another)

    assert results.count(None) == 1
    assert sum(isinstance(result, IntegrityError) for result in results) == 2
    assert UsageEvent.of(team).count() == day_of(team).requests == 2


def day_of(team: Team) -> usage.DayTotal:
    day = NOON.date()
    (total,) = usage.daily(team, first=day, last=day, zone=ZoneInfo("UTC"))
    return total
