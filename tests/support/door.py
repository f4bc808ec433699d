"""How tests come into the admin."""

from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.models import User


def enter(client: Client, user: User) -> None:
    """Sign in as after passing a second factor."""
    factor = Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client.force_login(user)
    session = client.session
    session["otp_device_id"] = f"accounts.factor/{factor.pk}"
    session.save()
