"""allauth's questions about second factors."""

from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings

from accounts.models import User


class FactorAdapter(DefaultMFAAdapter):
    """allauth's questions about second factors, answered."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "The code is not right, or it was used already.",
        "incorrect_key": "This passkey does not open this account, or the page was open too long.",
        "second_step_only": "This passkey is a second step only. Sign in with your password first.",
    }

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Bind passkeys to the address of the settings, whatever host a request names."""
        return {"id": str(urlsplit(settings.PUBLIC_URL).hostname), "name": settings.CONSOLE_NAME}

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002, ARG002
        return ""
