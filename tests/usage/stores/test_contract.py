"""What each store promises: the same answers as a plain sum over the requests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, product
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts.actors import UNKNOWN_IP
from tests.factories import NOON, make_team
from tests.usage.requests import make_record, summed
from usage import services as usage
from usage.rules import Dimension, Filter, Question, Sums
from usage.services import RequestRecord
from usage.stores import Store
from usage.stores.clickhouse import ClickHouseStore

pytestmark = pytest.mark.django_db

KEYS = [UUID(int=number) for number in range(1, 5)]
MIDNIGHT = datetime(2026, 3, 27, tzinfo=UTC)
KATHMANDU = ZoneInfo("Asia/Kathmandu")
# What would do harm if it were part of a statement, or were escaped once too often or too little.
HARMFUL = [
    "'); DROP TABLE usage_events; --",
    "' OR 1=1 --",
    "\\",
    "\\'",
    "\\N",
    '"`',
    "{team:UUID}",
    "%s %(team)s",
    "[1,2]",
    "tab\tand\nline",
    "混合 моделі 😀 e\u0301",
    " ",
]


def ask(team_id: UUID, starts: Sequence[datetime], *filters: Filter, **fields: object) -> Question:
    zone = fields.pop("zone", ZoneInfo("UTC"))
    return Question(team_id=team_id, starts=tuple(starts), zone=zone, filters=filters, **fields)  # type: ignore[arg-type]


def every(step: timedelta, times: int, since: datetime = MIDNIGHT) -> list[datetime]:
    return [since + step * number for number in range(times + 1)]


def is_(dimension: Dimension, *values: object) -> Filter:
    return Filter(dimension, frozenset(map(str, values)))


def is_not(dimension: Dimension, *values: object) -> Filter:
    return Filter(dimension, frozenset(map(str, values)), is_not=True)


def fed_and_unfed(records: Sequence[RequestRecord]) -> None:
    """Record them, of which the stores have got about two thirds."""
    middle = len(records) * 2 // 3
    usage.record(records[:middle])
    usage.feed(now=timezone.now())
    usage.record(records[middle:])


def test_any_question_is_answered_as_a_plain_sum_would(store: Store) -> None:
    team, other = make_team(), make_team()
    keys, models, clusters = cycle(KEYS), cycle(["a", "b", "c"]), cycle(["", "fra-1"])
    ips = cycle(["203.0.113.7", "2001:db8::1", "203.0.113.8", "2001:db8::2", "::1"])
    records = [
        make_record(
            other if number % 7 == 0 else team,
            key_id=next(keys),
            model=next(models),
            cluster=next(clusters),
            ip=next(ips),
            status=500 if number % 11 == 0 else 200,
            items=(
                ("prompt_text", number, number * 10**9),
                ("cached_prompt_text", 1, 1),
                ("reasoning", 2**40, 2**50 + number),
            ),
            at=MIDNIGHT + timedelta(minutes=61 * number, microseconds=999_999),
        )
        for number in range(70)
    ]
    fed_and_unfed(records)
    filters = [
        [],
        [is_(Dimension.MODEL, "a", "c")],
        [is_not(Dimension.MODEL, "a")],
        [is_(Dimension.API_KEY, KEYS[0], KEYS[2]), is_not(Dimension.CLUSTER, "")],
        [is_(Dimension.CLUSTER, ""), is_(Dimension.IP, "2001:db8::1", "::1")],
        [is_not(Dimension.IP, "203.0.113.7"), is_not(Dimension.IP, "::1")],
        [is_(Dimension.MODEL, "a", "b"), is_not(Dimension.MODEL, "b")],
        [is_(Dimension.MODEL)],
        [is_not(Dimension.MODEL)],
    ]
    spans = [
        ([MIDNIGHT, MIDNIGHT + timedelta(days=4)], ZoneInfo("UTC")),
        (every(timedelta(days=1), 3), ZoneInfo("UTC")),
        (every(timedelta(hours=1), 30), ZoneInfo("UTC")),
        (every(timedelta(minutes=15), 200), ZoneInfo("UTC")),
        (every(timedelta(days=1), 3, MIDNIGHT - timedelta(hours=5, minutes=45)), KATHMANDU),
    ]

    # Each group with each filter, and each of both with each of the spans.
    for number, (group, chosen) in enumerate(product([None, *Dimension], filters)):
        starts, zone = spans[number % len(spans)]
        question = ask(team.pk, starts, *chosen, group=group, zone=zone)
        assert store.query(question) == summed(records, question), question


def test_a_question_for_some_measures_is_answered_with_these_and_the_number_of_requests(
    store: Store,
) -> None:
    team = make_team()
    fed_and_unfed([make_record(team, status=status) for status in (200, 500, 200)])
    hour = [NOON, NOON + timedelta(hours=1)]
    wholly = store.query(ask(team.pk, hour, group=Dimension.MODEL))
    wanted = ("completion_ticks", "prompt_text")

    partly = store.query(ask(team.pk, hour, group=Dimension.MODEL, measures=wanted))

    ((key, sums),) = wholly.items()
    assert (sums.requests, sums.failed, sums.prompt_text) == (3, 1, 3_000)
    named = sums._asdict()
    assert partly == {key: Sums(**{name: named[name] for name in ("requests", *wanted)})}


def test_values_are_never_part_of_a_statement(store: Store) -> None:
    team = make_team()
    records = [make_record(team, model=text, cluster=text, at=MIDNIGHT) for text in HARMFUL]
    fed_and_unfed(records)
    day = every(timedelta(days=1), 1)

    by_model = store.query(ask(team.pk, day, group=Dimension.MODEL))
    assert sorted(model for _, model in by_model) == sorted(HARMFUL)
    for text in HARMFUL:
        for dimension in (Dimension.MODEL, Dimension.CLUSTER):
            found = store.query(ask(team.pk, day, is_(dimension, text)))
            assert [sums.requests for sums in found.values()] == [1], text
            assert text in store.values(team.pk, dimension, search=text)
    everything = ask(team.pk, day, is_not(Dimension.MODEL, *HARMFUL))
    assert store.query(everything) == {}
    for dimension in (Dimension.API_KEY, Dimension.IP):
        assert store.query(ask(team.pk, day, is_(dimension, *HARMFUL))) == {}
        (sums,) = store.query(ask(team.pk, day, is_not(dimension, *HARMFUL))).values()
        assert sums.requests == len(HARMFUL)


def test_a_filter_may_have_ten_thousand_values(store: Store) -> None:
    team = make_team()
    records = [make_record(team, model=f"m-{n}", key_id=KEYS[n], at=MIDNIGHT) for n in range(3)]
    fed_and_unfed(records)
    many = [f"some-model-{number}" for number in range(10_000)]
    keys = [UUID(int=number) for number in range(2, 10_002)]
    day = every(timedelta(days=1), 1)

    for question in (
        ask(team.pk, day, is_(Dimension.MODEL, "m-1", *many)),
        ask(team.pk, day, is_not(Dimension.MODEL, "m-1", *many)),
        ask(team.pk, day, is_(Dimension.API_KEY, *keys), group=Dimension.API_KEY),
    ):
        assert store.query(question) == summed(records, question)


def test_nothing_is_found_of_a_team_without_requests(store: Store) -> None:
    usage.record([make_record(make_team(), at=MIDNIGHT)])
    usage.feed(now=timezone.now())
    stranger = make_team()

    assert store.query(ask(stranger.pk, every(timedelta(days=1), 9))) == {}
    assert store.values(stranger.pk, Dimension.MODEL) == []


def test_values_are_listed_newest_use_first_and_searched_in_any_case(store: Store) -> None:
    team = make_team()
    used = ["Atlas-8B", "borealis", "atlas-70b", "100%_sure", "Atlas-8B"]
    fed_and_unfed(
        [
            make_record(team, model=model, at=MIDNIGHT + timedelta(hours=number))
            for number, model in enumerate(used)
        ]
    )
    usage.record([make_record(make_team(), model="atlas-of-others", at=MIDNIGHT)])

    assert store.values(team.pk, Dimension.MODEL) == [
        "Atlas-8B",
        "100%_sure",
        "atlas-70b",
        "borealis",
    ]
    assert store.values(team.pk, Dimension.MODEL, search="ATLAS") == ["Atlas-8B", "atlas-70b"]
    assert store.values(team.pk, Dimension.MODEL, search="%_") == ["100%_sure"]
    assert store.values(team.pk, Dimension.MODEL, limit=1) == ["Atlas-8B"]


def test_forgotten_addresses_are_gone_and_what_was_used_stays(store: Store) -> None:
    team, other = make_team(), make_team()
    records = [
        make_record(owner, ip=ip, at=MIDNIGHT)
        for owner in (team, other)
        for ip in ("203.0.113.7", "2001:db8::1", "203.0.113.7")
    ]
    fed_and_unfed(records)
    by_address = ask(team.pk, every(timedelta(days=1), 1), group=Dimension.IP)
    whole = ask(team.pk, every(timedelta(days=1), 1))
    before = store.query(whole)

    usage.forget_addresses(team)
    if isinstance(store, ClickHouseStore):
        usage.forget_addresses_in_clickhouse(team.pk)

    assert store.query(whole) == before
    assert store.query(by_address) == {(0, UNKNOWN_IP): before[0, ""]}
    assert store.values(team.pk, Dimension.IP) == [UNKNOWN_IP]
    of_other = ask(other.pk, every(timedelta(days=1), 1), group=Dimension.IP)
    assert store.query(of_other) == summed(records, of_other)
