"""Keeping sums of days and months as the members of teams have them, by the rules of today."""

import logging
from collections.abc import Collection
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from itertools import groupby
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.one_by_one import one_by_one
from usage import stores
from usage.models import UsageZone
from usage.rules import starts_of_days
from usage.stores.postgres import PostgresStore, building, zones

logger = logging.getLogger(__name__)

# Whoever is in another zone each hour makes no more work than this allows.
UNWANTED_FOR: Final = timedelta(days=1)
# The days that a fingerprint is of. Requests are of none of the others.
FIRST, LAST = date(2020, 1, 1), date(2039, 12, 31)


def keep_zones(*, now: datetime) -> None:
    """Keep the days and months of the zones that teams' members are in, and of few others.

    What was made with rules of a zone that changed since is made anew. Raises SomeFailedError in
    the end, if one of the teams failed.
    """
    rows = UsageZone.across_teams.order_by("team_id", "pk")
    of_teams = {
        team_id: list(kept) for team_id, kept in groupby(rows, key=lambda zone: zone.team_id)
    }
    with one_by_one(logger) as each:
        for team_id, wanted in zones.wanted(list(of_teams)).items():
            with each("The zones of team %s could not be kept", team_id):
                if not _are_settled(of_teams[team_id], wanted):
                    _settle(team_id, wanted, now)


@cache
def rules_of(zone: ZoneInfo) -> str:
    """Make a fingerprint of when the days of a zone begin."""
    starts = starts_of_days(FIRST, LAST, zone)
    return sha256(",".join(str(start.timestamp()) for start in starts).encode()).hexdigest()


def _are_settled(kept: Collection[UsageZone], wanted: Collection[str]) -> bool:
    return {zone.name for zone in kept} == set(wanted) and all(
        zone.unwanted_since is None and zone.rules == rules_of(ZoneInfo(zone.name)) for zone in kept
    )


@transaction.atomic
def _settle(team_id: UUID, wanted: Collection[str], now: datetime) -> None:
    """Change what is kept of one team, read again under the lock."""
    stores.lock(PostgresStore())
    kept = {zone.name: zone for zone in UsageZone.across_teams.filter(team_id=team_id)}
    for name, zone in list(kept.items()):
        if name in wanted:
            zone.unwanted_since = None
        elif zone.unwanted_since is None:
            zone.unwanted_since = now
        if zone.unwanted_since and zone.unwanted_since <= now - UNWANTED_FOR:
            building.drop_days(zone.pk)
            del kept[name]
            continue
        if zone.rules not in {"", rules_of(ZoneInfo(name))}:
            building.drop_days(zone.pk)
            _make(team_id, name, zone.unwanted_since)
            continue
        zone.rules = rules_of(ZoneInfo(name))
        zone.save()
    for name in wanted:
        if name not in kept and len(kept) < zones.MOST_ZONES:
            kept[name] = _make(team_id, name, None)


def _make(team_id: UUID, name: str, unwanted_since: datetime | None) -> UsageZone:
    zone = UsageZone.across_teams.create(
        team_id=team_id, name=name, rules=rules_of(ZoneInfo(name)), unwanted_since=unwanted_since
    )
    building.build_days([team_id], name)
    return zone
