"""The filters of the explorer and of the request log: what is chosen, and where to choose more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.models import Team
from usage import services as usage
from usage.rules import Field, Filters
from usage.rules.filters import written
from usage.views.options import options


@dataclass(frozen=True, slots=True)
class Chip:
    """A value that is chosen, in words, and the address of the page without it."""

    text: str
    address: str


def filtering(
    team: Team, filters: Filters, address: Callable[[Filters], str], *, listed: str = ""
) -> dict[str, Any]:
    """Describe the filters for `usage/_filters.html`. `address` leads to the page with others.

    The values of the `listed` field are there at once, for a browser that cannot ask for them.
    """
    [told] = usage.narrowings(team, filters)
    return {
        "chips": [
            Chip(
                one.words,
                address(
                    filters.without(one.choice.field, one.value, is_not=one.choice.is_not),
                ),
            )
            for one in told
        ],
        "panels": [
            _panel(field, filters, told)
            | {"list": f"{address(filters)}&list={field}", "is_listed": field == listed}
            | (_listed(team, field, told) if field == listed else {})
            for field in Field
        ],
        "is_listed": listed in list(Field),
        "unfiltered": address(Filters()),
    }


def _panel(field: Field, filters: Filters, told: Sequence[usage.Narrowing]) -> dict[str, Any]:
    """Describe a field's part of the panel, with what is chosen already."""
    sides = [choice for choice in filters.choices if choice.field is field]
    chosen = sides[0] if sides else None
    return {
        "field": field,
        "is_not": bool(chosen and chosen.is_not),
        "options": [
            {"value": written(field, one.value), "text": one.name, "is_chosen": True}
            for one in told
            if one.choice is chosen
        ],
        # Both "is" and "is not" of a field is possible in an address, and is kept.
        "kept": [
            (other.name, written(field, value)) for other in sides[1:] for value in other.values
        ],
        "count": sum(len(side.values) for side in sides),
    }


def _listed(team: Team, field: Field, told: Sequence[usage.Narrowing]) -> dict[str, Any]:
    """Fill a field's part with what can be chosen, what is chosen first."""
    sides = [one for one in told if one.choice.field is field]
    return options(team, field, [one.value for one in sides if one.choice is sides[0].choice])
