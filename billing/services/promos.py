"""Promo codes: made and switched off by staff, redeemed by teams."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team, User
from audit import services as audit
from billing.models import CreditGrant, PromoCode, PromoRedemption, Purchase
from billing.rules import usd
from billing.services.accounts import lock_account
from billing.services.grants import IdempotencyConflictError, enter_grant


class PromoCodeError(Exception):
    """A code gives this team nothing; the sentence says why."""


@dataclass(frozen=True, slots=True)
class PromoTerms:
    """What a code gives, and to whom. Nothing of it changes once the code is made."""

    amount_ticks: int
    grant_days: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    max_uses: int | None = None
    uses_per_team: int = 1
    first_purchase_only: bool = False


def as_kept(typed: str) -> str:
    """Write a code as it is kept: in capitals and without spaces, wherever they stand."""
    return "".join(typed.split()).upper()


@transaction.atomic
def redeem(
    *, team: Team, actor: Actor, code: str, idempotency_key: UUID, now: datetime
) -> CreditGrant:
    """Give a team the credits of a code, once per key: a repeat returns the first grant.

    Under the lock of the account and then of the code, so that a team's uses are counted right
    and the last use of a code is given once. Raises PromoCodeError, and IdempotencyConflictError
    when the key came with another code.
    """
    accounts.lock_team(team)  # A team that is closed gets no credits.
    lock_account(team)
    wanted = as_kept(code)
    redemptions = PromoRedemption.of(team).select_related("code", "grant")
    if first := redemptions.filter(idempotency_key=idempotency_key).first():
        if first.code.code != wanted:
            raise IdempotencyConflictError
        return first.grant
    promo = PromoCode.objects.select_for_update(no_key=True).filter(code=wanted).first()
    if promo is None:
        raise PromoCodeError("There is no such code. Compare it with where you have it from.")
    used = PromoRedemption.of(team).filter(code=promo).count()
    for reason in _reasons(promo, team, used=used, now=now):
        raise PromoCodeError(reason)
    given, _ = enter_grant(
        team=team,
        kind=CreditGrant.Kind.PROMO,
        amount_ticks=promo.amount_ticks,
        label=f"Code {promo.code}",
        idempotency_key=f"promo:{promo.code}:{used + 1}",
        expires_at=now + timedelta(days=promo.grant_days) if promo.grant_days else None,
        now=now,
    )
    PromoRedemption.across_teams.create(
        team=team,
        code=promo,
        nth=used + 1,
        grant=given,
        redeemed_by=actor.user,
        redeemed_at=now,
        idempotency_key=str(idempotency_key),
    )
    promo.uses += 1
    promo.save(update_fields=["uses"])
    audit.record(
        team=team,
        actor=actor,
        operation="RedeemPromoCode",
        description=f"Redeemed the code {promo.code} for {usd(promo.amount_ticks)} of credits",
        target_type="credit grant",
        target_id=str(given.pk),
        target_label=given.label,
        after={
            "amount_ticks": promo.amount_ticks,
            "expires_at": given.expires_at and given.expires_at.isoformat(),
        },
        now=now,
    )
    return given


def _reasons(promo: PromoCode, team: Team, *, used: int, now: datetime) -> Iterator[str]:
    """Say why a team cannot use a code at this moment; nothing when it can."""
    if promo.disabled_at:
        yield f"{promo.code} is no longer accepted."
    if promo.valid_from and now < promo.valid_from:
        yield f"{promo.code} can be used from {_moment(promo.valid_from)} on."
    if promo.valid_until and now >= promo.valid_until:
        yield f"{promo.code} could be used until {_moment(promo.valid_until)}."
    # Before whether any use is left at all: who took the last one is told of that.
    if used >= promo.uses_per_team:
        times = "" if used == 1 else f" {used:,} times, as often as a team may"
        yield f"{team.name} has already used {promo.code}{times}."
    if promo.max_uses is not None and promo.uses >= promo.max_uses:
        yield f"{promo.code} has been used as often as it could be."
    bought = Purchase.of(team).filter(status=Purchase.Status.SUCCEEDED)
    if promo.first_purchase_only and bought.exists():
        yield f"{promo.code} is for teams that have not bought credits yet, and {team.name} has."


def _moment(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"


# --- Staff ------------------------------------------------------------------------------------


@transaction.atomic
def create_promo_code(*, code: str, terms: PromoTerms, actor: Actor, now: datetime) -> PromoCode:
    """Make a code that teams can redeem."""
    made = PromoCode.objects.create(
        code=as_kept(code),
        amount_ticks=terms.amount_ticks,
        grant_days=terms.grant_days,
        valid_from=terms.valid_from,
        valid_until=terms.valid_until,
        max_uses=terms.max_uses,
        uses_per_team=terms.uses_per_team,
        first_purchase_only=terms.first_purchase_only,
        created_at=now,
    )
    after = {
        "amount_ticks": terms.amount_ticks,
        "grant_days": terms.grant_days,
        "valid_from": terms.valid_from and terms.valid_from.isoformat(),
        "valid_until": terms.valid_until and terms.valid_until.isoformat(),
        "max_uses": terms.max_uses,
        "uses_per_team": terms.uses_per_team,
        "first_purchase_only": terms.first_purchase_only,
    }
    _record(made, actor, "CreatePromoCode", "Created", before=None, after=after, now=now)
    return made


@transaction.atomic
def switch_promo_code(*, code: PromoCode, is_on: bool, actor: Actor, now: datetime) -> None:
    """Let a code be redeemed or not, from now on. Credits that it gave stay."""
    promo = PromoCode.objects.select_for_update(no_key=True).get(pk=code.pk)
    if is_on == (promo.disabled_at is None):
        return
    promo.disabled_at = None if is_on else now
    promo.save(update_fields=["disabled_at"])
    operation, past = ("EnablePromoCode", "Enabled") if is_on else ("DisablePromoCode", "Disabled")
    before, after = {"is_on": not is_on}, {"is_on": is_on}
    _record(promo, actor, operation, past, before=before, after=after, now=now)


def _record(
    promo: PromoCode,
    actor: Actor,
    operation: str,
    past: str,
    *,
    before: dict[str, Any] | None,
    after: dict[str, Any],
    now: datetime,
) -> None:
    audit.record(
        team=None,  # A code is nobody's until it is redeemed.
        actor=actor,
        operation=operation,
        description=f"{past} the promo code {promo.code}",
        target_type="promo code",
        target_id=str(promo.pk),
        target_label=promo.code,
        before=before,
        after=after,
        now=now,
    )


# --- People -----------------------------------------------------------------------------------


def redeemed_by(user: User) -> list[dict[str, Any]]:
    """List the codes that a person redeemed, as their own copy of their data shows them."""
    redemptions = PromoRedemption.across_teams.filter(redeemed_by=user)
    return [
        {
            "team": redemption.team.name,
            "code": redemption.code.code,
            "redeemed_at": redemption.redeemed_at,
        }
        for redemption in redemptions.select_related("team", "code").order_by("redeemed_at", "pk")
    ]


def forget_redeemer(*, user: User) -> None:
    """Leave open who redeemed what an erased person did. The team's credits stay."""
    PromoRedemption.across_teams.filter(redeemed_by=user).update(redeemed_by=None)
