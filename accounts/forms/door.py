"""The shape of input at the door: signing up and in, resetting a password."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import (
    LoginForm,
    ResetPasswordForm,
    ResetPasswordKeyForm,
    SignupForm,
)
from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import services as accounts
from accounts.forms.fields import PASSWORD_HINT, NameField, ZoneField, dress
from accounts.models import UNKNOWN_ZONE, User
from accounts.web import actor_of


class SignInForm(LoginForm):
    """An e-mail and its password."""

    timezone = ZoneField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self.fields["login"], "Email", autocomplete="username", autofocus=True)
        dress(self.fields["password"], "Password")

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError as error:
            # Under the password, where the eyes are; it does not say which of the two is wrong.
            self.add_error("password", error)
            cleaned = self.cleaned_data
        return cleaned

    def login(self, request: HttpRequest, redirect_url: str | None = None) -> HttpResponse:
        if self.user.timezone == UNKNOWN_ZONE:
            self.user.timezone = self.cleaned_data["timezone"]
            self.user.save(update_fields=["timezone"])
        response: HttpResponse = super().login(request, redirect_url)
        return response


class SignUpForm(SignupForm):
    """A new person: name, e-mail, and a password that is typed once.

    An address that already has a password gets no second account. The page answers as if it had,
    and the owner of the address is told by mail.
    """

    name = NameField()
    timezone = ZoneField()
    field_order = ("name", "email", "password1")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self.fields["name"], "Name", autocomplete="name", autofocus=True)
        dress(self.fields["email"], "Email")
        dress(self.fields["password1"], "Password", hint=PASSWORD_HINT)

    def clean(self) -> dict[str, Any]:
        """Hold the password against the name, too; allauth knows only the email."""
        cleaned: dict[str, Any] = super().clean()
        person = User(name=cleaned.get("name", ""), email=cleaned.get("email", ""))
        if "password1" in cleaned and "password1" not in self.errors:
            try:
                validate_password(cleaned["password1"], person)
            except ValidationError as error:
                self.add_error("password1", error)
        return cleaned

    def validate_unique_email(self, value: str) -> str:
        self.account_already_exists = User.objects.with_password(value) is not None
        return value

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if not self.account_already_exists:
            try:
                return self._sign_up(request), None
            except IntegrityError as error:
                if "user_one_password_per_email" not in str(error):
                    raise
                # Somebody else signed up with this address since the form was checked.
                self.account_already_exists = True
        else:
            # A new account costs a hash. Without this the answer would come noticeably sooner.
            User().set_password(self.cleaned_data["password1"])
        _, response = super().try_save(request)
        return None, response

    @transaction.atomic
    def _sign_up(self, request: HttpRequest) -> User:
        user: User = self.save(request)
        accounts.announce(
            operation="SignUp",
            description=f"Signed up with the email {user.email}",
            user=user,
            actor=actor_of(request, user),
            now=timezone.now(),
        )
        return user


class ResetRequestForm(ResetPasswordForm):
    """Where to mail the link that sets a new password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self.fields["email"], "Email", autofocus=True)

    def clean_email(self) -> str:
        """Choose the account with the password, if there is one: only that can be reset.

        A link for an account without one would give it a password, next to the account that has.
        """
        email: str = get_adapter().clean_email(self.cleaned_data["email"])
        user = User.objects.with_password(email)
        self.users = [user] if user and user.is_active else []
        return email


class NewPasswordForm(ResetPasswordKeyForm):
    """The new password, typed once, of somebody who came by the mailed link."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["password2"]
        dress(self.fields["password1"], "New password", hint=PASSWORD_HINT, autofocus=True)

    @transaction.atomic
    def save(self) -> None:
        super().save()
        adapter = get_adapter()
        # The link went to this address, so whoever is here reads it.
        address, _ = EmailAddress.objects.get_or_create(
            user=self.user, email=self.user.email.lower()
        )
        if not address.verified:
            adapter.confirm_email(adapter.request, address)
        accounts.announce(
            operation="ResetPassword",
            description="Set a new password by the mailed link",
            user=self.user,
            actor=actor_of(adapter.request, self.user),
            now=timezone.now(),
        )
