"""Which card pays: one that is typed for the sandbox, one from Stripe's fields, one on file."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django import forms

from billing.models import PaymentMethod
from billing.payments import AMEX, Card, brand_of, passes_luhn

# No field of ours takes these in Stripe mode.
CARD_FIELDS: Final = ("number", "expiry", "cvc")
NUMBER_SENTENCE: Final = "A card number has 12 to 19 digits."
EXPIRY_SENTENCE: Final = "Enter a month and a year, such as 04 / 30."


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
        error_messages={"required": "Enter the card's number.", "max_length": NUMBER_SENTENCE},
    )
    expiry = forms.CharField(
        label="Expires",
        max_length=9,
        widget=UnrepeatedInput(
            attrs={"inputmode": "numeric", "autocomplete": "cc-exp", "placeholder": "MM / YY"}
        ),
        error_messages=dict.fromkeys(("required", "max_length"), EXPIRY_SENTENCE),
    )
    cvc = forms.CharField(
        label="Security code",
        max_length=4,
        widget=UnrepeatedInput(attrs={"inputmode": "numeric", "autocomplete": "cc-csc"}),
        error_messages={
            "required": "Enter the card's security code.",
            "max_length": "A security code has 3 or 4 digits.",
        },
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now

    def clean_number(self) -> str:
        number = re.sub(r"[ -]", "", self.cleaned_data["number"])
        if not re.fullmatch(r"[0-9]{12,19}", number):
            raise forms.ValidationError(NUMBER_SENTENCE)
        if not passes_luhn(number):
            raise forms.ValidationError("This is not a card number: a digit is wrong.")
        return number

    def clean_expiry(self) -> tuple[int, int]:
        typed = self.cleaned_data["expiry"]
        found = re.fullmatch(r"(0?[1-9]|1[0-2]) ?/? ?(?:20)?([0-9]{2})", typed)
        if not found:
            raise forms.ValidationError(EXPIRY_SENTENCE)
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


class SetupForm(forms.Form):
    """A card that was entered at Stripe's fields. All that comes here is what Stripe calls that."""

    setup = forms.RegexField(
        r"^seti_[A-Za-z0-9_]{1,100}$",
        widget=forms.HiddenInput(attrs={"autocomplete": "off"}),
        error_messages={
            "required": "The card was not entered to the end. Enter it again.",
            "invalid": "The card was not entered to the end. Enter it again.",
        },
    )

    @property
    def reference(self) -> str:
        return str(self.cleaned_data["setup"])


class MethodForm(forms.Form):
    """One of the cards on file."""

    method = forms.ChoiceField(
        label="Payment method",
        widget=forms.RadioSelect(attrs={"class": "choices long"}),
        error_messages={
            "required": "Choose a payment method.",
            "invalid_choice": "This payment method is not on file any more. Choose another one.",
        },
    )

    def __init__(self, *args: Any, methods: Iterable[PaymentMethod], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["method"].choices = [  # type: ignore[attr-defined]
            (str(method.pk), method.described) for method in methods
        ]

    @property
    def method_id(self) -> UUID:
        return UUID(self.cleaned_data["method"])
