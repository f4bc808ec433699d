"""Giving credits to a team, and taking back what is left of them when they expire."""

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db import transaction
from django.db.models import Min

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team
from accounts.one_by_one import one_by_one
from audit import services as audit
from billing.models import CreditGrant, Hold, LedgerEntry, Refund
from billing.rules import usd
from billing.services.accounts import lock_account
from billing.services.refunds import awaited_grants

logger = logging.getLogger(__name__)


class Standing(StrEnum):
    """Where a grant stands in the order of use."""

    IN_USE = "In use"
    NEXT = "Next"
    USED_UP = "Used up"
    EXPIRED = "Expired"
    BEING_REFUNDED = "Being refunded"
    REFUNDED = "Refunded"
    PARTLY_REFUNDED = "Partly refunded"  # What was left of it.


@dataclass(frozen=True, slots=True)
class GrantStanding:
    """A grant as the billing page shows it."""

    grant: CreditGrant
    standing: Standing
    remaining_ticks: int

    @property
    def is_over(self) -> bool:
        return self.standing not in {Standing.IN_USE, Standing.NEXT}


# How many grants that are over the billing page still shows.
PAST_GRANTS: Final = 20


class IdempotencyConflictError(Exception):
    """One idempotency key came with two different requests."""

    def __init__(self) -> None:
        super().__init__("This was already sent with other contents. Reload the page to send it.")


@transaction.atomic
def grant(
    *,
    team: Team,
    actor: Actor,
    kind: CreditGrant.Kind,
    amount_ticks: int,
    label: str,
    idempotency_key: str,
    expires_at: datetime | None = None,
    now: datetime,
) -> CreditGrant:
    """Give a team credits, once per key: a repeat returns the first grant.

    Raises IdempotencyConflictError when the key was used for another grant.
    """
    accounts.lock_team(team)  # A team that is closed keeps no credits.
    given, is_new = enter_grant(
        team=team,
        kind=kind,
        amount_ticks=amount_ticks,
        label=label,
        idempotency_key=idempotency_key,
        expires_at=expires_at,
        now=now,
    )
    if is_new:
        audit.record(
            team=team,
            actor=actor,
            operation="GrantCredits",
            description=f"Granted {usd(amount_ticks)} of {kind.label.lower()} credits",
            target_type="credit grant",
            target_id=str(given.pk),
            target_label=label,
            after={
                "amount_ticks": amount_ticks,
                "expires_at": expires_at and expires_at.isoformat(),
            },
            now=now,
        )
    return given


def enter_grant(
    *,
    team: Team,
    kind: CreditGrant.Kind,
    amount_ticks: int,
    label: str,
    idempotency_key: str,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[CreditGrant, bool]:
    """Write a grant and its ledger entry, and say whether they are new.

    For services of billing that audit under their own name, inside their transaction.
    """
    lock_account(team)
    first = CreditGrant.of(team).filter(idempotency_key=idempotency_key).first()
    if first:
        asked = (kind, amount_ticks, label, expires_at)
        if (first.kind, first.amount_ticks, first.label, first.expires_at) != asked:
            raise IdempotencyConflictError
        return first, False
    given = CreditGrant.across_teams.create(
        team=team,
        kind=kind,
        label=label,
        amount_ticks=amount_ticks,
        remaining_ticks=amount_ticks,
        granted_at=now,
        expires_at=expires_at,
        idempotency_key=idempotency_key,
    )
    LedgerEntry.across_teams.create(
        team=team,
        kind=LedgerEntry.Kind.GRANT,
        amount_ticks=amount_ticks,
        grant=given,
        happened_at=now,
    )
    return given, True


def expire_grants(*, now: datetime) -> int:
    """Take what remains of expired grants off the books; return how many grants that were.

    Spending stops at the expiry itself, with or without this: every balance counts unexpired
    grants only. What may still draw on an expired grant is a hold made before the expiry, since
    the grant was part of what it was promised. So a grant waits until no such hold is live.

    One team whose books are broken does not keep the rest waiting. Raises SomeFailedError at the
    end, so that the job fails in sight.
    """
    over = CreditGrant.across_teams.filter(expires_at__lte=now, remaining_ticks__gt=0)
    teams = Team.objects.filter(pk__in=over.values("team_id"))
    expired = 0
    with one_by_one(logger) as each:
        for team in teams.order_by("pk").iterator():
            with each("Expired credits of team %s could not be taken off the books", team.pk):
                expired += _expire_of(team, now)
    return expired


@transaction.atomic
def _expire_of(team: Team, now: datetime) -> int:
    lock_account(team)
    oldest_hold = Hold.of(team).filter(state=Hold.State.LIVE).aggregate(at=Min("created_at"))["at"]
    over = CreditGrant.of(team).filter(expires_at__lte=now, remaining_ticks__gt=0)
    if oldest_hold:
        over = over.filter(expires_at__lte=oldest_hold)
    # And one of which a part is on its way back waits until that has arrived, or has not.
    over = over.exclude(idempotency_key__in=awaited_grants(team))
    grants = list(over)
    LedgerEntry.across_teams.bulk_create(
        LedgerEntry(
            team=team,
            kind=LedgerEntry.Kind.EXPIRY,
            amount_ticks=-expired.remaining_ticks,
            grant=expired,
            happened_at=now,
        )
        for expired in grants
    )
    CreditGrant.of(team).filter(pk__in=[expired.pk for expired in grants]).update(remaining_ticks=0)
    return len(grants)


def standings(team: Team, *, now: datetime) -> list[GrantStanding]:
    """List a team's grants in the order of use, then the latest of those that are over."""
    usable = list(CreditGrant.of(team).usable(now).in_order_of_use())
    past = CreditGrant.of(team).exclude(pk__in=[grant.pk for grant in usable])
    over = list(past.order_by("-granted_at", "-pk")[:PAST_GRANTS])
    expiries = LedgerEntry.of(team).filter(kind=LedgerEntry.Kind.EXPIRY, grant__in=over)
    expired = set(expiries.values_list("grant_id", flat=True))
    waiting = [Standing.IN_USE, *[Standing.NEXT] * len(usable)]
    rows = [
        GrantStanding(grant, standing, grant.remaining_ticks)
        for grant, standing in zip(usable, waiting, strict=False)
    ]
    refunds = Refund.of(team).exclude(status=Refund.Status.FAILED).select_related("purchase")
    refunded = {refund.purchase.grant_key: refund for refund in refunds}
    for grant in over:
        # What remains of it, if the hourly job has not come by yet, cannot be spent any more.
        ran_out = not grant.remaining_ticks and grant.pk not in expired
        ending = Standing.USED_UP if ran_out else Standing.EXPIRED
        if refund := refunded.get(grant.idempotency_key):
            ending = _ending(refund)
        rows.append(GrantStanding(grant, ending, 0))
    return rows


def _ending(refund: Refund) -> Standing:
    if refund.status == Refund.Status.PENDING:
        return Standing.BEING_REFUNDED
    is_all = refund.amount_cents == refund.purchase.amount_cents
    return Standing.REFUNDED if is_all else Standing.PARTLY_REFUNDED
