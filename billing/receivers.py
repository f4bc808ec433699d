"""What billing hears from accounts: of teams that end, and of people who go."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from accounts.actors import Actor
from accounts.consequences import Consequence
from accounts.models import Team, User
from accounts.services import KnownAs
from accounts.signals import (
    account_closed,
    account_closing,
    person_erased,
    personal_data_asked,
    team_closed,
    team_closing,
)
from billing import services as billing


@receiver([team_closing, account_closing])
def tell_what_is_owed_and_lost(*, team: Team, now: datetime, **_: Any) -> list[Consequence]:
    return billing.closing(team, now=now)


@receiver(team_closed)
def close_account(*, team: Team, actor: Actor, now: datetime, **_: Any) -> None:
    billing.close_account(team=team, actor=actor, now=now)


@receiver([team_closed, account_closed])
def buy_nothing_more(*, team: Team, actor: Actor, now: datetime, **_: Any) -> None:
    """Nobody is there who could see what is charged: for 30 days, or for ever."""
    billing.switch_off_top_up(team=team, actor=actor, now=now)


@receiver(team_closed)
def forget_details(*, team: Team, now: datetime, **_: Any) -> None:
    billing.forget_details(team=team)
    billing.forget_methods(team=team, now=now)


@receiver(person_erased)
def forget_buyer(*, user: User, team: Team, known: KnownAs, **_: Any) -> None:
    billing.forget_buyer(user=user, team=team, known=known)
    billing.forget_redeemer(user=user)


@receiver(personal_data_asked)
def tell_what_a_person_bought(*, user: User, **_: Any) -> dict[str, Any]:
    return {
        "purchases": billing.bought_by(user),
        "payment_methods": billing.methods_of(user),
        "promo_codes": billing.redeemed_by(user),
    }


@receiver(personal_data_asked)
def tell_the_details_of_their_own_team(*, user: User, **_: Any) -> dict[str, Any]:
    return {"billing_details": billing.details_of(user)}
