"""The shape of what people type on the billing pages."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from django import forms
from django.conf import settings

from billing import services as billing
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
