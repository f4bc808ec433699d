"""Fields that several forms of accounts share, and how allauth's fields are put in our words."""

import re
import zoneinfo
from decimal import Decimal
from functools import cache
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import NAME_MAX_LENGTH, UNKNOWN_ZONE
from accounts.names import in_one_line

_WHOLE: Final = re.compile(r"[0-9]+|[0-9]{1,3}(,[0-9]{3})+")
# As pages write it. A sign, and what is finer than a cent, are refused with sentences of their own.
_AMOUNT: Final = re.compile(
    r"(?P<sign>[-\N{MINUS SIGN}]?)\$?" + rf"(?P<usd>({_WHOLE.pattern})(\.[0-9]+)?)"
)
# Nobody means more than ten billion dollars, and no column holds many times that.
_MOST_USD: Final = 10**10
# So much of what somebody typed is said again.
_SAID: Final = 30
PASSWORD_HINT: Final = "At least 10 characters, and nothing that is easy to guess."  # noqa: S105


class NameField(forms.CharField):
    """What a person or a team is called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=NAME_MAX_LENGTH, **kwargs)

    def to_python(self, value: Any) -> str:
        return in_one_line(super().to_python(value) or "")

    def validate(self, value: Any) -> None:
        super().validate(value)
        if not value.isprintable():
            raise ValidationError("A name cannot contain invisible characters.")


class LimitField(forms.IntegerField):
    """A limit, or nothing. It may be written as pages show it: 60,000,000."""

    def __init__(self, *, most: int, placeholder: str = "", **kwargs: Any) -> None:
        sentence = f"Enter a whole number from 1 to {most:,}, or nothing."
        attrs = {"inputmode": "numeric", "autocomplete": "off", "placeholder": placeholder}
        super().__init__(
            required=False,
            min_value=1,
            max_value=most,
            widget=forms.TextInput({name: value for name, value in attrs.items() if value}),
            error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), sentence),
            **kwargs,
        )

    def to_python(self, value: Any) -> int | None:
        text = value.strip() if isinstance(value, str) else value
        if text and isinstance(text, str):
            # Who writes "1,5" or "1.000" may mean either of two numbers, one a thousand times the
            # other.
            if not _WHOLE.fullmatch(text):
                raise ValidationError(str(self.error_messages["invalid"]), code="invalid")
            text = text.replace(",", "")
        return super().to_python(text)

    def prepare_value(self, value: Any) -> Any:
        return f"{value:,}" if isinstance(value, int) else value


class AmountField(forms.Field):
    """An amount of US dollars. It may be written as pages show it: $1,250.50."""

    def __init__(self, *, placeholder: str = "", **kwargs: Any) -> None:
        attrs = {"inputmode": "decimal", "autocomplete": "off", "placeholder": placeholder}
        super().__init__(
            widget=forms.TextInput({name: value for name, value in attrs.items() if value}),
            error_messages={"required": "Enter an amount like 25 or 1,250.50."},
            **kwargs,
        )

    def to_python(self, value: Any) -> Decimal | None:
        typed = str(value or "").strip()
        if not typed:
            return None
        said = typed if len(typed) <= _SAID else f"{typed[:_SAID]}…"
        written = _AMOUNT.fullmatch(typed)
        if not written:
            raise ValidationError(f"“{said}” is not an amount. Enter one like 25 or 1,250.50.")
        amount = Decimal(written["usd"].replace(",", ""))
        if written["sign"] and amount:
            raise ValidationError(f"{said} is less than $0.00.")
        if amount > _MOST_USD:
            raise ValidationError(f"{said} is too much.")
        if amount != round(amount, 2):
            raise ValidationError(f"{said} is finer than a cent.")
        return amount


class ZoneField(forms.CharField):
    """The time zone that the browser names, put in by console.js; "UTC" for any other text."""

    widget = forms.HiddenInput(attrs={"data-timezone": True})

    def __init__(self) -> None:
        super().__init__(required=False)

    def clean(self, value: Any) -> str:
        return str(value) if value in zones() else UNKNOWN_ZONE


@cache
def zones() -> set[str]:
    return zoneinfo.available_timezones()


def dress(field: forms.Field, label: str, *, hint: str = "", **attrs: str | bool) -> None:
    """Put allauth's field into our words: a label above and a hint below, no placeholder."""
    field.label, field.help_text = label, hint
    field.widget.attrs.pop("placeholder", None)
    field.widget.attrs.update(attrs)
