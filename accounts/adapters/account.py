"""allauth's questions about accounts: signing up and in, addresses, mail."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import services as accounts
from accounts.models import User
from accounts.web import actor_of, address_of


class PasswordBackend(AuthenticationBackend):
    """Signs in by e-mail and password, only ever to the one account that has a password.

    allauth would try every account with the address, or, once one of them is confirmed, only that.
    """

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        user: User | None = self._check_password(User.objects.with_password(email), password)
        return user


class AccountAdapter(DefaultAccountAdapter):
    """allauth's questions about accounts, answered."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The email or the password is not right.",
        "too_many_login_attempts": (
            "Too many attempts to sign in with this email. Try again in five minutes."
        ),
    }

    # --- Making and confirming an account

    def save_user(
        self,
        request: HttpRequest,
        user: User,
        form: BaseForm,
        commit: bool = True,  # noqa: FBT001, FBT002 -- allauth's
    ) -> User:
        # Before the first save, because the personal team is named after the person.
        user.name = form.cleaned_data["name"]
        user.timezone = form.cleaned_data["timezone"]
        saved: User = super().save_user(request, user, form, commit)
        return saved

    @transaction.atomic
    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        confirmed = bool(super().confirm_email(request, email_address))
        if confirmed:
            self._announce(
                request,
                email_address.user,
                "ConfirmEmail",
                f"Confirmed the email {email_address.email}",
            )
        return confirmed

    # --- Signing in and out

    @transaction.atomic
    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        self._announce(request, user, "SignIn", "Signed in")

    @transaction.atomic
    def logout(self, request: HttpRequest) -> None:
        if isinstance(request.user, User):
            self._announce(request, request.user, "SignOut", "Signed out")
        super().logout(request)

    def _announce(self, request: HttpRequest, user: Any, operation: str, description: str) -> None:
        accounts.announce(
            operation=operation,
            description=description,
            user=user,
            actor=actor_of(request, user),
            now=timezone.now(),
        )

    # --- Addresses

    def is_safe_url(self, url: str) -> bool:
        """Follow `next` only within this site. allauth would follow it to every allowed host."""
        return url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request)

    def get_email_confirmation_url(
        self,
        request: HttpRequest,  # noqa: ARG002 -- not to be trusted with the host
        emailconfirmation: Any,
    ) -> str:
        return settings.PUBLIC_URL + reverse("account_confirm_email", args=[emailconfirmation.key])

    def get_reset_password_from_key_url(self, key: str) -> str:
        uid, _, token = key.partition("-")
        return settings.PUBLIC_URL + reverse("account_reset_password_from_key", args=[uid, token])

    # --- Mail

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail whose links start with PUBLIC_URL.

        Never with the request's Host header, which whoever asks for a mail to somebody else may
        have made up.
        """
        ours = {
            "console_name": settings.CONSOLE_NAME,
            "public_url": settings.PUBLIC_URL,
            "support_email": settings.SUPPORT_EMAIL,
        }
        # Not by allauth's own, which asks the request for the name of the site: a job has none.
        self.render_mail(template_prefix, email, {"email": email} | context | ours).send()

    def send_account_already_exists_mail(self, email: str) -> None:
        self.send_mail("account/email/account_already_exists", email, {})
