"""The shape of what people type on the billing pages."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.dateparse import parse_datetime

from billing import services as billing
from billing.models import LedgerEntry
from billing.payments import AMEX, Card, brand_of, passes_luhn
from billing.rules import ticks_from_usd, usd, usd_from_ticks

PRESETS: Final = (25, 100, 250, 500)
OTHER: Final = ""


class Segments(forms.RadioSelect):
    """A few choices drawn as one control. A dialog that opens puts the focus on the chosen one."""

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(*args, **kwargs)
        if option["selected"]:
            option["attrs"]["autofocus"] = True
        return option


class BuyForm(forms.Form):
    """How much to buy. The hidden key makes a form that is sent twice one purchase."""

    preset = forms.ChoiceField(
        label="Amount",
        required=False,
        initial="25",
        widget=Segments(attrs={"class": "segments"}),
    )
    amount = forms.DecimalField(
        label="Other amount, US dollars",
        required=False,
        min_value=0,
        max_digits=9,
        decimal_places=2,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        least, most = settings.PURCHASE_MIN_USD, settings.PURCHASE_MAX_USD
        choices = [(str(preset), f"${preset}") for preset in PRESETS if least <= preset <= most]
        preset = self.fields["preset"]
        preset.choices = [*choices, (OTHER, "Other")]  # type: ignore[attr-defined]
        self.fields["amount"].help_text = f"From ${least:,}.00 to ${most:,}.00."

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        chosen = data.get("preset") or data.get("amount")
        if chosen:
            data["cents"] = int(Decimal(chosen) * 100)
        elif not self.errors:
            self.add_error("amount", "Enter an amount.")
        return data

    @property
    def cents(self) -> int:
        return int(self.cleaned_data["cents"])

    @property
    def key(self) -> UUID:
        return UUID(str(self.cleaned_data["idempotency_key"]))


class PromoForm(forms.Form):
    """A promo code, however it was written down. The hidden key makes two clicks one use."""

    code = forms.CharField(
        label="Code",
        max_length=80,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autofocus": True, "class": "mono", "spellcheck": "false"}
        ),
        error_messages={"required": "Enter a code."},
    )
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    @property
    def key(self) -> UUID:
        return UUID(str(self.cleaned_data["idempotency_key"]))


class UnrepeatedInput(forms.TextInput):
    """A field whose value is never sent back to the browser."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:  # noqa: ARG002
        return super().get_context(name, None, attrs)


class CardForm(forms.Form):
    """A card. What is typed here goes to the processor and nowhere else."""

    number = forms.CharField(
        label="Card number",
        max_length=30,
        widget=UnrepeatedInput(attrs={"inputmode": "numeric", "autocomplete": "cc-number"}),
    )
    expiry = forms.CharField(
        label="Expires",
        max_length=9,
        widget=UnrepeatedInput(
            attrs={"inputmode": "numeric", "autocomplete": "cc-exp", "placeholder": "MM / YY"}
        ),
    )
    cvc = forms.CharField(
        label="Security code",
        max_length=4,
        widget=UnrepeatedInput(attrs={"inputmode": "numeric", "autocomplete": "cc-csc"}),
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now

    def clean_number(self) -> str:
        number = re.sub(r"[ -]", "", self.cleaned_data["number"])
        if not re.fullmatch(r"[0-9]{12,19}", number):
            raise forms.ValidationError("A card number has 12 to 19 digits.")
        if not passes_luhn(number):
            raise forms.ValidationError("This is not a card number: a digit is wrong.")
        return number

    def clean_expiry(self) -> tuple[int, int]:
        typed = self.cleaned_data["expiry"]
        found = re.fullmatch(r"(0?[1-9]|1[0-2]) ?/? ?(?:20)?([0-9]{2})", typed)
        if not found:
            raise forms.ValidationError("Enter a month and a year, such as 04 / 30.")
        month, year = int(found[1]), 2000 + int(found[2])
        if (year, month) < (self._now.year, self._now.month):
            raise forms.ValidationError(f"The card expired in {month:02} / {year % 100:02}.")
        return year, month

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        number, cvc = data.get("number"), data.get("cvc")
        if number and cvc:
            digits = 4 if brand_of(number) == AMEX else 3
            if not re.fullmatch(rf"[0-9]{{{digits}}}", cvc):
                self.add_error("cvc", f"The security code of this card has {digits} digits.")
        return data

    @property
    def card(self) -> Card:
        year, month = self.cleaned_data["expiry"]
        return Card(
            number=self.cleaned_data["number"],
            expiry_month=month,
            expiry_year=year,
            cvc=self.cleaned_data["cvc"],
        )


class SpendingLimitForm(forms.Form):
    """What may be invoiced per month."""

    limit = forms.DecimalField(
        label="US dollars per calendar month",
        min_value=0,
        max_digits=12,
        decimal_places=2,
        widget=forms.TextInput(
            attrs={"inputmode": "decimal", "autocomplete": "off", "autofocus": True}
        ),
    )

    def __init__(self, *args: Any, standing: billing.Balance, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.fields["limit"]
        limit.initial = f"{usd_from_ticks(standing.spending_limit_ticks):.2f}"
        limit.help_text = (
            f"From $0.00, which means credits only, to {usd(standing.hard_limit_ticks)}."
        )

    @property
    def ticks(self) -> int:
        return ticks_from_usd(self.cleaned_data["limit"])


class AlertsForm(forms.Form):
    """At how many percent of the spending limit to be told."""

    percents = forms.CharField(
        label="Percent of the spending limit",
        required=False,
        max_length=60,
        help_text="Up to 5 whole numbers from 1 to 100, such as 50, 80, 100.",
        widget=forms.TextInput(
            attrs={"inputmode": "text", "autocomplete": "off", "autofocus": True}
        ),
    )

    def __init__(self, *args: Any, percents: Sequence[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["percents"].initial = ", ".join(map(str, percents))

    def clean_percents(self) -> list[int]:
        percents = []
        for part in re.split(r"[\s,;%]+", self.cleaned_data["percents"].strip(" ,;%")):
            if part and not re.fullmatch(r"[0-9]{1,9}", part):
                raise forms.ValidationError(f"{part} is not a whole number.")
            percents += [int(part)] if part else []
        return percents


class DetailsForm(forms.Form):
    """Who invoices are made out to. A hidden time says which details the person had in view."""

    name = forms.CharField(
        label="Name",
        max_length=120,
        help_text="Of the company, or of the person who buys.",
        widget=forms.TextInput(attrs={"autocomplete": "billing organization", "autofocus": True}),
    )
    email = forms.EmailField(
        label="Email",
        max_length=254,
        help_text="Mail about billing goes to this address.",
        widget=forms.EmailInput(attrs={"autocomplete": "billing email"}),
    )
    line1 = forms.CharField(
        label="Address",
        max_length=120,
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
        widget=forms.TextInput(attrs={"autocomplete": "billing address-level2"}),
    )
    state = forms.CharField(
        label="State or province (optional)",
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "billing address-level1"}),
    )
    country = forms.ChoiceField(
        label="Country", widget=forms.Select(attrs={"autocomplete": "billing country"})
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


class LedgerForm(forms.Form):
    """Which movements to show: of a kind, and of days in the reader's time zone."""

    kind = forms.ChoiceField(
        label="Kind",
        required=False,
        choices=[("", "All movements"), *LedgerEntry.Kind.choices],
        error_messages={"invalid_choice": "There are no movements of this kind. Choose another."},
    )

    def __init__(self, data: Mapping[str, Any], *, zone: ZoneInfo) -> None:
        super().__init__(data, auto_id="ledger-%s")
        self._zone = zone
        # Not in the class: "from" is a word of Python's.
        self.fields["from"] = _day_field("From")
        self.fields["to"] = _day_field("To")

    def clean(self) -> None:
        first, last = self.cleaned_data.get("from"), self.cleaned_data.get("to")
        if first and last and last < first:
            self.add_error("to", "The last day is before the first.")

    @property
    def wanted(self) -> billing.Wanted:
        first, last = self.cleaned_data["from"], self.cleaned_data["to"]
        return billing.Wanted(
            kind=self.cleaned_data["kind"],
            since=self._midnight(first) if first else None,
            before=self._midnight(last + timedelta(days=1)) if last else None,
        )

    @property
    def query(self) -> dict[str, str]:
        """What is asked for, as an address carries it."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, datetime.min.time(), self._zone)


def _day_field(label: str) -> forms.DateField:
    wrong = "Write a day from 2000 to 2099 as in 2026-11-21."
    return forms.DateField(
        label=label,
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        validators=[
            MinValueValidator(date(2000, 1, 1), wrong),
            MaxValueValidator(date(2099, 12, 31), wrong),
        ],
        error_messages={"invalid": wrong},
    )
