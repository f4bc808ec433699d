"""How events are put into words and tables. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# Read aloud: "Listed API keys", "Tried to list API keys".
PAST: Final = {"List": "Listed", "Get": "Viewed", "Export": "Exported"}
PRESENT: Final = {"List": "list", "Get": "view", "Export": "export"}


def sentence(operation: str, *, was_done: bool) -> str:
    """Put an operation into words: `ListApiKeys` becomes "Listed API keys".

    Only pages come here. A change says more than its name, so its service writes the sentence.
    """
    verb, *nouns = re.findall(r"[A-Z][a-z0-9]*|[^A-Z]+", operation) or [operation]
    thing = " ".join("API" if noun == "Api" else noun.lower() for noun in nouns)
    if was_done:
        words = f"{PAST.get(verb, f'Opened the page to {verb.lower()}')} {thing}"
    else:
        words = f"Tried to {PRESENT.get(verb, verb.lower())} {thing}"
    return words.strip()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of what an event touched, as the page shows it."""

    field: str
    before: str | int
    after: str | int
    is_money: bool

    @property
    def is_different(self) -> bool:
        return self.before != self.after


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[FieldChange]:
    """Set what was beside what is, the fields that differ first."""
    old, new = before or {}, after or {}
    fields = [_change(field, old.get(field), new.get(field)) for field in {**old, **new}]
    return sorted(fields, key=lambda change: not change.is_different)


def _change(field: str, before: object, after: object) -> FieldChange:
    # Only the page knows how to write money; a field's name says when it is some.
    is_money = field.endswith("_ticks") and {type(before), type(after)} <= {int, type(None)}
    return FieldChange(
        field=field.removesuffix("_ticks") if is_money else field,
        before=_value(before),
        after=_value(after),
        is_money=is_money,
    )


def _value(value: object) -> str | int:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | str():
            return value
        case list() if all(isinstance(item, str) for item in value):
            return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
