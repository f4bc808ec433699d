"""A team's billing account: the one lock of billing."""

from collections.abc import Collection
from uuid import UUID

from django.conf import settings

from accounts.models import Team
from billing.models import BillingAccount
from billing.rules import TICKS_PER_USD


def lock_accounts(team_ids: Collection[UUID]) -> dict[UUID, BillingAccount]:
    """Lock the accounts of some teams until the transaction ends, making the missing ones.

    Rows are locked in the order of their team's id, so that two transactions that want some of
    the same accounts wait for each other instead of deadlocking. For the same reason a
    transaction locks accounts once, and before any other row of billing.
    """
    wanted = sorted(set(team_ids))
    found = _locked(wanted)
    missing = [team_id for team_id in wanted if team_id not in found]
    if missing:
        # Two first uses at once: the second insert waits for the first, then does nothing.
        limit = settings.DEFAULT_HARD_LIMIT_USD * TICKS_PER_USD
        BillingAccount.across_teams.bulk_create(
            [BillingAccount(team_id=team_id, hard_limit_ticks=limit) for team_id in missing],
            ignore_conflicts=True,
        )
        found |= _locked(missing)
    return found


def lock_account(team: Team) -> BillingAccount:
    account = lock_accounts([team.pk])[team.pk]
    account.team = team
    return account


def _locked(team_ids: list[UUID]) -> dict[UUID, BillingAccount]:
    rows = BillingAccount.across_teams.filter(team_id__in=team_ids).order_by("team_id")
    return {account.team_id: account for account in rows.select_for_update()}
