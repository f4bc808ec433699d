"""How much to buy and how to pay for it, and what a promo code gives."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from django import forms
from django.conf import settings

from accounts.forms.fields import AmountField
from billing import services as billing
from billing.models import PaymentMethod
from billing.rules import tax_cents

PRESETS: Final = (25, 100, 250, 500)
OTHER: Final = ""
CARD: Final = "card"
TRANSFER: Final = "transfer"


@dataclass(frozen=True, slots=True)
class Price:
    """What a preset costs."""

    preset: int

    @property
    def credits_cents(self) -> int:
        return self.preset * 100

    @property
    def tax_cents(self) -> int:
        return tax_cents(self.credits_cents, settings.TAX_PERCENT)

    @property
    def total_cents(self) -> int:
        return self.credits_cents + self.tax_cents


class Segments(forms.RadioSelect):
    """A few choices drawn as one control. A dialog that opens puts the focus on the chosen one."""

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(*args, **kwargs)
        if option["selected"]:
            option["attrs"]["autofocus"] = True
        return option


class BuyForm(forms.Form):
    """How much to buy, and how to pay. The hidden key makes a form that is sent twice one purchase.

    A card that is entered comes first: it needs nothing on file.
    """

    preset = forms.ChoiceField(
        label="Amount",
        required=False,
        initial="25",
        widget=Segments(attrs={"class": "segments"}),
        error_messages={"invalid_choice": "This amount is not offered any more. Choose another."},
    )
    amount = AmountField(label="Other amount, US dollars", required=False)
    pay_with = forms.ChoiceField(
        label="Pay with",
        required=False,
        error_messages={"invalid_choice": "This way to pay is not there any more. Choose another."},
    )
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, *args: Any, methods: Iterable[PaymentMethod], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        least, most = settings.PURCHASE_MIN_USD, settings.PURCHASE_MAX_USD
        presets = [preset for preset in PRESETS if least <= preset <= most]
        self._choose("preset", [*((str(each), f"${each}") for each in presets), (OTHER, "Other")])
        self.fields["amount"].help_text = f"From ${least:,}.00 to ${most:,}.00."
        ways = [(CARD, "Guest checkout: enter a card")]
        ways += [(str(method.pk), method.described) for method in methods]
        remarks = ["A card that is entered is kept on file for the team once it has paid."]
        if billing.offers_transfers():
            ways.append((TRANSFER, "Bank transfer"))
            remarks.append("A bank transfer takes 2 to 3 business days; credits come when it does.")
        self._choose("pay_with", ways)
        self.fields["pay_with"].help_text = " ".join(remarks)
        self.prices = [Price(preset) for preset in presets] if settings.TAX_PERCENT else []

    def _choose(self, field: str, choices: list[tuple[str, str]]) -> None:
        self.fields[field].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("preset"):
            # What was typed before that is not shown any more.
            self.errors.pop("amount", None)
            data["amount"] = Decimal(data["preset"])
        if data.get("amount") is not None:
            data["cents"] = int(data["amount"] * 100)
        elif not self.errors:
            self.add_error("amount", self.fields["amount"].error_messages["required"])
        return data

    @property
    def cents(self) -> int:
        return int(self.cleaned_data["cents"])

    @property
    def is_transfer(self) -> bool:
        return bool(self.cleaned_data["pay_with"] == TRANSFER)

    @property
    def method_id(self) -> str:
        """Name the card on file that was chosen, if it was one."""
        chosen = self.cleaned_data["pay_with"]
        return "" if chosen in {"", CARD, TRANSFER} else str(chosen)

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
