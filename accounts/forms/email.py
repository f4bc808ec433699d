"""The shape of input about an account's e-mail."""

from typing import Any

from allauth.account.fields import EmailField
from django import forms

from accounts.forms.fields import dress
from accounts.models import User


class EmailForm(forms.Form):
    """The address that an account changes to.

    Whether somebody has an account with it is not said here, but mailed to whoever reads it.
    """

    email = EmailField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        dress(self.fields["email"], "New email", autofocus=True, autocomplete="off")

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        if email == self.user.email.lower():
            raise forms.ValidationError(f"{email} is the email of this account already.")
        return email
