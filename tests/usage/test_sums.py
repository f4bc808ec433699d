"""What the sums come to, against a plain Python sum over the requests themselves."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import Team
from tests.factories import NOON, make_team
from tests.usage.requests import COST_TICKS, counted, make_record
from usage import rules
from usage import services as usage

pytestmark = pytest.mark.django_db

DAY = NOON.date()
# With summer time at midnight, at half an hour, backwards in winter, or given up for a new zone.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Cairo",
    "America/Havana",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Pacific/Kiritimati",
]
# The days on which those zones change their clocks in 2026, and quiet ones.
CHANGES = [
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 4, 5, tzinfo=UTC),
    datetime(2026, 4, 24, tzinfo=UTC),
    datetime(2026, 10, 4, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 10, 30, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2025, 12, 31, tzinfo=UTC),
]

moments = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-2 * 86_400, 3 * 86_400),
)
item_names = st.sampled_from(list(rules.TOKEN_LABELS))
requests = st.fixed_dictionaries(
    {
        "at": moments,
        "items": st.dictionaries(
            item_names, st.tuples(st.integers(0, 10**6), st.integers(0, 10**9)), max_size=4
        ).map(lambda used: tuple((item, *numbers) for item, numbers in used.items())),
        "status": st.sampled_from([200, 200, 400, 499, 500, 502]),
        "model": st.sampled_from(["atlas-8b", "atlas-70b"]),
        "ip": st.sampled_from(["203.0.113.7", "2001:db8::7"]),
    }
)


@settings(
    max_examples=60,
    deadline=None,
    # Each example has a team of its own, so what the others wrote does not matter.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    described=st.lists(requests, max_size=25),
    zone_name=st.sampled_from(ZONES),
    change=st.sampled_from(CHANGES),
    length=st.integers(1, 7),
    batches=st.integers(1, 3),
)
@example(
    described=[{"at": datetime(2026, 10, 31, 21, 59, 59, tzinfo=UTC)}],
    zone_name="Africa/Cairo",
    change=datetime(2026, 10, 30, tzinfo=UTC),
    length=3,
    batches=1,
)
def test_any_day_in_any_zone_is_the_sum_of_its_requests(
    described: list[dict[str, Any]],
    zone_name: str,
    change: datetime,
    length: int,
    batches: int,
) -> None:
    team, zone = make_team(), ZoneInfo(zone_name)
    records = [make_record(team, **fields) for fields in described]
    for number in range(batches):
        usage.record(records[number::batches])
    first = (change - timedelta(days=length // 2)).date()
    last = first + timedelta(days=length - 1)

    days = usage.daily(team, first=first, last=last, zone=zone)

    assert [day.day for day in days] == [first + timedelta(days=n) for n in range(length)]
    for day in days:
        own = [record for record in records if record.at.astimezone(zone).date() == day.day]
        assert day.requests == len(own)
        assert day.failures == sum(record.status >= 500 for record in own)
        assert day.cost_ticks == sum(record.cost_ticks for record in own)


@pytest.mark.parametrize(
    ("zone_name", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/St_Johns", date(2026, 3, 8), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Asia/Kathmandu", date(2026, 10, 25), 24),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # The clock skips midnight itself.
        ("America/Havana", date(2026, 11, 1), 25),  # Midnight comes twice.
        ("Pacific/Apia", date(2011, 12, 30), 0),  # The day that Samoa left out.
    ],
)
def test_a_day_has_the_hours_that_it_had_there(zone_name: str, day: date, hours: float) -> None:
    begin, end = rules.starts_of_days(day, day, ZoneInfo(zone_name))

    assert (end - begin) / timedelta(hours=1) == hours
    assert begin.astimezone(UTC) == rules.quarter_of(begin)


@pytest.mark.parametrize(
    ("zone_name", "last_moment"),
    [
        ("Europe/Berlin", datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 10, 25, 18, 14, 59, tzinfo=UTC)),
        ("America/St_Johns", datetime(2026, 10, 26, 2, 29, 59, tzinfo=UTC)),
    ],
)
def test_midnight_belongs_to_the_day_that_begins(zone_name: str, last_moment: datetime) -> None:
    team, zone = make_team(), ZoneInfo(zone_name)
    usage.record(
        [
            make_record(team, at=last_moment),
            make_record(team, at=last_moment + timedelta(seconds=1)),
        ]
    )

    before, after = usage.daily(team, first=date(2026, 10, 25), last=date(2026, 10, 26), zone=zone)

    assert (before.requests, after.requests) == (1, 1)


def test_days_without_requests_are_there_with_nothing_in_them() -> None:
    days = usage.daily(
        make_team(), first=date(2024, 2, 27), last=date(2024, 3, 1), zone=ZoneInfo("UTC")
    )

    assert [day.day.day for day in days] == [27, 28, 29, 1]
    assert usage.total(days) == usage.Total()


def test_the_total_is_the_sum_of_its_days_to_the_tick() -> None:
    team = make_team()
    usage.record(
        [
            make_record(
                team, at=NOON + timedelta(hours=7 * n), items=[("prompt_text", n, 3 * n + 1)]
            )
            for n in range(40)
        ]
    )
    days = usage.daily(team, first=DAY, last=DAY + timedelta(days=20), zone=ZoneInfo("Asia/Tokyo"))

    total = usage.total(days)

    assert (
        total.cost_ticks == sum(day.cost_ticks for day in days) == sum(3 * n + 1 for n in range(40))
    )
    assert total.requests == 40


def test_spending_is_told_by_whole_quarter_hours() -> None:
    team = make_team()
    for minutes in (-1, 0, 14, 15, 30):
        usage.record([make_record(team, at=NOON + timedelta(minutes=minutes))])

    spent = usage.spent_ticks(
        team, since=NOON + timedelta(minutes=5), until=NOON + timedelta(minutes=16)
    )

    assert spent == 3 * COST_TICKS


def test_one_team_never_sees_what_another_used() -> None:
    team, other = make_team(), make_team()
    usage.record([make_record(other, first_token_ms=100)])
    until = NOON + timedelta(hours=1)

    (day,) = usage.daily(team, first=DAY, last=DAY, zone=ZoneInfo("UTC"))

    assert (day.requests, day.cost_ticks) == (0, 0)
    assert usage.spent_ticks(team, since=NOON, until=until) == 0
    assert counted(team, NOON, until) == (0, 0)
    assert usage.first_token_ms(team, since=NOON, until=until) is None
    assert not usage.has_any(team)


def time_to_first_token(team: Team) -> int | None:
    return usage.first_token_ms(team, since=NOON - timedelta(days=1), until=NOON)


def test_the_median_time_to_the_first_token_is_that_of_the_streamed_requests() -> None:
    team = make_team()
    times = [900, 200, None, 210, None, 5_000, 190]
    at = NOON - timedelta(hours=2)
    usage.record([make_record(team, at=at, first_token_ms=ms) for ms in times])
    usage.record([make_record(team, at=NOON, first_token_ms=1)])

    assert time_to_first_token(team) == 210


def test_without_streams_there_is_no_time_to_the_first_token() -> None:
    team = make_team()
    usage.record([make_record(team, at=NOON - timedelta(hours=2))])

    assert time_to_first_token(team) is None
