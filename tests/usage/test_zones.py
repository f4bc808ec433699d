"""Sums of days are kept as members have them, by the rules that their zones have now."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, reset_tzpath

import pytest

from accounts.models import Team, User
from accounts.one_by_one import SomeFailedError
from tests.factories import NOON, make_member, make_team
from tests.usage.requests import make_record
from usage import services as usage
from usage import stores
from usage.models import UsageRollup, UsageZone
from usage.rules import Dimension, Question
from usage.stores.postgres.zones import MOST_ZONES

pytestmark = pytest.mark.django_db

# Of no other test: zones are the same only where they are the same object.
CHANGED = "Asia/Yangon"

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def make_used_team() -> tuple[Team, User]:
    """Make a team with a hundred hours of usage, and its member in UTC."""
    team = make_team()
    member = make_member(team)
    usage.record([make_record(team, at=NOON + n * HOUR) for n in range(100)])
    usage.feed(now=NOON)
    return team, member


def move(member: User, zone: str, *, now: datetime) -> None:
    member.timezone = zone
    member.save()
    usage.keep_zones(now=now)


def names(team: Team) -> set[str]:
    return set(UsageZone.of(team).values_list("name", flat=True))


@pytest.fixture
def _other_rules(tmp_path: Path) -> Iterator[None]:
    """Offer rules by which it is as late in Yangon as in Kolkata."""
    rules = resources.files("tzdata.zoneinfo.Asia").joinpath("Kolkata").read_bytes()
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia" / "Yangon").write_bytes(rules)
    yield
    reset_tzpath()
    ZoneInfo.clear_cache(only_keys=[CHANGED])


def test_days_are_kept_of_the_zones_that_members_are_in_now() -> None:
    team, member = make_used_team()

    move(member, "Asia/Kathmandu", now=NOON)
    usage.keep_zones(now=NOON)

    zone = ZoneInfo("Asia/Kathmandu")
    kept_zone = UsageZone.of(team).get(name=zone.key)
    days = UsageRollup.across_teams.filter(grain=2 * kept_zone.pk, series__slice=0)
    assert sum(days.values_list("requests", flat=True)) == 100
    starts = tuple(days.order_by("start").values_list("start", flat=True)[:2])
    question = Question(team_id=team.pk, starts=starts, zone=zone, group=Dimension.IP)
    (sums,) = stores.at_hand().query(question).values()
    assert sums.requests == days.earliest("start").requests

    move(member, "UTC", now=NOON + HOUR)
    assert days.exists()
    usage.keep_zones(now=NOON + HOUR + DAY)
    assert not days.exists()
    assert names(team) == {"UTC"}


def test_whoever_moves_to_and_fro_has_nothing_built_anew() -> None:
    team, member = make_used_team()
    move(member, "Asia/Kathmandu", now=NOON)
    before = set(UsageZone.of(team).values_list("pk", "name"))

    move(member, "UTC", now=NOON + HOUR)
    move(member, "Asia/Kathmandu", now=NOON + 2 * HOUR)
    usage.keep_zones(now=NOON + 2 * DAY)

    assert set(UsageZone.of(team).values_list("pk", "name")) == before


def test_whoever_is_elsewhere_each_hour_has_few_zones_built_in_a_day() -> None:
    team, member = make_used_team()
    for number in range(1, 13):
        move(member, f"Etc/GMT+{number}", now=NOON + number * HOUR)

    assert len(names(team)) == MOST_ZONES
    # The next days have room again.
    usage.keep_zones(now=NOON + 2 * DAY)
    usage.keep_zones(now=NOON + 2 * DAY)
    assert names(team) == {"UTC", "Etc/GMT+12"}


def test_a_team_whose_zones_cannot_be_kept_keeps_no_other_waiting() -> None:
    broken, _ = make_used_team()
    team, member = make_used_team()
    UsageZone.across_teams.create(team=broken, name="Mars/Base")

    with pytest.raises(SomeFailedError):
        move(member, "Asia/Kathmandu", now=NOON)

    assert names(team) == {"UTC", "Asia/Kathmandu"}


@pytest.mark.usefixtures("_other_rules")
def test_days_are_summed_anew_when_the_rules_of_their_zone_change(tmp_path: Path) -> None:
    team, member = make_used_team()
    move(member, CHANGED, now=NOON)
    zone = UsageZone.of(team).get(name=CHANGED)
    assert list(usage.sum_differences()) == []

    reset_tzpath([tmp_path])
    ZoneInfo.clear_cache(only_keys=[CHANGED])
    assert list(usage.sum_differences()) != []
    usage.keep_zones(now=NOON + HOUR)

    assert list(usage.sum_differences()) == []
    assert UsageZone.of(team).get(name=zone.name).rules != zone.rules
    midnight = datetime(2026, 3, 2, tzinfo=ZoneInfo("Asia/Kolkata"))
    days = UsageRollup.across_teams.filter(series__team=team, start=midnight, series__slice=0)
    assert [day.requests for day in days] == [24]
