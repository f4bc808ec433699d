"""Building sums anew, where they are wrong or new ones are wanted."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Team
from usage import stores
from usage.models import UsageEvent, UsageZone
from usage.services.feeding import decided_seq
from usage.stores.postgres import PostgresStore, building, zones


class EventsGoneError(Exception):
    """Some events that are in the sums are no longer kept, so the sums cannot be built of them."""


def rebuild(*, now: datetime) -> None:
    """Build all sums of PostgreSQL's store of the events, in bulk and in one transaction.

    Pages show the old sums and the newest requests until it is done; the feed waits. Not to be
    called within a transaction. Raises EventsGoneError.
    """
    upto = decided_seq()
    with transaction.atomic():
        mark = stores.lock(PostgresStore())
        mark.fed_seq, mark.fed_at = max(upto, mark.fed_seq), now
        gone = building.requests() - UsageEvent.across_teams.filter(seq__lte=mark.fed_seq).count()
        if gone > 0:
            raise EventsGoneError(
                f"The events of {gone:,} requests are gone. Their quarter-hours are kept; what is"
                " coarser can be built of these."
            )
        building.clear_all()
        building.build_quarters(upto=mark.fed_seq)
        for team in Team.objects.filter(pk__in=building.teams()).order_by("pk"):
            building.build_coarser(team.pk)
        mark.save()


def rebuild_coarser(team: Team) -> None:
    """Build the team's sums of hours, days and months of its quarter-hours, in one transaction."""
    with transaction.atomic():
        stores.lock(PostgresStore())
        building.clear_coarser(team.pk)
        building.build_coarser(team.pk)


def keep_zones() -> None:
    """Keep the days and months of the zones that teams' members are in now, and of no others."""
    have: dict[UUID, dict[str, int]] = {}
    for team_id, name, zone_id in UsageZone.across_teams.values_list("team_id", "name", "id"):
        have.setdefault(team_id, {})[name] = zone_id
    for team_id, wanted in zones.wanted(list(have)).items():
        kept = have[team_id]
        if set(kept) == set(wanted):
            continue
        with transaction.atomic():
            stores.lock(PostgresStore())
            for name in kept.keys() - set(wanted):
                building.drop_days(kept[name])
            for name in set(wanted) - kept.keys():
                zone = UsageZone.across_teams.create(team_id=team_id, name=name)
                building.build_days(team_id, zone.pk, name)
