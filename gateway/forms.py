"""The shape of what people type on the gateway's pages."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from django import forms

from accounts.forms.fields import LimitField
from api_keys import services as api_keys


class IncreaseForm(forms.Form):
    """Higher limits of one model, and why. The hidden key makes a form sent twice one request."""

    model = forms.ChoiceField(
        label="Model",
        widget=forms.Select(attrs={"autofocus": True}),
        error_messages={
            "required": "Choose a model.",
            "invalid_choice": "This model is not on the price list any more.",
        },
    )
    requests_per_second = LimitField(label="Requests per second", most=api_keys.MOST_REQUESTS)
    tokens_per_minute = LimitField(label="Tokens per minute", most=api_keys.MOST_TOKENS)
    reason = forms.CharField(
        label="What for",
        max_length=1000,
        error_messages={"required": "Say what you need it for."},
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
