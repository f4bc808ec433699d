"""What may be invoiced, and when somebody is told."""

import re
from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.forms.fields import AmountField
from billing import services as billing
from billing.rules import ticks_from_usd, usd, usd_from_ticks


class SpendingLimitForm(forms.Form):
    """What may be invoiced per month."""

    limit = AmountField(label="US dollars per calendar month")

    def __init__(self, *args: Any, standing: billing.Balance, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.fields["limit"]
        limit.widget.attrs["autofocus"] = True
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
