"""What usage hears from accounts: of teams that end, and of people who go."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Team, User
from accounts.signals import person_erased, personal_data_asked, team_closed
from usage import services as usage


@receiver(person_erased)
def forget_addresses(*, team: Team, **_: Any) -> None:
    usage.forget_addresses(team)


@receiver(person_erased)
def forget_wishes(*, user: User, team: Team, **_: Any) -> None:
    usage.delete_alerts(team, user=user)
    usage.delete_exports(team, user=user)


@receiver(team_closed)
def end_wishes(*, team: Team, **_: Any) -> None:
    """Nobody is left who could read of it."""
    usage.delete_alerts(team)
    usage.delete_exports(team)


@receiver(personal_data_asked)
def tell_what_a_person_wished(*, user: User, **_: Any) -> dict[str, Any]:
    return {"usage_alerts": usage.alerts_of(user), "usage_exports": usage.exports_of(user)}
