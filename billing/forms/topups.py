"""When to buy credits without being asked."""

from decimal import Decimal
from typing import Any

from django import forms

from accounts.forms.fields import AmountField
from billing import services as billing
from billing.rules import TICKS_PER_CENT, usd


class TopUpForm(forms.Form):
    """A rule's three amounts, as `terms` once they are valid."""

    trigger = AmountField(label="When prepaid credits fall below, US dollars", max_digits=9)
    amount = AmountField(label="Buy, US dollars of credits", max_digits=9)
    month_max = AmountField(
        label="At most per calendar month, US dollars of credits",
        max_digits=9,
        help_text="In UTC. What is bought by hand does not count.",
    )

    def __init__(self, *args: Any, top_up: billing.TopUpStanding | None, **kwargs: Any) -> None:
        # The form of the page's other dialog has an amount, too.
        kwargs["auto_id"] = "id_top_up_%s"
        super().__init__(*args, **kwargs)
        least, most = billing.top_up_bounds()
        for name in ("trigger", "amount", "month_max"):
            field = self.fields[name]
            field.required = True
            sentence = "Enter an amount like 25 or 1,250.50."
            field.error_messages |= {"required": sentence, "invalid": sentence}
            if top_up:
                field.initial = f"{Decimal(getattr(top_up.rule, f'{name}_cents')) / 100:.2f}"
        self.fields["trigger"].widget.attrs["autofocus"] = True
        self.fields["amount"].help_text = f"From {_usd(least)} to {_usd(most)}."

    @property
    def terms(self) -> billing.TopUpTerms:
        cents = {f"{name}_cents": int(amount * 100) for name, amount in self.cleaned_data.items()}
        return billing.TopUpTerms(**cents)


def _usd(cents: int) -> str:
    return usd(cents * TICKS_PER_CENT)
