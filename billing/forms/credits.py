"""How much to buy, and what a promo code gives."""

from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from django import forms
from django.conf import settings

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
