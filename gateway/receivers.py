"""What the gateway hears from the apps below it."""

from typing import Any

from django.dispatch import receiver

from api_keys.signals import models_asked
from gateway import services as gateway


@receiver(models_asked)
def tell_which_models_there_are(**_: Any) -> list[str]:
    return list(gateway.catalog())
