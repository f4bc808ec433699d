"""Who invoices are made out to."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.dateparse import parse_datetime

from billing import services as billing


class DetailsForm(forms.Form):
    """Who invoices are made out to. A hidden time says which details the person had in view."""

    name = forms.CharField(
        label="Name",
        max_length=120,
        help_text="Of the company, or of the person who buys.",
        error_messages={"required": "Enter a name."},
        widget=forms.TextInput(attrs={"autocomplete": "billing organization", "autofocus": True}),
    )
    email = forms.EmailField(
        label="Email",
        max_length=254,
        help_text="Mail about billing goes to this address.",
        error_messages={"required": "Enter an email address."},
        widget=forms.EmailInput(attrs={"autocomplete": "billing email"}),
    )
    line1 = forms.CharField(
        label="Address",
        max_length=120,
        error_messages={"required": "Enter an address."},
        widget=forms.TextInput(attrs={"autocomplete": "billing address-line1"}),
    )
    line2 = forms.CharField(
        label="Address, second line (optional)",
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "billing address-line2"}),
    )
    postal_code = forms.CharField(
        label="Postal code",
        required=False,
        max_length=20,
        help_text="Where there is one.",
        widget=forms.TextInput(attrs={"autocomplete": "billing postal-code"}),
    )
    city = forms.CharField(
        label="City",
        max_length=80,
        error_messages={"required": "Enter a city."},
        widget=forms.TextInput(attrs={"autocomplete": "billing address-level2"}),
    )
    state = forms.CharField(
        label="State or province (optional)",
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "billing address-level1"}),
    )
    country = forms.ChoiceField(
        label="Country",
        widget=forms.Select(attrs={"autocomplete": "billing country"}),
        error_messages={"required": "Choose a country."},
    )
    tax_id_type = forms.ChoiceField(label="Kind of tax number (optional)", required=False)
    tax_number = forms.CharField(
        label="Tax number",
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    seen = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, saved: billing.Details | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        countries = list(billing.countries().items())
        kinds = [(kind.code, kind.label) for kind in billing.tax_id_types().values()]
        self.fields["country"].choices = [("", "Choose a country"), *countries]  # type: ignore[attr-defined]
        self.fields["tax_id_type"].choices = [("", "None"), *kinds]  # type: ignore[attr-defined]
        if saved:
            tax_id = saved.tax_id
            self.initial = {
                **saved.values,
                "tax_number": tax_id["number"] if tax_id else "",
                "seen": saved.version,
            }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kind, number = data.get("tax_id_type"), data.get("tax_number")
        if number and not kind and "tax_id_type" not in self.errors:
            self.add_error("tax_id_type", "Choose what kind of number it is.")
        if kind and not number and "tax_number" not in self.errors:
            self.add_error("tax_number", "Enter the number, or choose “None” as its kind.")
        return data

    @property
    def details(self) -> billing.Details:
        typed = {name: value for name, value in self.cleaned_data.items() if name != "seen"}
        return billing.Details(**typed)

    @property
    def seen_at(self) -> datetime | None:
        try:
            return parse_datetime(self.cleaned_data["seen"])
        except ValueError:
            return None
