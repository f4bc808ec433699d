"""The shape of input about a person: the profile, and the words that delete an account."""

from functools import cache
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.forms.fields import NameField, zones
from accounts.models import UNKNOWN_ZONE, User

# How UTC is kept when somebody chose it. Plain "UTC" means that nobody has said where the person
# is, and the next sign-in would put what the browser says in its place.
CHOSEN_UTC: Final = "Etc/UTC"


@cache
def zone_options() -> SafeString:
    """List the zones to choose from: places, not the abbreviations and aliases of old.

    Written once, as they are hundreds.
    """
    places = [name for name in zones() if "/" in name and not name.startswith("Etc/")]
    names = [UNKNOWN_ZONE, *sorted(places)]
    return format_html_join("", '<option value="{}">', ((name,) for name in names))


class ZoneInput(forms.TextInput):
    """A text that the browser completes from the list of zones, which the page brings along."""

    def __init__(self) -> None:
        super().__init__(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"})


class ProfileForm(forms.Form):
    """How a person is called, and where their clock is."""

    name = NameField(
        help_text="Shown to members of your teams, on receipts and in the audit log.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        help_text="For all times that you see. Type to search, for example for a city.",
        widget=ZoneInput,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        zone = UNKNOWN_ZONE if user.timezone == CHOSEN_UTC else user.timezone
        kwargs["initial"] = {"name": user.name, "timezone": zone}
        super().__init__(*args, **kwargs)

    def clean_timezone(self) -> str:
        typed: str = self.cleaned_data["timezone"]
        # As people type it: any case, and a space where the name has a line.
        wanted = typed.replace(" ", "_").lower()
        found = next((name for name in zones() if name.lower() == wanted), None)
        if found is None or found in {"localtime", "Factory"}:
            raise ValidationError(
                f"“{typed}” is not a time zone. Choose one of the list, such as Europe/Berlin."
            )
        return CHOSEN_UTC if found == UNKNOWN_ZONE else found


class DeleteAccountForm(forms.Form):
    """Deletes an account, for someone who has typed its email."""

    confirm = forms.CharField(
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "required": True, "class": "mono", "inputmode": "email"}
        ),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["confirm"].label = format_html("Type <code>{}</code> to confirm", user.email)

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed.lower() != self.user.email.lower():
            raise ValidationError(
                f"“{typed}” is not the email of this account."
                if typed
                else "Type the email of this account."
            )
        return typed


class SupportDeletesForm(DeleteAccountForm):
    """Deletes somebody's account at their request, for staff who say why."""

    reason = forms.CharField(
        max_length=300,
        help_text="Stands in the person's audit log, which they can read.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
