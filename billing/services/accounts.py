"""A team's billing account: the one lock of billing, and the limits."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from billing.models import BillingAccount
from billing.rules import TICKS_PER_USD, usd
from billing.services.balance import balance


class SpendingLimitError(Exception):
    """The limit asked for lies outside what the team's situation allows."""


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
    return lock_accounts([team.pk])[team.pk]


def _locked(team_ids: list[UUID]) -> dict[UUID, BillingAccount]:
    rows = BillingAccount.across_teams.filter(team_id__in=team_ids).order_by("team_id")
    return {account.team_id: account for account in rows.select_for_update()}


@transaction.atomic
def set_spending_limit(*, team: Team, actor: Actor, limit_ticks: int, now: datetime) -> None:
    """Set what the team lets itself be invoiced per month. Requests feel it at once.

    Raises SpendingLimitError above the hard limit, and below what this month's invoice already
    carries or may yet carry when the requests in flight end.
    """
    account = lock_account(team)
    standing = balance(team, now=now)
    promised = standing.held_ticks - standing.free_ticks - standing.prepaid_ticks
    least = standing.accrued_ticks + max(0, promised)
    if limit_ticks > account.hard_limit_ticks:
        raise SpendingLimitError(
            f"{usd(limit_ticks)} is more than {usd(account.hard_limit_ticks)}, the highest limit "
            "that this team can choose."
        )
    # Credits only is always a choice, except while the invoice is in use.
    if limit_ticks < least:
        raise SpendingLimitError(
            f"{usd(limit_ticks)} is less than {usd(least)}, which this month's invoice already "
            "carries or which requests in flight may still add to it."
        )
    if limit_ticks == account.spending_limit_ticks:
        return
    before = account.spending_limit_ticks
    account.spending_limit_ticks = limit_ticks
    account.save(update_fields=["spending_limit_ticks"])
    audit.record(
        team=team,
        actor=actor,
        operation="SetSpendingLimit",
        description=f"Changed the monthly spending limit to {usd(limit_ticks)}",
        target_type="billing account",
        target_id=str(account.pk),
        target_label=team.name,
        before={"spending_limit_ticks": before},
        after={"spending_limit_ticks": limit_ticks},
        now=now,
    )


@transaction.atomic
def set_hard_limit(*, team: Team, actor: Actor, limit_ticks: int, now: datetime) -> None:
    """Set the most that a team's spending limit can be.

    Staff may go below what is accrued: nothing more is invoiced then, and credits still work.
    """
    account = lock_account(team)
    if limit_ticks == account.hard_limit_ticks:
        return
    before = account.hard_limit_ticks
    account.hard_limit_ticks = limit_ticks
    account.save(update_fields=["hard_limit_ticks"])
    audit.record(
        team=team,
        actor=actor,
        operation="SetHardLimit",
        description=f"Changed the highest possible spending limit to {usd(limit_ticks)}",
        target_type="billing account",
        target_id=str(account.pk),
        target_label=team.name,
        before={"hard_limit_ticks": before},
        after={"hard_limit_ticks": limit_ticks},
        now=now,
    )
