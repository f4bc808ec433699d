"""The feed: every request is in the sums once, whatever happens on the way."""

from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Team
from tests.factories import NOON, make_team
from tests.usage.requests import COST_TICKS, KEY, id_at, make_record
from usage import services as usage
from usage import stores
from usage.models import UsageEvent, UsageFeed, UsageRollup, UsageSeries, UsageValue
from usage.rules import Answer, Dimension, Filter, Question
from usage.services.feeding import CHUNK
from usage.stores.postgres.slices import FULL

pytestmark = pytest.mark.django_db

UTC_ZONE = ZoneInfo("UTC")
HOUR = timedelta(hours=1)


def ask(team: Team, *filters: Filter, group: Dimension | None = None) -> Answer:
    question = Question(
        team_id=team.pk, starts=(NOON, NOON + HOUR), zone=UTC_ZONE, group=group, filters=filters
    )
    return stores.current().query(question)


def test_what_is_fed_and_what_is_not_add_up() -> None:
    team = make_team()
    usage.record([make_record(team)])

    before = ask(team)
    usage.feed(now=NOON)
    fed = ask(team)
    usage.record([make_record(team)])

    assert before == fed
    assert before[0, ""].requests == 1
    assert ask(team)[0, ""].requests == 2
    assert ask(team)[0, ""].cost_ticks == 2 * COST_TICKS


def test_a_request_shows_at_once_unless_it_began_more_than_a_day_before_the_last_feed() -> None:
    team = make_team()
    usage.record([make_record(team, request_id=id_at(NOON, 1))])
    usage.feed(now=NOON + 24 * HOUR)

    usage.record([make_record(team, request_id=id_at(NOON, 2))])
    at_once = ask(team)[0, ""].requests
    usage.record([make_record(team, request_id=id_at(NOON - HOUR, 3))])
    late = ask(team)[0, ""].requests
    usage.feed(now=NOON + 24 * HOUR)

    assert (at_once, late, ask(team)[0, ""].requests) == (2, 2, 3)


def test_feeding_again_adds_nothing() -> None:
    team = make_team()
    usage.record([make_record(team)])
    usage.feed(now=NOON)
    before = list(UsageRollup.across_teams.order_by("pk").values_list())

    usage.feed(now=NOON + HOUR)

    assert list(UsageRollup.across_teams.order_by("pk").values_list()) == before
    assert UsageFeed.objects.get().fed_at == NOON + HOUR


def test_requests_of_one_quarter_hour_share_a_row() -> None:
    team = make_team()
    usage.record([make_record(team), make_record(team, at=NOON + timedelta(minutes=14))])
    usage.feed(now=NOON)
    usage.record([make_record(team, at=NOON + timedelta(minutes=15) - timedelta(seconds=1))])
    usage.feed(now=NOON)

    quarter = UsageRollup.across_teams.get(grain=0, series__slice=FULL)

    assert (quarter.start, quarter.requests, quarter.prompt_text) == (NOON, 3, 3_000)
    assert (quarter.cost_ticks, quarter.completion_ticks) == (3 * COST_TICKS, 1_500_000)


@pytest.mark.parametrize(
    ("group", "field", "values"),
    [
        (Dimension.API_KEY, "key_id", [KEY, UUID(int=7)]),
        (Dimension.MODEL, "model", ["atlas-8b", "atlas-70b"]),
        (Dimension.CLUSTER, "cluster", ["", "iad-1"]),
        (Dimension.IP, "ip", ["203.0.113.7", "2001:db8::7"]),
    ],
)
def test_requests_that_differ_are_told_apart(
    group: Dimension, field: str, values: list[object]
) -> None:
    team = make_team()
    usage.record([make_record(team, **{field: value}) for value in values])

    told = [ask(team, group=group)]
    usage.feed(now=NOON)
    told.append(ask(team, group=group))

    for answer in told:
        assert {text: sums.requests for (_, text), sums in answer.items()} == {
            str(value): 1 for value in values
        }


def test_a_long_queue_is_fed_in_chunks_and_completely() -> None:
    team = make_team()
    count = 2 * CHUNK + 1
    usage.record([make_record(team) for _ in range(count)])

    usage.feed(now=NOON)

    assert UsageRollup.across_teams.get(grain=0, series__slice=FULL).requests == count
    assert UsageFeed.objects.get().fed_seq == UsageEvent.of(team).latest("seq").seq


def test_numbers_are_spent_on_what_is_new_alone() -> None:
    """Every minute of years, the feed meets what it knows; an id of 32 bits has to last."""
    team = make_team()
    for _ in range(3):
        usage.record([make_record(team)])
        usage.feed(now=NOON)
    usage.record([make_record(team, ip="2001:db8::1")])
    usage.feed(now=NOON)

    for model in (UsageValue, UsageSeries):
        ids = sorted(model.across_teams.values_list("pk", flat=True))
        assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_a_team_never_reads_the_sums_or_the_values_of_another() -> None:
    team, other = make_team(), make_team()
    usage.record([make_record(other, model="secret-model"), make_record(team, model="open-model")])

    for _ in range(2):
        assert {text for _, text in ask(team, group=Dimension.MODEL)} == {"open-model"}
        secret = Filter(Dimension.MODEL, frozenset({"secret-model"}))
        assert ask(team, secret) == {}
        assert stores.current().values(team.pk, Dimension.MODEL) == ["open-model"]
        assert stores.current().values(team.pk, Dimension.MODEL, search="secret") == []
        assert ask(make_team()) == {}
        usage.feed(now=NOON)


def test_values_are_listed_newest_first_and_found_by_a_part_of_them() -> None:
    team, store = make_team(), stores.current()
    for hours, model in enumerate(["Atlas-8b", "brio", "atlas-70b"]):
        usage.record([make_record(team, model=model, at=NOON + hours * HOUR)])
    usage.feed(now=NOON)
    usage.record([make_record(team, model="Atlas-8b", at=NOON + 9 * HOUR)])

    for _ in range(2):
        assert store.values(team.pk, Dimension.MODEL) == ["Atlas-8b", "atlas-70b", "brio"]
        assert store.values(team.pk, Dimension.MODEL, limit=1) == ["Atlas-8b"]
        assert store.values(team.pk, Dimension.MODEL, search="ATLAS") == ["Atlas-8b", "atlas-70b"]
        assert store.values(team.pk, Dimension.MODEL, search="%") == []
        assert store.values(team.pk, Dimension.API_KEY, search=str(KEY)[:5]) == [str(KEY)]
        usage.feed(now=NOON)
