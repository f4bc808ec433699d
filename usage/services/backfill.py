"""Building sums anew, where they are wrong or new ones are wanted."""

from datetime import datetime

from django.db import transaction

from accounts.models import Team
from usage import stores
from usage.services.feeding import decided_seq
from usage.services.partitions import dropped
from usage.stores.postgres import PostgresStore, building


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
        if gone := dropped():
            raise EventsGoneError(
                f"The events of {gone.requests:,} requests are gone. Their quarter-hours are kept;"
                " what is coarser can be built of these."
            )
        mark.fed_seq, mark.fed_at = max(upto, mark.fed_seq), now
        building.clear_all()
        building.build_quarters(upto=mark.fed_seq)
        building.build_coarser(building.teams())
        mark.save()


def rebuild_coarser(team: Team) -> None:
    """Build the team's sums of hours, days and months of its quarter-hours, in one transaction."""
    with transaction.atomic():
        stores.lock(PostgresStore())
        building.clear_coarser(team.pk)
        building.build_coarser([team.pk])
