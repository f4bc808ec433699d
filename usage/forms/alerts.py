"""What an alert is to watch, and from which cost on it tells."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django import forms

from accounts.forms.fields import AmountField
from accounts.web import read_id
from api_keys.services import NamedKey
from billing import services as billing
from usage.models import UsageAlert
from usage.services import AlertTerms

Watched, Per = UsageAlert.Watched, UsageAlert.Per


class AlertForm(forms.Form):
    """An alert as `terms`, once it is valid. The hidden id makes two clicks one alert."""

    watched = forms.ChoiceField(
        label="Watch",
        required=False,
        # Short, to stand beside each other on a phone.
        choices=[(Watched.TEAM, "Team"), (Watched.API_KEY, "API key"), (Watched.MODEL, "Model")],
        error_messages={"invalid_choice": "Choose the team, a key or a model."},
        widget=forms.RadioSelect(attrs={"class": "segments"}),
    )
    key = forms.CharField(
        label="API key",
        required=False,
        max_length=120,
        help_text="Its name, or its ID where several have the same name.",
        widget=forms.TextInput(attrs={"list": "alert-keys", "autocomplete": "off"}),
    )
    model = forms.CharField(
        label="Model",
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"list": "alert-models", "autocomplete": "off"}),
    )
    limit = AmountField(label="Amount in US dollars")
    per = forms.ChoiceField(
        label="Per",
        choices=Per.choices,
        initial=Per.DAY,
        error_messages={"invalid_choice": "Choose hour or day.", "required": "Choose hour or day."},
        widget=forms.RadioSelect(attrs={"class": "segments"}),
    )
    to_admins = forms.BooleanField(
        label="Mail all admins of the team, too",
        required=False,
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
    )
    id = forms.CharField(widget=forms.HiddenInput, required=False, initial=uuid4)
    seen_at = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(
        self,
        *args: Any,
        keys: Mapping[UUID, NamedKey],
        alert: UsageAlert | None = None,
        **kwargs: Any,
    ) -> None:
        # Both dialogs of the page may be there at once.
        kwargs["auto_id"] = "id_edit_%s" if alert else "id_create_%s"
        super().__init__(*args, **kwargs)
        self._keys, self.alert = keys, alert
        self.fields["limit"].widget.attrs["autofocus"] = True
        if alert:
            self.initial = {
                "watched": alert.watched,
                "model": alert.value if alert.watched == Watched.MODEL else "",
                "key": self._key_text(alert),
                "limit": f"{billing.usd_from_ticks(alert.limit_ticks):.2f}",
                "per": alert.per,
                "to_admins": alert.to_admins,
                "id": alert.pk,
                "seen_at": alert.modified_at.isoformat(),
            }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        data["value"] = ""
        if data.get("watched") == Watched.API_KEY and "key" not in self.errors:
            data["value"] = self._key_id(data.get("key", "").strip())
        elif data.get("watched") == Watched.MODEL and "model" not in self.errors:
            data["value"] = data.get("model", "").strip()
            if not data["value"]:
                self.add_error("model", "Enter a model.")
        return data

    @property
    def alert_id(self) -> UUID:
        """Which alert it sets. A form whose id was mangled is another form."""
        return read_id(self.cleaned_data["id"]) or uuid4()

    @property
    def was_seen_at(self) -> datetime:
        """When the alert had been changed last, by what the form was opened with."""
        try:
            return datetime.fromisoformat(self.cleaned_data["seen_at"])
        except ValueError:
            return datetime.min.replace(tzinfo=UTC)

    @property
    def terms(self) -> AlertTerms:
        data = self.cleaned_data
        return AlertTerms(
            watched=data["watched"],
            value=data["value"],
            per=data["per"],
            limit_ticks=billing.ticks_from_usd(data["limit"]),
            to_admins=data["to_admins"],
        )

    def _key_id(self, text: str) -> str:
        """Find the key that is named, by its id or its name."""
        if not text:
            self.add_error("key", "Enter an API key.")
            return ""
        found = [key for key in self._keys.values() if str(key.id) == text.lower()]
        found = found or [
            key for key in self._keys.values() if key.name == text and not key.is_deleted
        ]
        # The one that is watched already, although another has its name.
        if self.alert and text == self._key_text(self.alert):
            return self.alert.value
        if len(found) > 1:
            self.add_error("key", f"{len(found)} keys are called “{text}”. Enter the ID of one.")
        elif not found:
            self.add_error("key", f"No key of this team is called “{text}”.")
        return str(found[0].id) if len(found) == 1 else ""

    def _key_text(self, alert: UsageAlert) -> str:
        """Write a watched key as the field takes it: by its name, if no other key has it."""
        if alert.watched != Watched.API_KEY:
            return ""
        key = self._keys.get(UUID(alert.value))
        if key is None:
            return alert.value
        same = [one for one in self._keys.values() if one.name == key.name]
        return key.name if len(same) == 1 else alert.value
