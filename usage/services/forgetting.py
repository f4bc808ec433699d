"""Forgetting from where a person's own team was used."""

from uuid import UUID

from django.db import transaction

from accounts.actors import UNKNOWN_IP
from accounts.models import Team
from usage import stores
from usage.models import UsageEvent


@transaction.atomic
def forget_addresses(team: Team) -> None:
    """Forget from which addresses an erased person's own team was used; keep what it used.

    Sums that differed only by their address become one, in every store.
    """
    # First, since the feed must not sum what is about to change.
    fed = stores.fed()
    for store in fed:
        stores.lock(store)
    UsageEvent.of(team).exclude(ip=UNKNOWN_IP).update(ip=UNKNOWN_IP)
    for store in fed:
        store.forget_addresses(team.pk)


@transaction.atomic
def forget_addresses_in_clickhouse(team_id: UUID) -> None:
    """Do what ClickHouse's store left for later, if it is in use.

    Raises StoreUnavailableError while ClickHouse is away.
    """
    if store := stores.in_clickhouse():
        # Else the feed might add, just after, what it had read before the events forgot.
        stores.lock(store)
        store.rewrite_addresses(team_id)
