"""Any question against a plain Python sum over the requests themselves."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Team, User
from tests.factories import NOON, make_member, make_team
from tests.usage.requests import make_record, summed
from usage import rules, stores
from usage import services as usage
from usage.rules import ITEMS, Dimension, Filter, Question

pytestmark = pytest.mark.django_db

# Half-hours, three quarters of them, summer time of half an hour, and at midnight.
ZONES = [
    "UTC",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
]
# Days on which those change their clocks, ends of months and years, and a leap day.
DAYS = [
    date(2026, 3, 8),
    date(2026, 3, 29),
    date(2026, 4, 5),
    date(2026, 4, 24),
    date(2026, 10, 4),
    date(2026, 10, 25),
    date(2026, 10, 30),
    date(2026, 11, 1),
    date(2024, 2, 29),
    date(2025, 12, 31),
    date(2011, 12, 30),
]
VALUES = {
    Dimension.API_KEY: [str(UUID(int=number)) for number in (1, 2, 3)],
    Dimension.MODEL: ["atlas-8b", "atlas-70b"],
    Dimension.CLUSTER: ["", "fra-1"],
    Dimension.IP: ["203.0.113.7", "2001:db8::7", "0.0.0.0"],  # noqa: S104
}

requests = st.fixed_dictionaries(
    {
        "at": st.builds(
            lambda day, seconds: (
                datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=seconds)
            ),
            st.sampled_from(DAYS),
            # More often about where a quarter-hour begins.
            st.integers(-300, 300).map(lambda n: n * 900) | st.integers(-40 * 86_400, 40 * 86_400),
        ),
        "items": st.dictionaries(
            st.sampled_from(ITEMS),
            st.tuples(st.integers(0, 10**9), st.integers(0, 10**15)),
            max_size=3,
        ).map(lambda used: tuple((item, *numbers) for item, numbers in used.items())),
        "status": st.sampled_from([200, 200, 499, 500]),
        "key_id": st.sampled_from([UUID(text) for text in VALUES[Dimension.API_KEY]]),
        "model": st.sampled_from(VALUES[Dimension.MODEL]),
        "cluster": st.sampled_from(VALUES[Dimension.CLUSTER]),
        "ip": st.sampled_from(VALUES[Dimension.IP]),
    }
)
filters = st.sampled_from(list(Dimension)).flatmap(
    lambda dimension: st.builds(
        Filter,
        st.just(dimension),
        st.frozensets(st.sampled_from([*VALUES[dimension], "unheard of"]), max_size=2),
        st.booleans(),
    )
)
# How spans begin: a step, and where they are cut besides.
steps = st.sampled_from(["quarter", "hour", "day", "week", "month", "whole"])


def spans(zone: ZoneInfo, first: date, days: int, step: str) -> tuple[datetime, ...]:
    """Begin spans as the page does, and end them with a day."""
    last = first + timedelta(days=days)
    if step == "whole":
        chosen = [first, last]
    elif step in {"quarter", "hour"} and days < 100:
        begin = rules.start_of_day(first, zone)
        size = timedelta(minutes=15 if step == "quarter" else 60)
        return tuple(begin + n * size for n in range(3, 3 + 4 * days))
    else:
        each = [first + timedelta(days=n) for n in range(days + 1)]
        chosen = [
            day
            for day in each
            if day in {first, last}
            or step in {"day", "quarter", "hour"}
            or (step == "week" and day.weekday() == 0)
            or (step == "month" and day.day == 1)
        ]
    return tuple(sorted({rules.start_of_day(day, zone) for day in chosen}))


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    described=st.lists(requests, max_size=20),
    batches=st.integers(1, 3),
    feeds=st.sets(st.integers(0, 3)),
    moves=st.none() | st.sampled_from(ZONES),
    asked=st.lists(
        st.tuples(
            st.sampled_from(ZONES),
            st.sampled_from(DAYS),
            st.integers(-40, 1),
            st.integers(1, 75) | st.integers(350, 400),
            steps,
            st.none() | st.sampled_from(list(Dimension)),
            st.lists(filters, max_size=3),
        ),
        min_size=6,
        max_size=6,
    ),
)
def test_any_question_is_answered_with_the_sum_of_its_requests(
    described: list[dict[str, Any]],
    batches: int,
    feeds: set[int],
    moves: str | None,
    asked: list[tuple[str, date, int, int, str, Dimension | None, list[Filter]]],
) -> None:
    team, member = make_team_of_two_zones()
    records = [make_record(team, **fields) for fields in described]
    other = [make_record(make_team(), **fields) for fields in described[:3]]
    for number in range(batches):
        usage.record([*records[number::batches], *other[number::batches]])
        if number in feeds:
            usage.feed(now=NOON)
        if moves and number == 0:
            # Days of another zone are built of what is there, and those of the first are dropped.
            member.timezone = moves
            member.save()
            for day in range(2):
                usage.keep_zones(now=NOON + timedelta(days=day))
    for zone_name, first, before, days, step, group, wanted in asked:
        zone = ZoneInfo(zone_name)
        starts = spans(zone, first + timedelta(days=before), days, step)
        if len(starts) < 2:
            continue  # A day that Samoa left out.
        question = Question(
            team_id=team.pk, starts=starts, zone=zone, group=group, filters=tuple(wanted)
        )

        assert stores.current().query(question) == summed(records, question)


def make_team_of_two_zones() -> tuple[Team, User]:
    """Make a team whose sums of days are kept for a zone, besides UTC."""
    team = make_team()
    member = make_member(team)
    member.timezone = "Asia/Kathmandu"
    member.save()
    return team, member
