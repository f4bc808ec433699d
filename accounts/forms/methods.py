"""The shape of input about ways to sign in: passwords, and what follows from a social account."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import SetPasswordForm as AllauthSetPasswordForm
from allauth.socialaccount.forms import SignupForm
from allauth.socialaccount.models import SocialLogin
from django import forms
from django.http import HttpRequest
from django.utils import timezone

from accounts import services as accounts
from accounts.forms.fields import PASSWORD_HINT, NameField, ZoneField, dress
from accounts.forms.security import is_own_password
from accounts.web import actor_of


class ChangePasswordForm(AllauthChangePasswordForm):
    """Another password, by somebody who knows the one that there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["password2"]
        dress(self.fields["oldpassword"], "Current password", autofocus=True)
        dress(self.fields["password1"], "New password", hint=PASSWORD_HINT)

    def clean_oldpassword(self) -> str:
        old: str = self.cleaned_data["oldpassword"]
        if not is_own_password(self.user, old):
            raise forms.ValidationError("This is not the current password.")
        return old

    def save(self) -> None:
        accounts.change_password(
            user=self.user,
            password=self.cleaned_data["password1"],
            actor=actor_of(get_adapter().request),
            now=timezone.now(),
        )


class SetPasswordForm(AllauthSetPasswordForm):
    """The first password of an account that has none, typed once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["password2"]
        dress(self.fields["password1"], "Password", hint=PASSWORD_HINT, autofocus=True)

    def clean(self) -> dict[str, Any]:
        """Set it here, because only the attempt shows whether another account has one."""
        cleaned: dict[str, Any] = super().clean()
        if not self.errors:
            try:
                accounts.set_password(
                    user=self.user,
                    password=cleaned["password1"],
                    actor=actor_of(get_adapter().request),
                    now=timezone.now(),
                )
            except accounts.PasswordTakenError as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned

    def save(self) -> None:
        """Do nothing more: it is set."""


class SocialSignUpForm(SignupForm):
    """What a social account leaves open: the name, and an address that it has not confirmed."""

    name = NameField()
    timezone = ZoneField()
    field_order = ("name", "email")

    def __init__(self, *args: Any, sociallogin: SocialLogin, **kwargs: Any) -> None:
        super().__init__(*args, sociallogin=sociallogin, **kwargs)
        self.initial["name"] = sociallogin.user.name
        dress(self.fields["name"], "Name", autocomplete="name")
        dress(self.fields["email"], "Email")
        if accounts.confirmed_email(sociallogin):
            # A disabled field takes what it began with, whatever is sent.
            self.fields["email"].disabled = True
            self.fields["email"].help_text = f"Confirmed by {sociallogin.provider.name}."
        else:
            self.fields["email"].help_text = "We mail a link to it that you follow to confirm it."

    def save(self, request: HttpRequest) -> Any:
        # Addresses that the provider named and the person did not choose are dropped.
        chosen = self.cleaned_data["email"]
        login = self.sociallogin
        login.email_addresses = [a for a in login.email_addresses if a.email == chosen]
        return super().save(request)
