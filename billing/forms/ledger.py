"""Which movements to show."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from billing import services as billing
from billing.models import LedgerEntry


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
