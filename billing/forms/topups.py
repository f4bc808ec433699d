"""When to buy credits without being asked."""

from decimal import Decimal
from typing import Any

from django import forms

from accounts.forms.fields import AmountField
from billing import services as billing
from billing.rules import usd_cents


class TopUpForm(forms.Form):
    """A rule's three amounts, as `terms` once they are valid."""

    trigger = AmountField(label="When prepaid credits fall below, US dollars")
    amount = AmountField(label="Buy, US dollars of credits")
    month_max = AmountField(
        label="At most per calendar month, US dollars of credits",
        help_text="In UTC. What is bought by hand does not count.",
    )

    def __init__(self, *args: Any, top_up: billing.TopUpStanding | None, **kwargs: Any) -> None:
        # The form of the page's other dialog has an amount, too.
        kwargs["auto_id"] = "id_top_up_%s"
        super().__init__(*args, **kwargs)
        least, most = billing.top_up_bounds()
        for name, field in self.fields.items():
            if top_up:
                field.initial = f"{Decimal(getattr(top_up.rule, f'{name}_cents')) / 100:.2f}"
        self.fields["trigger"].widget.attrs["autofocus"] = True
        self.fields["amount"].help_text = f"From {usd_cents(least)} to {usd_cents(most)}."

    @property
    def terms(self) -> billing.TopUpTerms:
        cents = {f"{name}_cents": int(amount * 100) for name, amount in self.cleaned_data.items()}
        return billing.TopUpTerms(**cents)
