"""The shape of input about second factors, and of proving who one is."""

from collections.abc import Callable
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.core.cache import cache

from accounts.ceremonies import Ceremony, is_asked
from accounts.forms.fields import dress
from accounts.models import User
from accounts.services import factors

NAME_MAX_LENGTH: Final = 80
CODE_MAX_LENGTH: Final = 40
CREDENTIAL_MAX_LENGTH: Final = 50_000
DAY: Final = 24 * 60 * 60


# --- Codes ------------------------------------------------------------------------------------


class CodeForm(forms.Form):
    """Checks a code of an app or a recovery code, which is spent by it."""

    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        has = factors.factors_of(self.user)
        recovery = "one of your recovery codes"
        hint = f"Six digits from your authenticator app, or {recovery}."
        field = self.fields["code"]
        dress(
            field,
            "Code" if has.app else "Recovery code",
            hint=hint if has.app else "",
            inputmode="numeric",
            autocomplete="one-time-code",
            autofocus=not has.keys,
            maxlength=str(CODE_MAX_LENGTH),
        )
        field.error_messages["required"] = "Enter a code."

    def clean_code(self) -> str:
        allow_more = _count_attempt(self.user)
        code: str = self.cleaned_data["code"]
        found = factors.use_code(self.user, code) if len(code) <= CODE_MAX_LENGTH else None
        if found is None:
            raise get_mfa_adapter().validation_error("incorrect_code")
        allow_more()
        found.user = self.user
        self.authenticator = found
        return code


class SecondStepForm(CodeForm, AuthenticateForm):
    """The second step of signing in, by a code."""


class CodeProofForm(CodeForm, ReauthenticateForm):
    """A code, to prove who one is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.user.has_usable_password():  # It is asked for above.
            self.fields["code"].widget.attrs.pop("autofocus", None)


class AddAppForm(forms.Form):
    """The code by which an authenticator app shows that it has the secret."""

    code = forms.CharField(
        help_text="The six digits that the app shows now.",
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "inputmode": "numeric",
                "maxlength": str(CODE_MAX_LENGTH),
            }
        ),
        error_messages={"required": "Enter the code that the app shows."},
    )

    def __init__(self, *args: Any, user: User, secret: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.secret = user, secret

    def clean_code(self) -> str:
        allow_more = _count_attempt(self.user)
        code: str = self.cleaned_data["code"]
        counter = factors.counter_of(self.secret, code) if len(code) <= CODE_MAX_LENGTH else None
        if counter is None:
            raise forms.ValidationError("The code is not right. Check the clock of the device.")
        allow_more()
        self.counter = counter
        return code


def _count_attempt(user: User) -> Callable[[], None]:
    """Count an attempt by everyone together; return what forgets it, as it was right.

    Five in five minutes, wherever they come from. Whoever gets to guess codes at the door knows
    the password: the person is told once a day, since only a new password ends it.
    """
    request = context.request
    # allauth's own name for it, since it counts keys that it refused in the same place.
    usage = _consume(f"mfa-auth-user-{user.pk}")
    if usage is None:
        if not request.user.is_authenticated and cache.add(f"codes-guessed:{user.pk}", 1, DAY):
            get_adapter().send_notification_mail("mfa/email/codes_guessed", user)
        raise forms.ValidationError(
            "Too many wrong codes. Try again in five minutes.", code="too_many_login_attempts"
        )
    forget: Callable[[], None] = usage.rollback
    return forget


def _consume(key: str) -> Any:
    return ratelimit.consume(context.request, app="allauth.account", action="login_failed", key=key)


# --- Passwords --------------------------------------------------------------------------------


def is_own_password(user: User, password: str) -> bool:
    """Check the password of who is signed in. Raises ValidationError after five wrong ones.

    Five in five minutes at all forms together, or who found a session tries them by turns.
    """
    usage = _consume(f"proof:{user.pk}")
    if usage is None:
        raise forms.ValidationError("Too many wrong passwords. Try again in five minutes.")
    # By the account, not by its address, which another account may share.
    if not user.check_password(password):
        return False
    usage.rollback()
    return True


class PasswordProofForm(forms.Form):
    """The password, to prove who one is."""

    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
        error_messages={"required": "Enter your password."},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not is_own_password(self.user, password):
            raise forms.ValidationError("The password is not right.")
        return password

    def save(self) -> None:
        reauthenticate_by_password(context.request)


# --- Passkeys ---------------------------------------------------------------------------------


class CredentialField(forms.JSONField):
    """What the browser's authenticator answers."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(
            error_messages={
                "required": "The browser sent no passkey. Try again.",
                "invalid": "The browser sent something other than a passkey.",
            }
        )

    def to_python(self, value: Any) -> Any:
        if value and len(value) > CREDENTIAL_MAX_LENGTH:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        try:
            return super().to_python(value)
        except RecursionError as error:  # Brackets within brackets.
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error

    def bound_data(self, data: Any, initial: Any) -> Any:  # noqa: ARG002 -- Django's
        """Show no answer again: it is good for one question only."""
        return None


class CredentialForm(forms.Form):
    """Checks that answer, which no browser makes up but others may."""

    credential = CredentialField()
    ceremony: Ceremony | None = None  # Which question it has to answer; a new key answers none.

    def clean_credential(self) -> Any:
        if not isinstance(self.cleaned_data["credential"], dict):
            raise get_mfa_adapter().validation_error("incorrect_key")
        if self.ceremony and not is_asked(self.ceremony):
            raise get_mfa_adapter().validation_error("incorrect_key")
        clean = getattr(super(), "clean_credential", None)
        return _in_our_words(clean) if clean else self.cleaned_data["credential"]


def _in_our_words(clean: Callable[[], Any]) -> Any:
    """Let a form of allauth check a passkey, which it would call a code."""
    try:
        return clean()
    except forms.ValidationError as error:
        if error.code == "too_many_login_attempts":
            raise
        raise get_mfa_adapter().validation_error("incorrect_key") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # What no browser sends; its parsers are not made for that.
        raise get_mfa_adapter().validation_error("incorrect_key") from error


class AddKeyForm(CredentialForm, AddWebAuthnForm):
    """A passkey or security key to be: its name, and what it answered."""

    field_order = ("name", "passwordless")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hint = "To tell it from others, for example “Laptop” or “Blue key”."
        dress(self.fields["name"], "Name", hint=hint, autofocus=True, maxlength="80")
        self.fields["name"].required = False
        self.fields["passwordless"].initial = True
        dress(
            self.fields["passwordless"],
            "Sign in with it alone",
            hint="Without a password. It asks for your fingerprint, face or PIN then.",
        )

    def clean_name(self) -> str:
        name: str = super().clean_name()
        return " ".join(name.split())[:NAME_MAX_LENGTH] or "Passkey"

    def clean(self) -> dict[str, Any]:
        return dict(_in_our_words(super().clean) or {})


class RenameKeyForm(forms.Form):
    """Another name for a passkey."""

    name = forms.CharField(
        max_length=NAME_MAX_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        return " ".join(name.split())


class SecondStepKeyForm(CredentialForm, AuthenticateWebAuthnForm):
    """The second step of signing in, by a key."""

    ceremony = Ceremony.SECOND_STEP


class KeyProofForm(CredentialForm, ReauthenticateWebAuthnForm):
    """A key, to prove who one is."""

    ceremony = Ceremony.PROOF


class KeySignInForm(CredentialForm, LoginWebAuthnForm):
    """A passkey, to sign in with it alone. It stands for two factors: it has to see its person."""

    ceremony = Ceremony.SIGN_IN

    def clean_credential(self) -> Any:
        key = super().clean_credential()
        if not factors.signs_in_alone(key):
            raise get_mfa_adapter().validation_error("second_step_only")
        return key


# --- Settings ---------------------------------------------------------------------------------


class SignInMailForm(forms.ModelForm[User]):
    """Which sign-ins are told by mail."""

    class Meta:
        model = User
        fields = ("sign_in_mail",)
        widgets = {"sign_in_mail": forms.RadioSelect(attrs={"class": "plain"})}
        labels = {"sign_in_mail": "Mail me"}
