"""Sums that are built anew, in bulk: the same as those that were fed request by request."""

from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import Team
from tests.factories import NOON, make_member, make_team
from tests.usage.requests import make_record
from usage import services as usage
from usage import stores
from usage.models import UsageEvent, UsageRollup, UsageZone
from usage.rules import Dimension, Question

pytestmark = pytest.mark.django_db


def kept() -> set[tuple[object, ...]]:
    """Read all sums, with texts for numbers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT series.team_id, series.slice, key.text, model.text, cluster.text, ip.text,"
            " coalesce(zone.name, ''), CASE WHEN zone.id IS NULL THEN grain ELSE grain %% 2 END,"
            " rollup.* FROM usage_usagerollup AS rollup"
            " JOIN usage_usageseries AS series ON series.id = series_id"
            " LEFT JOIN usage_usagevalue AS key ON key.id = key_value"
            " LEFT JOIN usage_usagevalue AS model ON model.id = model_value"
            " LEFT JOIN usage_usagevalue AS cluster ON cluster.id = cluster_value"
            " LEFT JOIN usage_usagevalue AS ip ON ip.id = ip_value"
            " LEFT JOIN usage_usagezone AS zone ON zone.id = grain / 2",
            [],
        )
        names = [column.name for column in cursor.description]
        left_out = {names.index("grain", 8), names.index("series_id", 8)}
        return {
            tuple(value for place, value in enumerate(row) if place not in left_out)
            for row in cursor.fetchall()
        }


def use_much() -> UUID:
    """Have two teams make requests over a change of clocks and a year's end."""
    team, other = make_team(), make_team()
    member = make_member(team)
    member.timezone = "Australia/Lord_Howe"
    member.save()
    usage.record(
        [
            make_record(
                team if number % 5 else other,
                at=NOON + number * timedelta(hours=71, minutes=7),
                key_id=UUID(int=number % 3),
                model=f"model-{number % 4}",
                cluster=["", "fra-1"][number % 2],
                ip=f"203.0.113.{number % 6}",
                items=[("prompt_text", number, 3 * number), ("reasoning", 1, number)],
                status=200 if number % 7 else 503,
            )
            for number in range(60)
        ]
    )
    usage.feed(now=NOON)
    return team.pk


def test_sums_that_are_built_anew_are_those_that_were_fed() -> None:
    use_much()
    before = kept()
    assert len(before) > 1_000
    UsageRollup.across_teams.filter(start__gte=NOON + timedelta(days=60)).update(cost_ticks=7)
    UsageRollup.across_teams.filter(series__slice=2).delete()
    assert kept() != before

    usage.rebuild(now=NOON)

    assert kept() == before
    usage.feed(now=NOON)
    assert kept() == before


def test_verifying_names_every_sum_that_is_wrong_missing_or_too_much() -> None:
    team_id = use_much()
    assert list(usage.sum_differences()) == []
    rows = UsageRollup.across_teams.filter(series__team=team_id)
    quarter, hour = rows.filter(grain=0).earliest("start"), rows.filter(grain=1).earliest("start")
    month = rows.filter(grain__gt=1, series__slice=8).latest("grain", "start")

    # What the coarser ones are made of is wrong with it.
    rows.filter(pk=quarter.pk).update(reasoning_ticks=9_999)
    assert f"quarter-hour {quarter.start:%Y-%m-%d %H:%M}" in next(usage.sum_differences())
    rows.filter(pk=quarter.pk).update(reasoning_ticks=quarter.reasoning_ticks)
    rows.filter(pk=hour.pk).delete()
    (missing,) = usage.sum_differences()
    hour.save(force_insert=True)
    rows.filter(pk=month.pk).update(failed=77)
    (wrong,) = usage.sum_differences()

    assert f"hour {hour.start:%Y-%m-%d %H:%M}" in missing
    assert "kept nothing, should be {" in missing
    assert "month" in wrong
    assert '"failed":77' in wrong
    with pytest.raises(SystemExit):
        call_command("usage_verify")


def test_what_is_coarser_is_built_of_quarter_hours_without_the_events() -> None:
    team_id = use_much()
    before = kept()
    UsageEvent.across_teams.all().delete()
    UsageRollup.across_teams.filter(grain__gt=0, series__team=team_id).update(cost_ticks=0)

    with pytest.raises(usage.EventsGoneError, match="The events of 60 requests are gone"):
        usage.rebuild(now=NOON)
    usage.rebuild_coarser(Team.objects.get(pk=team_id))

    assert kept() == before


def test_days_are_kept_of_the_zones_that_members_are_in_now() -> None:
    team = make_team()
    member = make_member(team)
    usage.record([make_record(team, at=NOON + timedelta(hours=n)) for n in range(100)])
    usage.feed(now=NOON)
    member.timezone = "Asia/Kathmandu"
    member.save()

    usage.keep_zones()
    usage.keep_zones()

    zone = ZoneInfo("Asia/Kathmandu")
    kept_zone = UsageZone.of(team).get(name=zone.key)
    days = UsageRollup.across_teams.filter(grain=2 * kept_zone.pk, series__slice=0)
    assert sum(days.values_list("requests", flat=True)) == 100
    starts = tuple(days.order_by("start").values_list("start", flat=True)[:2])
    question = Question(team_id=team.pk, starts=starts, zone=zone, group=Dimension.IP)
    (sums,) = stores.at_hand().query(question).values()
    assert sums.requests == days.earliest("start").requests

    member.timezone = "UTC"
    member.save()
    usage.keep_zones()
    assert not days.exists()
    assert [each.name for each in UsageZone.of(team)] == ["UTC"]
