"""The demo world's promo code: made by support, redeemed by one team and free to all others."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from accounts.actors import Actor, ActorKind
from accounts.models import Team, User
from billing import services as billing

CODE: Final = "AUTUMN25"


def redeem(team: Team, *, by: User, support: User, now: datetime) -> None:
    billing.create_promo_code(
        code=CODE,
        terms=billing.PromoTerms(
            amount_ticks=25 * billing.TICKS_PER_USD,
            grant_days=40,
            valid_until=now + timedelta(days=30),
            max_uses=500,
        ),
        actor=replace(Actor.for_user(support), kind=ActorKind.STAFF),
        now=now - timedelta(days=7),
    )
    billing.redeem(team=team, actor=Actor.for_user(by), code=CODE, idempotency_key=uuid4(), now=now)
