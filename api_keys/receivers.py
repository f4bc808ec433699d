"""What API keys hear from accounts: of teams that end, and of people who go."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from accounts.actors import Actor
from accounts.consequences import Consequence
from accounts.models import Team, User
from accounts.signals import (
    account_closed,
    account_closing,
    member_leaving,
    person_erased,
    personal_data_asked,
    team_closed,
    team_closing,
)
from api_keys import services as api_keys


@receiver([team_closing, account_closing])
def tell_which_keys_stop(*, team: Team, **_: Any) -> list[Consequence]:
    names = api_keys.living(team)
    if not names:
        return []
    verb, them = ("stops", "it") if len(names) == 1 else ("stop", "them")
    return [
        Consequence(
            f"{api_keys.named(names)} {verb} at once. Requests with {them} fail from then on."
        )
    ]


@receiver(member_leaving)
def tell_which_keys_stay(*, team: Team, user: User, **_: Any) -> list[Consequence]:
    names = api_keys.living(team, owner=user)
    if not names:
        return []
    stays = "stays" if len(names) == 1 else "stay"
    return [Consequence(f"{api_keys.named(names)} {stays} with the team.")]


@receiver(team_closed)
def delete_keys(*, team: Team, actor: Actor, now: datetime, **_: Any) -> None:
    api_keys.delete_all(team=team, actor=actor, now=now)


@receiver(account_closed)
def disable_keys(*, team: Team, actor: Actor, now: datetime, **_: Any) -> None:
    api_keys.disable_all(team=team, actor=actor, now=now)


@receiver(person_erased)
def forget_keys(*, team: Team, **_: Any) -> None:
    api_keys.forget(team)


@receiver(personal_data_asked)
def tell_which_keys_a_person_made(*, user: User, **_: Any) -> dict[str, Any]:
    return {"api_keys": api_keys.owned_by(user)}
