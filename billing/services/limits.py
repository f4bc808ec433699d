"""What a team lets itself be invoiced, the operator's cap on it, and when somebody is told."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils.text import get_text_list

from accounts.actors import Actor, ActorKind
from accounts.models import Team
from audit import services as audit
from billing.models import BillingAccount
from billing.rules import cycle_of, usd
from billing.services.accounts import lock_account
from billing.services.balance import balance
from billing.services.methods import methods_on_file

MOST_ALERTS: Final = 5
PERCENTS: Final = range(1, 101)


class SpendingLimitError(Exception):
    """The limit asked for lies outside what the team's situation allows."""


class AlertPercentsError(Exception):
    """Nobody can be told at such parts of a limit, or at so many."""


@transaction.atomic
def set_spending_limit(*, team: Team, actor: Actor, limit_ticks: int, now: datetime) -> None:
    """Set what the team lets itself be invoiced per month. Requests feel it at once.

    Raises SpendingLimitError above the hard limit, and below what this month's invoice already
    carries or may yet carry when the requests in flight end. It is not raised in a month that is
    invoiced before its end, and by customers not without a payment method.
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
    if limit_ticks > account.spending_limit_ticks:
        _refuse_raising(account, actor, now)
    # Credits only is always a choice, except while the invoice is in use.
    elif limit_ticks < least and limit_ticks < account.spending_limit_ticks:
        raise SpendingLimitError(
            f"{usd(limit_ticks)} is less than {usd(least)}, which this month's invoice already "
            "carries or which requests in flight may still add to it."
        )
    _set(
        account,
        {"spending_limit_ticks": limit_ticks},
        actor=actor,
        operation="SetSpendingLimit",
        description=f"Changed the monthly spending limit to {usd(limit_ticks)}",
        now=now,
    )


def _refuse_raising(account: BillingAccount, actor: Actor, now: datetime) -> None:
    month = cycle_of(now)
    # The hard limit is for a whole month, whatever part of it is invoiced already.
    if account.open_month and account.open_month > month:
        raise SpendingLimitError(
            f"{month:%B} was closed early. The limit can be raised again from 1 "
            f"{account.open_month:%B} on."
        )
    if actor.kind == ActorKind.USER and not methods_on_file(account.team):
        raise SpendingLimitError(
            "There is nothing yet that an invoice could be charged to. Add a payment method "
            "first, under Billing details."
        )


@transaction.atomic
def set_hard_limit(*, team: Team, actor: Actor, limit_ticks: int, now: datetime) -> None:
    """Set the most that a team's spending limit can be.

    Staff may go below what is accrued: nothing more is invoiced then, and credits still work.
    """
    _set(
        lock_account(team),
        {"hard_limit_ticks": limit_ticks},
        actor=actor,
        operation="SetHardLimit",
        description=f"Changed the highest possible spending limit to {usd(limit_ticks)}",
        now=now,
    )


@transaction.atomic
def set_alert_percents(
    *, team: Team, actor: Actor, percents: Collection[int], now: datetime
) -> None:
    """Set at how many percent of the spending limit a mail is sent, once a month each.

    Raises AlertPercentsError for too many of them, and for what is no part of a limit.
    """
    wanted = sorted(set(percents))
    if wrong := [percent for percent in wanted if percent not in PERCENTS]:
        raise AlertPercentsError(f"{wrong[0]}% is not a part of the limit. Choose from 1 to 100.")
    if len(wanted) > MOST_ALERTS:
        raise AlertPercentsError(
            f"These are {len(wanted)} percentages. Choose up to {MOST_ALERTS} of them."
        )
    told = get_text_list([f"{percent}%" for percent in wanted], "and")
    _set(
        lock_account(team),
        {"alert_percents": wanted},
        actor=actor,
        operation="SetLimitAlerts",
        description=f"Asked for mail at {told} of the spending limit"
        if wanted
        else "Asked for no mail before the spending limit is reached",
        now=now,
    )


def _set(
    account: BillingAccount,
    values: dict[str, Any],
    *,
    actor: Actor,
    operation: str,
    description: str,
    now: datetime,
) -> None:
    """Change a locked account and write it down, unless nothing changes."""
    before = {name: getattr(account, name) for name in values}
    if before == values:
        return
    for name, value in values.items():
        setattr(account, name, value)
    account.save(update_fields=list(values))
    audit.record(
        team=account.team,
        actor=actor,
        operation=operation,
        description=description,
        target_type="billing account",
        target_id=str(account.pk),
        target_label=account.team.name,
        before=before,
        after=values,
        now=now,
    )
