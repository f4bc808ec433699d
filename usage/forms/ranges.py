"""Which range of time, and by whose clock."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms

from accounts.forms.fields import zones
from usage import rules
from usage.rules import Filters, Preset, Range
from usage.rules.filters import quoted

EARLIEST: Final = date(2000, 1, 1)
# In the list of zones of this machine, but no zones of the world.
NO_ZONES: Final = frozenset({"localtime", "Factory"})


class RangeForm(forms.Form):
    """A range that has a name, or the days or moments `from` and `to`; and a time zone, `tz`.

    Days are whole and both in the range; of moments, like 2026-11-01T13:15, the last is where it
    ends. Once it is valid, `range` is what to show.
    """

    range: Range
    filters: Filters  # Read by whichever form has more to ask.

    def __init__(self, data: Mapping[str, Any], *, zone: ZoneInfo, now: datetime) -> None:
        # One value of each name: `data` may be an address, which can have several.
        super().__init__(dict(data.items()), auto_id="range-%s")
        self.zone, self._now = zone, now
        self.fields["tz"] = forms.CharField(label="Time zone", required=False)
        # Not in the class: "from" is a word of Python's.
        self.fields["from"] = _MomentField(label="From")
        self.fields["to"] = _MomentField(label="To")
        self._name = data.get("range", "")
        if not self._name and not data.get("from") and not data.get("to"):
            self._name = str(Preset.MONTH)
        name, _, days = data.get("held", "").partition(" ")
        if not self._name and days == f"{data.get('from')} {data.get('to')}":
            self._name = name

    @property
    def preset(self) -> Preset | None:
        """The range with a name that is asked for; when nothing is asked, this month."""
        return next((preset for preset in Preset if preset == self._name), None)

    @property
    def held(self) -> str:
        """What the form sends besides the days of a range that has a name.

        As long as nobody changes these, it is still that range, and goes with the clock.
        """
        if not self.preset or set(self.errors) - {"tz"}:
            return ""
        return f"{self.preset} {self.range.first} {self.range.last}"

    @property
    def shared_query(self) -> str:
        """Write what the explorer and the request log have in common: range, zone and filters."""
        if self.errors:
            return ""
        return urlencode([*self.range.pairs(), ("tz", self.zone.key), *self.filters.pairs()])

    def clean_tz(self) -> str:
        # As people type it: any case, and a space where the name has a line.
        wanted = self.cleaned_data["tz"].strip().replace(" ", "_").lower()
        if wanted:
            found = next((name for name in zones() - NO_ZONES if name.lower() == wanted), None)
            if found is None:
                raise forms.ValidationError(
                    f"{quoted(self.cleaned_data['tz'])} is not a time zone. "
                    "Choose one of the list, such as Europe/Berlin."
                )
            self.zone = ZoneInfo(found)
        return self.zone.key

    def clean(self) -> None:
        if self._name:
            # Whatever the address says of days besides.
            for name in {"from", "to"} & set(self.errors):
                del self.errors[name]
        if self.preset:
            # Beside a zone that is none, its days are those of one's own.
            if not set(self.errors) - {"tz"}:
                self.range = Range.of_preset(self.preset, self.zone, self._now)
                self._show_range()
        elif self._name:
            self.add_error(
                None,
                f"{quoted(self._name)} is not a range. Choose one of the list, "
                "or days of your own.",
            )
        elif not self.errors:
            self._read_range(self.cleaned_data["from"], self.cleaned_data["to"])

    def _show_range(self) -> None:
        """Let the fields show what the page does."""
        self.data = {**self.data, "from": self.range.first, "to": self.range.last}
        if "tz" not in self.errors:
            self.data["tz"] = self.zone.key

    def _read_range(self, begin: date, end: date) -> None:
        first = begin.date() if isinstance(begin, datetime) else begin
        last = end.date() if isinstance(end, datetime) else end
        days = (last - first).days + 1
        # Before anything is computed: the calendar ends, and so do the rules of zones.
        if first < EARLIEST:
            self.add_error(
                "from",
                f"{rules.day_label(first)} is too early. "
                f"Choose a day from {rules.day_label(EARLIEST)} on.",
            )
        # Tomorrow is allowed, as it is today for whoever shared the address from further east.
        elif last > self._now.astimezone(self.zone).date() + timedelta(days=1):
            self.add_error("to", f"{rules.day_label(last)} has not begun yet.")
        elif days < 1:
            first_label, last_label = rules.day_label(first), rules.day_label(last)
            self.add_error("to", f"The last day, {last_label}, is before the first, {first_label}.")
        elif days > rules.MOST_DAYS:
            self.add_error(
                "from",
                f"These are {days:,} days. One page shows at most {rules.MOST_DAYS:,} of them.",
            )
        else:
            range_ = Range.of_moments(begin, end, self.zone)
            if range_.begin >= range_.end:
                self.add_error("to", "This is not after the time at which the range begins.")
            else:
                self.range = range_
                self.data = {**self.data, "tz": self.zone.key}


class _MomentField(forms.Field):
    """A day as browsers send it, whatever the language, or a time of day on a quarter-hour."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def __init__(self, *, label: str) -> None:
        super().__init__(label=label, error_messages={"required": "Choose a day."})

    def to_python(self, value: Any) -> date | None:
        if not value:
            return None
        try:
            return (
                date.fromisoformat(str(value))
                if len(str(value)) <= len("2026-11-21")
                else _moment(str(value))
            )
        except ValueError as error:
            raise forms.ValidationError(
                f"{quoted(str(value))} is not a day. Write days like 2026-11-21, "
                "and times of day like 2026-11-21T13:15.",
                code="invalid",
            ) from error

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        bound = super().get_bound_field(form, field_name)
        if "T" in str(form.data.get(field_name, "")):
            bound.field.widget = forms.TextInput(attrs={"type": "datetime-local", "step": 900})
        return bound


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    # An offset can be any number of seconds, so the one thing that counts is the time in UTC.
    if moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() % 900:
        raise ValueError("A range is made of quarter-hours.")
    return moment
