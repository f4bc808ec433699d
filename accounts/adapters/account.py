"""allauth's questions about accounts: signing up and in, addresses, mail."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.authentication import get_authentication_records
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import confirming, linking
from accounts import services as accounts
from accounts.models import User
from accounts.services.sign_ins import note_sign_in
from accounts.web import actor_of, address_of

TRUST_STAGE = "allauth.mfa.stages.TrustStage"
OUR_STAGES = {"allauth.mfa.stages.AuthenticateStage": "accounts.stages.SecondStepStage"}


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
        if "password1" in form.cleaned_data:
            user.password_set_at = timezone.now()
        saved: User = super().save_user(request, user, form, commit)
        return saved

    def set_password(self, user: User, password: str) -> None:
        accounts.keep_password(
            user=user,
            password=password,
            actor=actor_of(self.request, user),
            now=timezone.now(),
        )

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:  # noqa: ARG002
        return reverse("accounts:methods")

    def should_send_confirmation_mail(
        self,
        request: HttpRequest,
        email_address: EmailAddress,
        signup: bool,  # noqa: ARG002, FBT001 -- allauth's
    ) -> bool:
        """Mail none to who has just followed one, and signs in to confirm by it."""
        if confirming.recall(request, email_address.user):
            return False
        return confirming.may_mail(request, email_address)

    def respond_email_verification_sent(
        self, request: HttpRequest, user: User | None
    ) -> HttpResponseBase:
        key = confirming.recall(request, user) if user else None
        if key:
            return redirect("account_confirm_email", key)
        response: HttpResponseBase = super().respond_email_verification_sent(request, user)
        return response

    @transaction.atomic
    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        if accounts.is_change(email_address):
            return self._change_email(request, email_address)
        confirmed = bool(super().confirm_email(request, email_address))
        if confirmed:
            self._announce(
                request,
                email_address.user,
                "ConfirmEmail",
                f"Confirmed the email {email_address.email}",
            )
        return confirmed

    def _change_email(self, request: HttpRequest, address: EmailAddress) -> bool:
        """Do what allauth does at this place, but tell of it and let it be undone."""
        actor = actor_of(request, address.user)
        try:
            accounts.change_email(address=address, actor=actor, now=timezone.now())
        except (accounts.ChangeForgottenError, accounts.EmailTakenError) as error:
            messages.error(request, str(error))
            return False
        messages.success(request, f"The email of your account is {address.email} now.")
        return True

    # --- Signing in and out

    @transaction.atomic
    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        if any(r["method"] == "password" for r in get_authentication_records(request, user)):
            user.password_used_at = timezone.now()
            user.save(update_fields=["password_used_at"])
        self._announce(request, user, "SignIn", "Signed in")
        note_sign_in(user=user, actor=actor_of(request, user), now=timezone.now())

    @transaction.atomic
    def logout(self, request: HttpRequest) -> None:
        if isinstance(request.user, User):
            self._announce(request, request.user, "SignOut", "Signed out")
        super().logout(request)

    def get_login_stages(self) -> list[str]:
        """Leave out the page that asks whether to trust the browser: the second step asks that."""
        stages = [stage for stage in super().get_login_stages() if stage != TRUST_STAGE]
        return [OUR_STAGES.get(stage, stage) for stage in stages]

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Lead to the question first that somebody signed in for."""
        if linking.recall(request, linking.LINK):
            return reverse("accounts:link")
        if key := isinstance(request.user, User) and confirming.recall(request, request.user):
            return reverse("account_confirm_email", args=[key])
        url: str = super().get_login_redirect_url(request)
        return url

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
        ours: dict[str, Any] = {
            "console_name": settings.CONSOLE_NAME,
            "public_url": settings.PUBLIC_URL,
            "support_email": settings.SUPPORT_EMAIL,
        }
        if isinstance(user := context.get("user"), User):
            # With several accounts of one address, only this says which one a mail is about.
            ours["sign_in_methods"] = accounts.phrases_of(user)
        elif template_prefix == "account/email/unknown_account":
            # None with a password, but whoever reads this mail may have others.
            others = accounts.people_with_email(email)
            ours["sign_in_methods"] = [way for u in others for way in accounts.phrases_of(u)]
        # Not by allauth's own, which asks the request for the name of the site: a job has none.
        self.render_mail(template_prefix, email, {"email": email} | context | ours).send()

    def send_notification_mail(
        self,
        template_prefix: str,
        user: User,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """Tell somebody what happened to their account; also where no request made it happen."""
        actor = actor_of(self.request, user)
        seen = {
            "user": user,
            "timestamp": timezone.now(),
            "ip": actor.ip or "not known",
            "user_agent": actor.user_agent or "not known",
        }
        self.send_mail(template_prefix, email or user.email, seen | (context or {}))

    def send_account_already_exists_mail(self, email: str) -> None:
        user = User.objects.with_password(email)
        self.send_mail("account/email/account_already_exists", email, {"user": user})
