"""What accounts hears: of every new person, who gets a team of their own."""

from typing import Any

from allauth.core import context
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts import services as accounts
from accounts.models import NAME_MAX_LENGTH, User
from accounts.web import actor_of


@receiver(post_save, sender=User)
def give_a_personal_team(*, instance: User, created: bool, raw: bool, **_: Any) -> None:
    """Make the personal team in the transaction that makes the person, however they are made."""
    if created and not raw:
        accounts.create_team(
            name=(instance.name or instance.email.partition("@")[0])[:NAME_MAX_LENGTH],
            owner=instance,
            personal=True,
            actor=actor_of(context.request, instance),
            now=instance.date_joined,
        )
