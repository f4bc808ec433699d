"""The time zones for whose days and months a team's sums are kept."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.db.models import Count

from accounts.models import Membership
from usage.models import UsageZone
from usage.rules import Grain, Size
from usage.stores.postgres.slices import ALWAYS, HOURS, QUARTERS

# A team of the whole world has the zones of most of its members; others read hours instead.
MOST_ZONES: Final = 8


def days_and_months(zone_id: int, name: str) -> list[Grain]:
    """Name the two grains of a UsageZone, larger first."""
    zone = ZoneInfo(name)
    return [Grain(2 * zone_id + 1, Size.MONTH, zone), Grain(2 * zone_id, Size.DAY, zone)]


def grains(team_ids: Collection[UUID]) -> Mapping[UUID, list[Grain]]:
    """Say in which grains the sums of these teams are kept."""
    found: dict[UUID, list[Grain]] = {team_id: [QUARTERS, HOURS] for team_id in team_ids}
    kept = UsageZone.across_teams.filter(team_id__in=team_ids).order_by("id")
    for team_id, zone_id, name in kept.values_list("team_id", "id", "name"):
        found[team_id] += days_and_months(zone_id, name)
    return found


def wanted(team_ids: Collection[UUID]) -> Mapping[UUID, list[str]]:
    """Say which zones these teams should have: UTC, and those of most of their members."""
    found: dict[UUID, list[str]] = defaultdict(lambda: [ALWAYS])
    members = (
        Membership.objects.filter(team_id__in=team_ids)
        .values_list("team_id", "user__timezone")
        .annotate(members=Count("pk"))
        .order_by("team_id", "-members", "user__timezone")
    )
    known = available_timezones()
    for team_id, name, _ in members:
        own = found[team_id]
        if name in known and name not in own and len(own) < MOST_ZONES:
            own.append(name)
    return {team_id: found[team_id] for team_id in team_ids}


def begin(team_ids: Collection[UUID]) -> None:
    """Choose the zones of teams that have no sums yet. The caller holds the feed's lock."""
    have = UsageZone.across_teams.filter(team_id__in=team_ids).values_list("team_id", flat=True)
    new = set(team_ids) - set(have)
    if new:
        UsageZone.across_teams.bulk_create(
            UsageZone(team_id=team_id, name=name)
            for team_id, names in sorted(wanted(new).items())
            for name in names
        )
