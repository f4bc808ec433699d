"""What billing hears from accounts: of teams that end."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from accounts.actors import Actor
from accounts.consequences import Consequence
from accounts.models import Team
from accounts.signals import team_closed, team_closing
from billing import services as billing


@receiver(team_closing)
def tell_what_is_owed_and_lost(*, team: Team, now: datetime, **_: Any) -> list[Consequence]:
    return billing.closing(team, now=now)


@receiver(team_closed)
def close_account(*, team: Team, actor: Actor, now: datetime, **_: Any) -> None:
    billing.close_account(team=team, actor=actor, now=now)
