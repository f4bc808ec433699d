"""Shapes of input. Forms check form; services check meaning."""

from typing import Any
from uuid import uuid4

from django import forms
from django.utils.html import format_html

from api_keys import rules
from api_keys.models import ApiKey


class CreateForm(forms.Form):
    """Makes a key. It carries the key's id, so that a double click cannot make two."""

    name = forms.CharField(
        label="Name",
        # The rules say it better than the field would.
        required=False,
        strip=False,
        help_text="Shown in usage and in the audit log.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True, "required": True}),
    )
    key_id = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)

    def clean_name(self) -> str:
        try:
            return rules.tidy_name(self.cleaned_data["name"])
        except rules.KeyNameError as error:
            raise forms.ValidationError(str(error)) from error


class DeleteForm(forms.Form):
    """Deletes a key, for someone who has typed its name."""

    confirm = forms.CharField(
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autofocus": True, "required": True, "class": "mono"}
        ),
    )

    def __init__(self, *args: Any, key: ApiKey, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key = key
        self.fields["confirm"].label = format_html("Type <code>{}</code> to confirm", key.name)

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed != self.key.name:
            raise forms.ValidationError(
                f"“{typed}” is not the key's name." if typed else "Type the key's name."
            )
        return typed
