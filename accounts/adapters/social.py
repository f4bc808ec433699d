"""allauth's questions about social accounts: whose they are, and what to do with a new one."""

import logging
from http import HTTPStatus
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings
from allauth.socialaccount.internal.flows.login import record_authentication
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess, Provider
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.forms import BaseForm
from django.http import HttpRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from requests import RequestException

from accounts import linking
from accounts import services as accounts
from accounts.forms.fields import ZoneField
from accounts.models import User
from accounts.names import as_name
from accounts.web import actor_of

logger = logging.getLogger(__name__)


class SocialAdapter(DefaultSocialAccountAdapter):
    """allauth's questions about social accounts, answered."""

    def list_apps(
        self,
        request: HttpRequest | None,  # noqa: ARG002 -- allauth's
        provider: str | None = None,
        client_id: str | None = None,
    ) -> list[Any]:
        """Know the providers of the settings only. allauth would add those of a table."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    # --- Somebody comes back from a provider

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if not sociallogin.is_existing:
            # Otherwise they may be signing in to link the one that waits.
            linking.forget(request)
        linking.stamp(sociallogin)
        # An account has one address, so the one that matters most to the provider is taken.
        del sociallogin.email_addresses[1:]
        match sociallogin.state.get("process"):
            case AuthProcess.CONNECT:
                self._connect(request, sociallogin)
            case AuthProcess.REDIRECT:
                self._prove(request, sociallogin)

    def _connect(self, request: HttpRequest, login: SocialLogin) -> None:
        """Add it to the account that is signed in, which asked for that before it left."""
        if isinstance(request.user, User):
            connect(request, login)
        raise ImmediateHttpResponse(redirect("accounts:methods"))

    def _prove(self, request: HttpRequest, login: SocialLogin) -> None:
        """Count it as a proof of who is signed in, if it is theirs."""
        if isinstance(request.user, User) and login.user == request.user:
            record_authentication(request, login)
            return
        called = accounts.describe_method(login.provider.name, login.account.extra_data["name"])
        messages.error(request, f"{called} does not sign in to this account.")
        # Back to the page that asks, with what it keeps.
        raise ImmediateHttpResponse(
            redirect(login.get_redirect_url(request) or "account_reauthenticate")
        )

    # --- It is new here

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: Any) -> Any:
        if sociallogin.email_addresses:
            # The first is the one that is kept. GitHub may show another one to the public.
            data = data | {"email": sociallogin.email_addresses[0].email}
        user = super().populate_user(request, sociallogin, data)
        parts = (data.get("first_name") or "", data.get("last_name") or "")
        user.name = as_name(data.get("name") or " ".join(parts))
        return user

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002
        """Ask for nothing where the provider has confirmed an address that no account has."""
        email = accounts.confirmed_email(sociallogin)
        return bool(email) and not accounts.people_with_email(email)

    def save_user(
        self, request: HttpRequest, sociallogin: SocialLogin, form: BaseForm | None = None
    ) -> User:
        login = sociallogin
        if form is None:
            login.user.timezone = ZoneField().clean(request.session.pop("timezone", ""))
        try:
            with transaction.atomic():
                user: User = super().save_user(request, login, form)
                called = accounts.describe_method(
                    login.provider.name, login.account.extra_data["name"]
                )
                accounts.announce(
                    operation="SignUp",
                    description=f"Signed up with {called} and the email {user.email}",
                    user=user,
                    after={"sign_in_methods": [called]},
                    actor=actor_of(request, user),
                    now=timezone.now(),
                )
        except IntegrityError as error:
            # The same form sent twice: the first has made the account.
            messages.info(request, "Your account was created. Sign in to it.")
            raise ImmediateHttpResponse(redirect("account_login")) from error
        return user

    # --- It went wrong

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Provider,
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        if error == AuthError.CANCELLED:
            return  # allauth leads to a page that says so.
        if exception is not None:
            # It may quote all that the provider answered.
            logger.warning("Signing in with %s failed: %.300s", provider.name, exception)
        known = extra_context or {}
        if isinstance(exception, RequestException):
            what, status = "silent", HTTPStatus.BAD_GATEWAY
        elif exception is None and "state" not in known:
            what, status = "stale", HTTPStatus.BAD_REQUEST
        else:
            what, status = "unusable", HTTPStatus.BAD_GATEWAY
        page = render(
            request,
            "socialaccount/authentication_error.html",
            {"provider": provider, "what": what},
            status=status,
        )
        raise ImmediateHttpResponse(page)


def connect(request: HttpRequest, login: SocialLogin) -> None:
    """Link a social account to the account that is signed in, and say how that went."""
    actor = actor_of(request)
    assert actor.user is not None  # noqa: S101 -- the callers have seen to it
    try:
        called = accounts.add_social_account(
            user=actor.user, account=login.account, actor=actor, now=timezone.now()
        )
    except accounts.MethodTakenError as error:
        messages.error(request, str(error))
    else:
        messages.info(request, f"{called} signs in to this account.")
