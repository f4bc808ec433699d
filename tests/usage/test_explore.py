"""Views of the explorer against a plain Python sum: what it makes of its store's answers.

By days and hours, filtered by models and token types; the store has tests of its own for the rest.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Team
from tests.factories import NOON, make_member, make_team
from tests.usage.pages import create_key
from tests.usage.requests import make_record
from usage import services as usage
from usage.rules import ITEMS, Field, Filters, Granularity, Group, Measure, Range, Wanted
from usage.rules.filters import Choice
from usage.services import RequestRecord
from usage.services.explore import MOST_SERIES, Report, explore

pytestmark = pytest.mark.django_db

DAY, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)
# Where no hour of these zones begins.
NOW = NOON + timedelta(minutes=20)
MODELS = [f"m-{number:02}" for number in range(16)]
STEPS = {Granularity.DAY: DAY, Granularity.HOUR: HOUR}

requests = st.fixed_dictionaries(
    {
        "key": st.integers(0, 4),
        "model": st.sampled_from(MODELS),
        "at": st.integers(1, 6 * 24 * 60).map(lambda n: NOON - timedelta(minutes=n)),
        "items": st.dictionaries(
            st.sampled_from(ITEMS),
            st.tuples(st.integers(0, 10**9), st.integers(0, 10**15)),
            max_size=3,
        ).map(lambda used: tuple((item, *numbers) for item, numbers in used.items())),
    }
)
# Days that are over, or days of which the last is not.
ranges = st.builds(
    Range.of_days,
    st.just(date(2026, 2, 27)),
    st.sampled_from([date(2026, 2, 28), date(2026, 3, 1)]),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/St_Johns"]).map(ZoneInfo),
)
choices = st.builds(
    Choice,
    st.just(Field.TOKEN_TYPE),
    st.sets(st.sampled_from(ITEMS), min_size=1, max_size=3).map(tuple),
    st.booleans(),
) | st.builds(
    Choice,
    st.just(Field.MODEL),
    st.sets(st.sampled_from(MODELS), min_size=1, max_size=3).map(tuple),
    st.booleans(),
)
views = st.builds(
    Wanted,
    range=ranges,
    granularity=st.sampled_from(list(STEPS)),
    measure=st.sampled_from(Measure),
    group=st.none() | st.sampled_from(Group),
    filters=st.lists(choices, max_size=2, unique_by=lambda one: one.field).map(
        lambda chosen: Filters(tuple(chosen))
    ),
    compares=st.booleans(),
).filter(
    # No page asks for the token types of requests, which have several.
    lambda wanted: (wanted.measure, wanted.group) != (Measure.REQUESTS, Group.TOKEN_TYPE)
)


@settings(
    max_examples=20,
    deadline=None,
    # Each example has a team of its own, so what the others wrote does not matter.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    described=st.lists(requests, min_size=10, max_size=30),
    has_many=st.booleans(),  # More groups than have a colour of their own.
    asked=st.lists(views, min_size=6, max_size=6),
)
def test_any_view_shows_what_its_requests_add_up_to(
    described: list[dict[str, Any]], *, has_many: bool, asked: list[Wanted]
) -> None:
    team = make_team()
    owners = make_keys(team, people=14 if has_many else 2)
    keys = [UUID(key_id) for key_id in owners]
    records = [
        make_record(team, key_id=keys[fields.pop("key")], **fields)
        for fields in map(dict, described)
    ]
    if has_many:
        at = NOON - DAY
        records += [make_record(team, model=model, key_id=keys[0], at=at) for model in MODELS]
        records += [make_record(team, key_id=key_id, at=at) for key_id in keys]
    usage.record(records)

    for wanted in asked:
        check(explore(team, wanted, now=NOW), wanted, Plain(wanted, records, owners))


def make_keys(team: Team, *, people: int) -> dict[str, str]:
    """Make keys, of which the first is nobody's and two people have two; name their owners."""
    owners = {str(uuid4()): ""}
    for number in range(people):
        owner = make_member(team)
        for name in ("web", "batch")[: 2 if number < 2 else 1]:
            owners[str(create_key(team, owner, name).pk)] = str(owner.pk)
    return owners


class Plain:
    """The same requests, added up one by one."""

    def __init__(
        self, wanted: Wanted, records: Sequence[RequestRecord], owners: Mapping[str, str]
    ) -> None:
        self.wanted, self.owners = wanted, owners
        self.items = set(ITEMS)
        self.kept = list(records)
        for choice in wanted.filters.choices:
            if choice.field is Field.TOKEN_TYPE:
                self.items = {i for i in ITEMS if (i in choice.values) is not choice.is_not}
            else:
                self.kept = [
                    one for one in self.kept if (one.model in choice.values) is not choice.is_not
                ]

    def sum(self, begin: datetime, end: datetime, group: str | None = None) -> int:
        """Sum up what is measured from `begin` to `end`, of all or of one group."""
        items = self.items
        if group is not None and self.wanted.stacked_by is Group.TOKEN_TYPE:
            items, group = {group}, None
        return sum(
            measured(one, self.wanted.measure, items)
            for one in self.between(begin, end)
            if group is None or self.group_of(one) == group
        )

    def between(self, begin: datetime, end: datetime) -> list[RequestRecord]:
        return [one for one in self.kept if begin <= one.at < end]

    def group_of(self, one: RequestRecord) -> str:
        if self.wanted.stacked_by is Group.MEMBER:
            return self.owners[str(one.key_id)]
        name = "key_id" if self.wanted.stacked_by is Group.API_KEY else str(self.wanted.stacked_by)
        return str(getattr(one, name))


def measured(one: RequestRecord, measure: Measure, items: set[str]) -> int:
    if measure is Measure.REQUESTS:
        return 1
    place = 2 if measure is Measure.COST else 1
    return sum(int(item[place]) for item in one.items if item[0] in items)


def spans(begin: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Cut the time up to `end`, on days on which no clock is changed."""
    number = -((begin - end) // step)
    return [(begin + n * step, min(begin + (n + 1) * step, end)) for n in range(number)]


def check(report: Report, wanted: Wanted, plain: Plain) -> None:
    step = STEPS[wanted.granularity]
    begin, end = wanted.range.begin, min(wanted.range.end, NOW)
    bars = spans(begin, end, step)
    whole = [plain.sum(*bar) for bar in bars]
    assert [wanted.measure.of(sums) for sums in report.by_period] == whole
    assert report.measured == sum(whole)
    check_groups(report, plain, bars)
    if report.series:
        parts = zip(*(series.values for series in report.series), strict=True)
        assert list(map(sum, parts)) == whole

    # As many days before, and of the last no more quarter-hours than of today.
    before = begin - (wanted.range.end - begin)
    passed = (end - begin) // QUARTER * QUARTER
    assert report.before.total == plain.sum(before, before + passed)
    compared = spans(before, begin, step) if wanted.compares else []
    assert report.before.values == [plain.sum(*bar) for bar in compared]

    for dearest, name in ((report.dearest_model, "model"), (report.dearest_key, "key_id")):
        costs: dict[str, int] = defaultdict(int)
        for one in plain.between(begin, end):
            costs[getattr(one, name)] += measured(one, Measure.COST, plain.items)
        assert (dearest.cost_ticks if dearest else 0) == max(costs.values(), default=0)


def check_groups(report: Report, plain: Plain, bars: Sequence[tuple[datetime, datetime]]) -> None:
    """Ask for all groups there are, the largest first, of which twelve have a part of each bar."""
    wanted = report.wanted
    begin, end = bars[0][0], bars[-1][1]
    sizes = [wanted.measure.of(group.sums) for group in report.groups]
    assert sizes == [plain.sum(begin, end, group.value) for group in report.groups]
    assert sizes == sorted(sizes, reverse=True)
    for group, series in zip(report.groups[:MOST_SERIES], report.series, strict=False):
        assert series.values == [plain.sum(*bar, group.value) for bar in bars]
    if wanted.stacked_by not in {None, Group.TOKEN_TYPE}:
        there = {plain.group_of(one) for one in plain.between(begin, end)}
        assert {group.value for group in report.groups} == there
        assert len(report.series) == min(len(there), MOST_SERIES + 1)
