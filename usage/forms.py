"""The shape of what a person may ask of the usage page: which days."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from django import forms

from usage import rules
from usage.rules import Preset

EARLIEST: Final = date(2000, 1, 1)
MOST_DAYS: Final = 366
LONGEST_QUOTE: Final = 20


class RangeForm(forms.Form):
    """A range of days: one that has a name, or the days `from` and `to` that the address has.

    Once it is valid, `first` and `last` are the days to show.
    """

    first: date
    last: date

    def __init__(self, data: Mapping[str, Any], *, today: date) -> None:
        super().__init__(data, auto_id="days-%s")
        self._today = today
        # Not in the class: "from" is a word of Python's.
        self.fields["from"] = _DayField(label="From")
        self.fields["to"] = _DayField(label="To")
        self._name = data.get("range", "")
        if not self._name and not data.get("from") and not data.get("to"):
            self._name = str(Preset.MONTH)

    @property
    def preset(self) -> Preset | None:
        """The range with a name that is asked for; when nothing is asked, this month."""
        return next((preset for preset in Preset if preset == self._name), None)

    def clean(self) -> None:
        if self.preset:
            self.first, self.last = self.preset.first(self._today), self._today
            # Whatever the address says of days besides; the fields are to show what the page does.
            self.errors.clear()
            self.data = {"from": self.first, "to": self.last}
        elif self._name:
            self.add_error(
                None,
                f"{self._name[:LONGEST_QUOTE]} is not a range. "
                "Choose 7 days, 30 days, this month, or days of your own.",
            )
        elif not self.errors:
            self.first, self.last = self.cleaned_data["from"], self.cleaned_data["to"]
            self._check_range()

    def _check_range(self) -> None:
        days = (self.last - self.first).days + 1
        if self.first < EARLIEST:
            self.add_error(
                "from",
                f"{rules.day_label(self.first)} is too early. "
                f"Choose a day from {rules.day_label(EARLIEST)} on.",
            )
        # Tomorrow is allowed, as it is today for whoever shared the address from further east.
        elif self.last > self._today + timedelta(days=1):
            self.add_error("to", f"{rules.day_label(self.last)} has not begun yet.")
        elif days < 1:
            first, last = rules.day_label(self.first), rules.day_label(self.last)
            self.add_error("to", f"The last day, {last}, is before the first, {first}.")
        elif days > MOST_DAYS:
            self.add_error(
                "from", f"These are {days:,} days. One page shows at most {MOST_DAYS} of them."
            )


class _DayField(forms.DateField):
    """A day as browsers send it, whatever the language."""

    def __init__(self, *, label: str) -> None:
        super().__init__(
            label=label,
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            input_formats=["%Y-%m-%d"],
            error_messages={"required": "Choose a day."},
        )

    def to_python(self, value: Any) -> date | None:
        try:
            return super().to_python(value)
        except forms.ValidationError as error:
            raise forms.ValidationError(
                f"{str(value)[:LONGEST_QUOTE]} is not a day. Write days like 2026-11-21.",
                code="invalid",
            ) from error
