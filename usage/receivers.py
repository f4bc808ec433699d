"""What usage hears from accounts: of people who go."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Team
from accounts.signals import person_erased
from usage import services as usage


@receiver(person_erased)
def forget_addresses(*, team: Team, **_: Any) -> None:
    usage.forget_addresses(team)
