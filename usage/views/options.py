"""What a filter can be chosen from: searched here, as a team can have 10,000 addresses."""

from collections.abc import Sequence
from typing import Any, Final

from accounts.models import Team
from api_keys import services as api_keys
from usage import rules, stores
from usage.rules import ITEMS, Field, Group
from usage.rules.filters import written
from usage.services.naming import names, of_key

MOST_LISTED: Final = 50


def options(team: Team, field: Field, chosen: Sequence[str], *, words: str = "") -> dict[str, Any]:
    """Describe a list for `usage/_values.html`: what is chosen, then what has these words in it.

    `error` says that a store did not answer, if it did not.
    """
    context: dict[str, Any] = {}
    try:
        found = _found(team, field, words)
    except stores.StoreUnavailableError as error:
        context["error"], found = str(error), {}
    listed = {value: text for value, text in found.items() if value not in chosen}
    shown = _texts(team, field, chosen) | dict(list(listed.items())[:MOST_LISTED])
    return context | {
        "options": [
            {"value": written(field, value), "text": text, "is_chosen": value in chosen}
            for value, text in shown.items()
        ],
        "has_more": len(listed) > MOST_LISTED,
    }


def _found(team: Team, field: Field, words: str) -> dict[str, str]:
    """Find values, with what people call them. One more than is listed tells of more."""
    if field is Field.API_KEY:
        return {
            str(key.id): of_key(key).full
            for key in api_keys.search(team, words, limit=MOST_LISTED + 1)
        }
    if field.dimension is None:
        labels = {item: rules.label_of(item) for item in ITEMS}
        return {item: label for item, label in labels.items() if words.lower() in label.lower()}
    found = stores.current().values(team.pk, field.dimension, search=words, limit=MOST_LISTED + 1)
    return _texts(team, field, found)


def _texts(team: Team, field: Field, values: Sequence[str]) -> dict[str, str]:
    named = names(team, Group(field.value), values)
    return {value: name.full for value, name in named.items()}
