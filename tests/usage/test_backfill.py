"""Sums that are built anew, in bulk: the same as those that were fed request by request."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import Team
from tests.factories import NOON, make_member, make_team
from tests.usage.requests import id_at, make_record
from usage import services as usage
from usage.models import UsageRollup
from usage.stores.postgres.slices import FULL

pytestmark = pytest.mark.django_db


LATER = NOON + timedelta(days=200)


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
    """Have two teams make requests over a change of clocks, in tables by month."""
    usage.make_partitions(first=NOON, last=LATER)
    team, other = make_team(), make_team()
    member = make_member(team)
    member.timezone = "Australia/Lord_Howe"
    member.save()
    usage.record(
        [
            make_record(
                team if number % 5 else other,
                at=(at := NOON + number * timedelta(hours=71, minutes=7)),
                request_id=id_at(at, number),
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
    UsageRollup.across_teams.filter(start__gte=NOON + timedelta(days=60)).update(requests=700)
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
    whole = rows.filter(grain=0, series__slice=FULL)
    quarter, hour = whole.earliest("start"), rows.filter(grain=1).earliest("start")
    part = rows.filter(grain=0, series__slice=0).latest("start")
    month = rows.filter(grain__gt=1, series__slice=8).latest("grain", "start")

    # What the coarser ones are made of is wrong with it.
    rows.filter(pk=quarter.pk).update(reasoning_ticks=9_999)
    assert f"quarter-hour {quarter.start:%Y-%m-%d %H:%M}" in next(usage.sum_differences())
    rows.filter(pk=quarter.pk).update(reasoning_ticks=quarter.reasoning_ticks)
    rows.filter(pk=hour.pk).delete()
    (missing,) = usage.sum_differences()
    hour.save(force_insert=True)
    rows.filter(pk=part.pk).update(failed=66)
    (wrong_part,) = usage.sum_differences()
    rows.filter(pk=part.pk).update(failed=part.failed)
    rows.filter(pk=month.pk).update(failed=77)
    (wrong,) = usage.sum_differences()

    assert f"hour {hour.start:%Y-%m-%d %H:%M}" in missing
    assert "kept nothing, should be {" in missing
    assert f"quarter {part.start:%Y-%m-%d %H:%M}" in wrong_part
    assert "month" in wrong
    assert '"failed":77' in wrong
    with pytest.raises(SystemExit):
        call_command("usage_verify")


def drop_before(moment: datetime) -> None:
    usage.drop_partitions(now=moment + timedelta(days=33), days=1)


def test_what_is_coarser_is_built_of_quarter_hours_without_the_events(
    capsys: pytest.CaptureFixture[str],
) -> None:
    team_id = use_much()
    before = kept()
    drop_before(LATER)
    others = UsageRollup.across_teams.filter(series__team=team_id)
    others.exclude(grain=0, series__slice=FULL).update(cost_ticks=0)

    with pytest.raises(usage.EventsGoneError, match="The events of 60 requests are gone"):
        usage.rebuild(now=NOON)
    usage.rebuild_coarser(Team.objects.get(pk=team_id))

    assert kept() == before
    call_command("usage_verify")
    assert "No difference\n60 requests up to 2026-08-" in capsys.readouterr().out


def test_sums_are_never_built_anew_without_what_only_they_know() -> None:
    team_id = use_much()
    drop_before(NOON + timedelta(days=60))
    # By their count, nothing seems to be gone.
    UsageRollup.across_teams.filter(grain=1, series__slice=0, series__team=team_id).delete()
    before = kept()

    with pytest.raises(usage.EventsGoneError):
        usage.rebuild(now=NOON)

    assert kept() == before


def test_what_was_not_dropped_is_verified() -> None:
    team_id = use_much()
    drop_before(NOON + timedelta(days=60))
    assert 0 < usage.dropped().requests < 60  # type: ignore[union-attr]
    assert list(usage.sum_differences()) == []

    quarters = UsageRollup.across_teams.filter(grain=0, series__team=team_id)
    last = quarters.latest("start")
    quarters.filter(start=last.start).update(failed=99)

    assert f"quarter-hour {last.start:%Y-%m-%d %H:%M}" in next(usage.sum_differences())
