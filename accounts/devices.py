"""Presents allauth's second factors to django-otp, which only knows devices of its own kind.

allauth.mfa is the one store of factors. django-otp is told which of them a session has passed, and
answers `request.user.is_verified()` with it.
"""

from typing import Any, ClassVar

import django_otp
from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_used
from django.conf import settings
from django.contrib.auth import user_logged_in
from django.db import models
from django.dispatch import receiver
from django.http import HttpRequest
from django_otp.models import Device

from accounts.models import User

# Recovery codes stand in for a factor; alone they are none.
SECOND_FACTORS = frozenset({Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN})


class FactorManager(models.Manager["Factor"]):
    """Finds a person's factors the way django-otp asks for them."""

    def devices_for_user(
        self,
        user: User,
        confirmed: bool | None = None,  # noqa: FBT001 -- django-otp's
    ) -> models.QuerySet["Factor"]:
        factors = self.filter(user=user)
        # allauth stores a factor once it has been confirmed, never before.
        return factors.none() if confirmed is False else factors


class Factor(Device):
    """A row of allauth's table of factors, as django-otp sees it. Read here, never written."""

    # Columns that django-otp wants of a device and that allauth has no need for.
    name = None
    confirmed = True

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    type = models.CharField(max_length=20, choices=Authenticator.Type)

    objects: ClassVar[FactorManager] = FactorManager()

    class Meta:
        managed = False
        db_table = "mfa_authenticator"

    def __str__(self) -> str:
        return str(Authenticator.Type(self.type).label)


def has_factor(user: User) -> bool:
    return Factor.objects.filter(user=user, type__in=SECOND_FACTORS).exists()


@receiver(authenticator_used)
def mark_verified(
    *, request: HttpRequest, user: User, authenticator: Authenticator, **_: Any
) -> None:
    """Have a session count as verified from the moment a factor was passed in it."""
    if request.user.is_authenticated and request.user == user:
        django_otp.login(request, Factor.objects.get(pk=authenticator.pk))


@receiver(user_logged_in)
def mark_verified_at_sign_in(*, request: HttpRequest, user: User, **_: Any) -> None:
    """Count a new session as verified if a factor was the last step of signing in.

    Where a browser is trusted to skip that step, the last one was the password.
    """
    records = get_authentication_records(request, user)
    if records and records[-1]["method"] == "mfa":
        factor = Factor.objects.filter(pk=records[-1]["id"], user=user).first()
        if factor is not None:
            django_otp.login(request, factor)
