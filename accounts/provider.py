"""The providers of social accounts, as allauth finds them: its own, held to a few rules of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.providers.base import AuthProcess, Provider, ProviderException
from allauth.socialaccount.providers.github.provider import GitHubProvider
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.google.provider import GoogleProvider
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from allauth.socialaccount.providers.oauth2.views import OAuth2Adapter
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.socialaccount.providers.twitter_oauth2.provider import TwitterOAuth2Provider
from allauth.socialaccount.providers.twitter_oauth2.views import TwitterOAuth2Adapter
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.urls import reverse
from requests import RequestException

from accounts.names import as_name


class Conversation(OAuth2Adapter):
    """Talks to a provider. Whatever it answers, all that leaves here is what allauth expects.

    A provider that is not where allauth knows it to be has its addresses in the settings, by the
    names of allauth's attributes: `{"ENDPOINTS": {"access_token_url": "https://..."}}`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__dict__.update(self.get_provider().get_settings().get("ENDPOINTS", {}))

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:  # noqa: ARG002 -- allauth's
        # Not of the request's host, which whoever asks may have made up.
        path = reverse("social_callback", args=[self.get_provider().sub_id])
        return f"{settings.PUBLIC_URL}{path}"

    def get_access_token_data(self, *args: Any, **kwargs: Any) -> Any:
        with _sense():
            return super().get_access_token_data(*args, **kwargs)

    def parse_token(self, data: Any) -> Any:
        with _sense():
            return super().parse_token(data)

    def complete_login(self, *args: Any, **kwargs: Any) -> Any:
        with _sense():
            return super().complete_login(*args, **kwargs)


@contextmanager
def _sense() -> Iterator[None]:
    """Tell an answer that makes no sense from a mistake of ours."""
    try:
        yield
    except RequestException:
        raise  # No answer at all; it may be a ValueError, too.
    except (AttributeError, ImproperlyConfigured, LookupError, TypeError, ValueError) as error:
        raise ProviderException(f"It answered with something else: {error!r}") from error


class Ours(Provider):
    """What all providers share: one pair of addresses, and how little is kept of a person."""

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:  # noqa: ARG002 -- allauth's
        return reverse("social_begin", args=[self.sub_id])

    def serialize(self) -> dict[str, Any]:
        # allauth would call every issuer "openid_connect".
        serialized: dict[str, Any] = super().serialize()
        return serialized | {"id": self.sub_id}

    def extract_extra_data(self, data: Any) -> dict[str, str]:
        """Keep what the person is called there, for the page and the mails that list the account.

        Of all that a provider tells nothing else is needed, so nothing else is kept.
        """
        known = self.extract_common_fields(data)
        called = known.get("username") or known.get("email") or known.get("name") or ""
        return {"name": as_name(str(called))}


class XConversation(Conversation, TwitterOAuth2Adapter):
    """X."""


class X(Ours, TwitterOAuth2Provider):
    """X, asked for the address that the person has confirmed there."""

    oauth2_adapter_class = XConversation

    def get_default_scope(self) -> list[str]:
        return [*super().get_default_scope(), "users.email"]

    def get_fields(self) -> list[str]:
        return ["id", "name", "username", "confirmed_email"]

    def extract_extra_data(self, data: Any) -> dict[str, str]:
        return {"name": as_name(f"@{data['username']}")}

    def extract_email_addresses(self, data: Any) -> list[EmailAddress]:
        # Absent where the person has none, or the app may not ask.
        email = data.get("confirmed_email")
        return [EmailAddress(email=email, verified=True, primary=True)] if email else []


class GoogleConversation(Conversation, GoogleOAuth2Adapter):
    """Google."""


class Google(Ours, GoogleProvider):
    """Google."""

    oauth2_adapter_class = GoogleConversation


class GitHubConversation(Conversation, GitHubOAuth2Adapter):
    """GitHub."""


class GitHub(Ours, GitHubProvider):
    """GitHub."""

    oauth2_adapter_class = GitHubConversation


class IssuerConversation(Conversation, OpenIDConnectOAuth2Adapter):
    """An issuer of OpenID Connect, at the addresses that it publishes."""

    @property
    def openid_config(self) -> Any:
        with _sense():
            config = super().openid_config
            # OpenID Connect Discovery 4.3: or one issuer could speak for another.
            if config["issuer"].rstrip("/") != self.get_provider().app.settings["server_url"]:
                raise ValueError(config["issuer"])
            return config


class Issuer(Ours, OpenIDConnectProvider):
    """An issuer of OpenID Connect. There may be several, each a provider with an id of its own."""

    oauth2_adapter_class = IssuerConversation

    def extract_uid(self, data: Any) -> str:
        uid: str = super().extract_uid(data)
        # OpenID Connect Core 5.3.2: userinfo about somebody else is not to be used.
        if str(data.get("id_token", {}).get("sub", uid)) != uid:
            raise ValueError("The userinfo is about somebody else.")
        return uid

    def extract_email_addresses(self, data: Any) -> list[EmailAddress]:
        addresses: list[EmailAddress] = super().extract_email_addresses(data)
        for address in addresses:
            # Some issuers write it as a text, and the text "false" would count as true.
            address.verified = str(address.verified).lower() == "true"
        return addresses

    def redirect(self, request: HttpRequest, process: str, *args: Any, **kwargs: Any) -> Any:
        if process == AuthProcess.REDIRECT:
            # To prove who one is, an open session at the issuer is not enough.
            kwargs["auth_params"] = self.get_auth_params() | {"prompt": "login"}
        return super().redirect(request, process, *args, **kwargs)


provider_classes = [X, Google, GitHub, Issuer]
