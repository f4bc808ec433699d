"""The shape of what people type on the gateway's pages."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid4

from django import forms

MOST_REQUESTS: Final = 1_000_000
MOST_TOKENS: Final = 1_000_000_000_000


class WholeNumber(forms.IntegerField):
    """A number that may be written as it is shown: 60,000,000."""

    widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        wrong = {
            "invalid": "Write a whole number.",
            "min_value": "Write a number above 0.",
            "max_value": f"This can be up to {most:,}.",
        }
        super().__init__(
            required=False, min_value=1, max_value=most, error_messages=wrong, **kwargs
        )

    def to_python(self, value: Any) -> int | None:
        return super().to_python(value.replace(",", "") if isinstance(value, str) else value)


class IncreaseForm(forms.Form):
    """Higher limits of one model, and why. The hidden key makes a form sent twice one request."""

    model = forms.ChoiceField(
        label="Model",
        widget=forms.Select(attrs={"autofocus": True}),
        error_messages={"invalid_choice": "This model is not on the price list any more."},
    )
    requests_per_second = WholeNumber(label="Requests per second", most=MOST_REQUESTS)
    tokens_per_minute = WholeNumber(label="Tokens per minute", most=MOST_TOKENS)
    reason = forms.CharField(
        label="What for",
        max_length=1000,
        help_text="What runs, since when or from when, and how its use will grow.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, *args: Any, models: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = self.fields["model"]
        model.choices = [(name, name) for name in models]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        asked = {"requests_per_second", "tokens_per_minute"}
        if not asked & self.errors.keys() and not any(data.get(name) for name in asked):
            self.add_error("requests_per_second", "Write at least one of the two numbers.")
        return data

    @property
    def key(self) -> UUID:
        return UUID(str(self.cleaned_data["idempotency_key"]))
