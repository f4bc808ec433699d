"""Shapes of input. Forms check form; services check meaning."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.utils import dateformat
from django.utils.html import format_html

from accounts.forms.fields import AmountField, LimitField
from accounts.models import User
from api_keys import rules, secrets
from api_keys.models import ApiKey
from api_keys.services import ORDERS, KeyQuery

NEVER: Final = ""
OWN_DATE: Final = "date"
IN_DAYS: Final = (7, 30, 90, 365)
LATEST: Final = date(2999, 12, 31)
ALL: Final = "all"
SOME: Final = "some"
ALL_OR_SOME: Final = ((ALL, "All"), (SOME, "Only these"))
# The list has no deleted keys.
LISTED: Final = [
    (status.value, status.label) for status in ApiKey.Status if status != ApiKey.Status.DELETED
]
LONGEST_SEARCH: Final = 100
LONGEST_QUOTE: Final = 20
# Enough for as many networks as a key may have, each in its longest spelling.
LONGEST_NETWORKS: Final = 10_000


def _limit(label: str, *, most: int) -> LimitField:
    return LimitField(label=label, most=most, placeholder="Team's")


class TermsForm(forms.Form):
    """What a key is called and what it may be used for, as `terms` once it is valid."""

    name = forms.CharField(
        label="Name",
        # The rules say it better than the field would.
        required=False,
        strip=False,
        help_text="Shown in usage and in the audit log.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True, "required": True}),
    )
    expires = forms.ChoiceField(label="Expires", required=False)
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        help_text="It works to the end of this day.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write a day like 2027-02-19."},
    )
    endpoints = forms.ChoiceField(
        label="Endpoints",
        required=False,
        choices=ALL_OR_SOME,
        initial=ALL,
        widget=forms.RadioSelect(attrs={"class": "segments"}),
    )
    endpoint_names = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple(attrs={"class": "choices"})
    )
    models = forms.ChoiceField(
        label="Models",
        required=False,
        choices=ALL_OR_SOME,
        initial=ALL,
        widget=forms.RadioSelect(attrs={"class": "segments"}),
    )
    model_names = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple(attrs={"class": "choices"})
    )
    requests_per_second = _limit("Requests per second", most=rules.MOST_REQUESTS)
    requests_per_minute = _limit("Requests per minute", most=rules.MOST_REQUESTS)
    tokens_per_minute = _limit("Tokens per minute", most=rules.MOST_TOKENS)
    networks = forms.CharField(
        label="Allowed addresses",
        required=False,
        max_length=LONGEST_NETWORKS,
        help_text="IP addresses and ranges, such as 203.0.113.0/24. With none, from anywhere.",
        widget=forms.Textarea(attrs={"class": "mono", "rows": 2, "autocomplete": "off"}),
    )
    monthly_cap = AmountField(
        label="Monthly spending cap, US dollars",
        required=False,
        help_text="Per calendar month in UTC. With none, the team's credits and limit alone count.",
        placeholder="None",
    )

    # The field in which each term was written.
    FIELDS: Final = {
        "acls": "endpoints",
        "expires_at": "expires",
        "monthly_cap_ticks": "monthly_cap",
        "networks": "networks",
    }

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        models: Sequence[str],
        user: User,
        now: datetime,
        key: ApiKey | None = None,
        auto_id: str = "id_%s",
    ) -> None:
        self._key, self._now, self._zone = key, now, user.zone
        initial = _initial(rules.Terms.of(key) if key else rules.EVERYTHING, zone=user.zone)
        if key:
            initial |= {"name": key.name, "seen_at": key.modified_at.isoformat()}
        super().__init__(data, initial=initial, auto_id=auto_id)
        today = now.astimezone(user.zone).date()
        self._choose("expires", _expiries(today))
        # What the key names already can be kept, also when it is not offered any more.
        endpoints = {n: n for n in initial["endpoint_names"]} | rules.ENDPOINTS
        self._choose("endpoint_names", [(name, endpoints[name]) for name in endpoints])
        named = sorted({*models, *initial["model_names"]})
        self._choose("model_names", [(name, name) for name in named])

    def _choose(self, field: str, choices: list[tuple[str, str]]) -> None:
        self.fields[field].choices = choices  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        try:
            return rules.tidy_name(self.cleaned_data["name"])
        except rules.KeyNameError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_networks(self) -> tuple[str, ...]:
        try:
            return rules.networks_of(self.cleaned_data["networks"])
        except rules.TermsError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        expires_at = None if self.errors else self._expires_at(data)
        if self.errors:
            return data
        self.terms = rules.Terms(
            acls=(
                *_acls(rules.ENDPOINT_ACL, data["endpoints"], data["endpoint_names"]),
                *_acls(rules.MODEL_ACL, data["models"], data["model_names"]),
            ),
            expires_at=expires_at,
            requests_per_second=data["requests_per_second"],
            requests_per_minute=data["requests_per_minute"],
            tokens_per_minute=data["tokens_per_minute"],
            networks=data["networks"],
            monthly_cap_ticks=_ticks(data["monthly_cap"]),
        )
        try:
            rules.check_terms(self.terms)
        except rules.TermsError as error:
            self.refuse(error)
        return data

    def refuse(self, error: rules.TermsError) -> None:
        """Show what is wrong with the terms at the field that it was written in."""
        field = self.FIELDS.get(error.field, error.field)
        self.add_error(field if field in self.fields else NON_FIELD_ERRORS, str(error))

    def _expires_at(self, data: dict[str, Any]) -> datetime | None:
        if data["expires"] == NEVER:
            return None
        if data["expires"] != OWN_DATE:
            return self._now + timedelta(days=int(data["expires"]))
        day = data["expires_on"]
        was = self._key.expires_at if self._key else None
        if day is None:
            self.add_error("expires_on", "Choose a day.")
        elif was and day == was.astimezone(self._zone).date():
            return was  # To the second, as it was.
        elif day < self._now.astimezone(self._zone).date():
            self.add_error("expires_on", "This day is over. Choose today or a later one.")
        elif day > LATEST:
            self.add_error("expires_on", f"Choose a day up to {_written(LATEST)}, or Never.")
        else:
            # Within the day, so that pages show the day that was chosen.
            return datetime.combine(day, time(23, 59, 59), self._zone)
        return None

    @property
    def asks_for_more(self) -> bool:
        """Whether the folded part of the form says anything, or what is wrong stands there."""
        folded = (*_LIMITS, "networks", "monthly_cap")
        return any(self[field].value() or self[field].errors for field in folded)


_LIMITS: Final = ("requests_per_second", "requests_per_minute", "tokens_per_minute")


class CreateForm(TermsForm):
    """Makes a key. It carries the key's id, so that a double click cannot make two."""

    key_id = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)


class EditForm(TermsForm):
    """Changes a key. It carries what the key was like, so that it overwrites nobody's change."""

    seen_at = forms.DateTimeField(widget=forms.HiddenInput)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        key: ApiKey,
        models: Sequence[str],
        user: User,
        now: datetime,
    ) -> None:
        super().__init__(data, models=models, user=user, now=now, key=key, auto_id="edit_%s")
        self.key = key
        until = key.expires_at.astimezone(user.zone) if key.expires_at else None
        if until and (until.hour, until.minute) != (23, 59):
            day = _written(until.date())
            words = f"On {day} it works until {until:%H:%M}, on another day to its end."
            self.fields["expires_on"].help_text = words


class RotateForm(forms.Form):
    """Gives a key a new secret, once: it carries how many the key has had."""

    grace = forms.TypedChoiceField(
        label="The old secret works on",
        coerce=int,
        initial=rules.GRACE_DEFAULT // timedelta(hours=1),
        help_text="As long as your programs need to get the new one.",
        widget=forms.Select(attrs={"autofocus": True}),
    )
    rotation = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, key: ApiKey, rotation: int | None = None
    ) -> None:
        super().__init__(data, initial={"rotation": rotation}, auto_id="rotate_%s")
        self.key = key
        self.fields["grace"].choices = [  # type: ignore[attr-defined]
            (grace // timedelta(hours=1), f"for {rules.span(grace)}" if grace else "not at all")
            for grace in rules.GRACES
        ]

    @property
    def length(self) -> timedelta:
        return timedelta(hours=self.cleaned_data["grace"])


class DeleteForm(forms.Form):
    """Deletes a key, for someone who has typed its name."""

    confirm = forms.CharField(
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autofocus": True, "required": True, "class": "mono"}
        ),
    )

    def __init__(self, *args: Any, key: ApiKey, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key = key
        self.fields["confirm"].label = format_html("Type <code>{}</code> to confirm", key.name)

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed != self.key.name:
            raise forms.ValidationError(
                f"“{typed}” is not the key's name." if typed else "Type the key's name."
            )
        return typed


class ListForm(forms.Form):
    """Which keys to list. What makes no sense in an address is left out, not refused."""

    q = forms.CharField(required=False)
    status = forms.ChoiceField(required=False, choices=[("", "Any"), *LISTED])
    owner = forms.UUIDField(required=False)
    sort = forms.ChoiceField(required=False)

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.fields["sort"].choices = [  # type: ignore[attr-defined]
            (sign + order, order) for order in ORDERS for sign in ("", "-")
        ]
        self.full_clean()

    def clean_q(self) -> str:
        # Whoever pastes a whole secret means its end; the rest is not for addresses and pages.
        return secrets.hide(self.cleaned_data["q"])[:LONGEST_SEARCH].strip()

    @property
    def wanted(self) -> KeyQuery:
        data = self.cleaned_data
        return KeyQuery(
            words=data.get("q") or "",
            status=ApiKey.Status(data["status"]) if data.get("status") else None,
            owner_id=data.get("owner"),
            **({"order": data["sort"]} if data.get("sort") else {}),
        )

    @property
    def query(self) -> dict[str, str]:
        """What the address says of this, as addresses of the same list have to."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


def _initial(terms: rules.Terms, *, zone: Any) -> dict[str, Any]:
    endpoints = rules.acl_names(terms.acls, rules.ENDPOINT_ACL)
    models = rules.acl_names(terms.acls, rules.MODEL_ACL)
    expires_at, cap = terms.expires_at, terms.monthly_cap_ticks
    return {
        "expires": OWN_DATE if expires_at else NEVER,
        "expires_on": expires_at.astimezone(zone).date() if expires_at else None,
        "endpoints": ALL if endpoints == [rules.EVERY] else SOME,
        "endpoint_names": [name for name in endpoints if name != rules.EVERY],
        "models": ALL if models == [rules.EVERY] else SOME,
        "model_names": [name for name in models if name != rules.EVERY],
        **{limit: getattr(terms, limit) for limit in _LIMITS},
        "networks": rules.written(terms.networks),
        "monthly_cap": None if cap is None else f"{Decimal(cap) / rules.TICKS_PER_USD:.2f}",
    }


def _expiries(today: date) -> list[tuple[str, str]]:
    in_days = [
        (str(days), f"In {days} days, {_written(today + timedelta(days=days))}") for days in IN_DAYS
    ]
    return [(NEVER, "Never"), *in_days, (OWN_DATE, "On a day of your choice")]


def _written(day: date) -> str:
    return dateformat.format(day, "j M Y")


def _acls(prefix: str, which: str, names: Sequence[str]) -> list[str]:
    return (
        [prefix + rules.EVERY] if which == ALL else [prefix + name for name in dict.fromkeys(names)]
    )


def _ticks(usd: Decimal | None) -> int | None:
    return None if usd is None else int(usd * rules.TICKS_PER_USD)
