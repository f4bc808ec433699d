"""Fields that several forms of accounts share, and how allauth's fields are put in our words."""

import re
import zoneinfo
from functools import cache
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import NAME_MAX_LENGTH, UNKNOWN_ZONE
from accounts.names import in_one_line

_WHOLE: Final = re.compile(r"[0-9]+|[0-9]{1,3}(,[0-9]{3})+")
# A sign, and what is finer than a cent, are refused with sentences of their own.
_AMOUNT: Final = re.compile(rf"-?({_WHOLE.pattern})(\.[0-9]+)?")
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
        return super().to_python(_plain(value, _WHOLE, str(self.error_messages["invalid"])))

    def prepare_value(self, value: Any) -> Any:
        return f"{value:,}" if isinstance(value, int) else value


class AmountField(forms.DecimalField):
    """An amount of US dollars, or nothing. It may be written as pages show it: 1,250.50."""

    def __init__(self, *, placeholder: str = "", **kwargs: Any) -> None:
        attrs = {"inputmode": "decimal", "autocomplete": "off", "placeholder": placeholder}
        super().__init__(
            required=False,
            decimal_places=2,
            widget=forms.TextInput({name: value for name, value in attrs.items() if value}),
            error_messages={"invalid": "Enter an amount like 25 or 1,250.50, or nothing."},
            **kwargs,
        )

    def to_python(self, value: Any) -> Any:
        return super().to_python(_plain(value, _AMOUNT, str(self.error_messages["invalid"])))


def _plain(value: Any, shape: re.Pattern[str], otherwise: str) -> Any:
    """Take a number's commas away if they stand where they belong.

    Who writes "1,5" or "1.000" may mean either of two numbers, one a thousand times the other.
    """
    text = value.strip() if isinstance(value, str) else value
    if not text or not isinstance(text, str):
        return text
    if not shape.fullmatch(text):
        raise ValidationError(otherwise, code="invalid")
    return text.replace(",", "")


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
