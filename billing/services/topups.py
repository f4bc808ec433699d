"""Buying credits for teams whose prepaid ones run low, as their rules say."""

import logging
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from accounts.actors import SYSTEM
from accounts.models import Team
from accounts.one_by_one import one_by_one
from billing import payments
from billing.models import PaymentMethod, Purchase
from billing.rules import TICKS_PER_CENT, cycle_of
from billing.services import collecting
from billing.services.accounts import lock_account
from billing.services.methods import default_method
from billing.services.purchases import begin
from billing.services.topup_rules import NO_METHOD, stop_top_up, top_up

logger = logging.getLogger(__name__)

# A team that sends no requests for so long needs no credits: what expires is not bought again.
RESTS_AFTER: Final = timedelta(days=30)
# Between two purchases while the processor cannot be reached.
PAUSE: Final = timedelta(minutes=15)

# Rules that are on, and whose team has less prepaid than they name. What requests in flight may
# still take from prepaid credits, which is what free ones do not cover, is gone already.
SHORT: Final = """
SELECT rule.team_id
FROM billing_topuprule rule
JOIN accounts_team team ON team.id = rule.team_id AND team.closed_at IS NULL
JOIN billing_billingaccount account ON account.team_id = rule.team_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(remaining_ticks) FILTER (WHERE kind = 'prepaid'), 0) AS prepaid,
        coalesce(sum(remaining_ticks) FILTER (WHERE kind <> 'prepaid'), 0) AS free
    FROM billing_creditgrant usable
    WHERE usable.team_id = rule.team_id AND remaining_ticks > 0
        AND (expires_at IS NULL OR expires_at > %(now)s)
) credits
WHERE rule.is_on
    AND prepaid - greatest(0, account.held_ticks - free) < rule.trigger_cents * %(cent)s::numeric
    AND (rule.changed_at > %(rested)s OR account.refused_month = %(month)s OR EXISTS (
        SELECT FROM billing_charge WHERE team_id = rule.team_id AND charged_at > %(rested)s
    ))
"""
ALL_SHORT: Final = f"{SHORT} ORDER BY rule.team_id"
IS_SHORT: Final = f"{SHORT} AND rule.team_id = %(team)s"


def run_top_ups(*, now: datetime) -> None:
    """Buy for every team that is short. One that cannot be served does not keep the rest waiting.

    Any number of these may run at once: what is bought is decided under the account's lock, and
    paid for once.
    """
    with one_by_one(logger) as each:
        for team_id in _short(ALL_SHORT, now):
            with each("Team %s could not be topped up", team_id):
                _buy(Team.objects.get(pk=team_id), now)


def _buy(team: Team, now: datetime) -> None:
    """Buy once, if the team is still short; a payment that fails switches the rule off."""
    begun = _begin(team, now)
    if begun:
        purchase, method = begun
        collecting.collect(
            target=purchase, method=method, actor=SYSTEM, now=now, is_off_session=True
        )


@transaction.atomic(durable=True)
def _begin(team: Team, now: datetime) -> tuple[Purchase, PaymentMethod] | None:
    """Decide under the lock whether to buy, and write the purchase down before money moves."""
    lock_account(team)
    standing = top_up(team, now=now)
    if standing is None or not _short(IS_SHORT, now, team.pk):
        return None
    bought = Purchase.of(team).filter(kind=Purchase.Kind.AUTO)
    if bought.filter(status__in=Purchase.UNDECIDED).exists():
        return None
    method = default_method(team)
    if method is None:
        stop_top_up(team=team, code=NO_METHOD, now=now)
        return None
    rule = standing.rule
    # Left by a worker that ended before it could ask the processor, or is just about to.
    for left in bought.filter(status=Purchase.Status.PENDING).select_related("team", "buyer"):
        # It is counted in the month's cents already.
        is_allowed = standing.month_cents <= rule.month_max_cents
        if is_allowed and left.amount_cents == rule.amount_cents and left.lapses_at > now:
            return left, method
        bought.filter(pk=left.pk).update(status=Purchase.Status.EXPIRED)
        standing = top_up(team, now=now) or standing
    unreached = bought.filter(status=Purchase.Status.FAILED, failure_code=payments.NOT_CHARGED)
    if not standing.may_buy or unreached.filter(created_at__gt=now - PAUSE).exists():
        return None
    purchase = begin(
        team=team,
        actor=SYSTEM,
        buyer=rule.set_by,
        amount_cents=rule.amount_cents,
        idempotency_key=f"auto:{bought.count() + 1}",
        kind=Purchase.Kind.AUTO,
        now=now,
    )
    return purchase, method


def _short(statement: str, now: datetime, team_id: UUID | None = None) -> list[UUID]:
    words: dict[str, datetime | date | int | UUID | None] = {
        "now": now,
        "month": cycle_of(now),
        "rested": now - RESTS_AFTER,
        "cent": TICKS_PER_CENT,
        "team": team_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, words)
        return [found for (found,) in cursor.fetchall()]
