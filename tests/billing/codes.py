"""Promo codes for tests: made by staff through the service, redeemed as the form does."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import CreditGrant, PromoCode
from billing.rules import TICKS_PER_USD
from tests.factories import NOON


def make_code(code: str = "SPRING25", *, dollars: int = 25, **terms: Any) -> PromoCode:
    return billing.create_promo_code(
        code=code,
        terms=billing.PromoTerms(amount_ticks=dollars * TICKS_PER_USD, **terms),
        actor=SYSTEM,
        now=NOON,
    )


def redeem(
    team: Team,
    code: str = "SPRING25",
    *,
    key: UUID | None = None,
    actor: Actor = SYSTEM,
    now: datetime = NOON,
) -> CreditGrant:
    return billing.redeem(
        team=team, actor=actor, code=code, idempotency_key=key or uuid4(), now=now
    )
