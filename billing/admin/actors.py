"""Who acts in the admin, and how much may be given away there at once."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from django.http import HttpRequest

from accounts.actors import Actor, ActorKind
from accounts.web import actor_of

MOST_GRANTED_USD: Final = Decimal(100_000)


def staff(request: HttpRequest) -> Actor:
    return replace(actor_of(request), kind=ActorKind.STAFF)
