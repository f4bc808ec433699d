"""Which requests a page is asked for, as its address says it: `model=a&not_cluster=b`, pure."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from usage.rules.items import label_of
from usage.rules.questions import ITEMS, Dimension, Filter

# So many of one kind fit an address; whoever needs more wants the others left out.
MOST_VALUES: Final = 50
LONGEST_VALUE: Final = 120
LONGEST_QUOTE: Final = 40
NOT: Final = "not_"
# Stands in addresses for the empty cluster: that of requests that reached none.
NO_CLUSTER: Final = "(none)"


class FilterError(ValueError):
    """A filter in the address is not one; the text says which and why."""


class Query(Protocol):
    """What is asked of an address, such as Django's QueryDict."""

    def getlist(self, key: str, /) -> Sequence[str]: ...


class Field(StrEnum):
    """What requests can be filtered by. The values are what addresses carry."""

    API_KEY = "api_key"
    MODEL = "model"
    CLUSTER = "cluster"
    IP = "ip"
    TOKEN_TYPE = "token_type"  # noqa: S105 -- not a password

    @property
    def label(self) -> str:
        return {
            Field.API_KEY: "API key",
            Field.MODEL: "Model",
            Field.CLUSTER: "Cluster",
            Field.IP: "Request IP",
            Field.TOKEN_TYPE: "Token type",
        }[self]

    @property
    def dimension(self) -> Dimension | None:
        """What a store knows it as; a token type is a part of every request instead."""
        return None if self is Field.TOKEN_TYPE else Dimension(self.value)


@dataclass(frozen=True, slots=True)
class Choice:
    """Only requests for which the field is one of these texts, or `is_not`. Never empty.

    Texts are as stores have them, so the cluster of requests that reached none is "".
    """

    field: Field
    values: tuple[str, ...]
    is_not: bool = False

    @property
    def name(self) -> str:
        """The name that the address has for it."""
        return f"{NOT if self.is_not else ''}{self.field}"


@dataclass(frozen=True, slots=True)
class Filters:
    """All that has to be met, one choice at most per field and side."""

    choices: tuple[Choice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.choices)

    def of_store(self) -> tuple[Filter, ...]:
        """Say it as a question to a store does. Token types are not in it."""
        return tuple(
            Filter(choice.field.dimension, frozenset(choice.values), is_not=choice.is_not)
            for choice in self.choices
            if choice.field.dimension
        )

    def items(self) -> tuple[str, ...]:
        """Name the billing items that are counted, in the order of the price list."""
        left = set(ITEMS)
        for choice in self.choices:
            if choice.field is Field.TOKEN_TYPE:
                left &= set(ITEMS) - set(choice.values) if choice.is_not else set(choice.values)
        return tuple(item for item in ITEMS if item in left)

    def pairs(self) -> list[tuple[str, str]]:
        """Write it as the names and values of an address."""
        return [
            (choice.name, written(choice.field, value))
            for choice in self.choices
            for value in choice.values
        ]

    def without(self, field: Field, value: str, *, is_not: bool) -> "Filters":
        """Take one value away."""
        kept = []
        for choice in self.choices:
            values = choice.values
            if (choice.field, choice.is_not) == (field, is_not):
                values = tuple(one for one in values if one != value)
            if values:
                kept.append(Choice(choice.field, values, choice.is_not))
        return Filters(tuple(kept))

    def besides(self, field: Field) -> "Filters":
        """Leave out what is chosen of this field."""
        return Filters(tuple(choice for choice in self.choices if choice.field is not field))

    def only(self, field: Field, value: str) -> "Filters":
        """Leave of a field this value alone."""
        return Filters((*self.besides(field).choices, Choice(field, (value,))))


def read(query: Query) -> Filters:
    """Read filters out of an address. Raises FilterError with a sentence for whoever wrote it.

    A field `<name>_is` that says "not" turns the values of that name around: a form without script
    has it, as it cannot rename its fields.
    """
    choices = []
    for field in Field:
        values = {False: _values(query, field, field), True: _values(query, field, f"{NOT}{field}")}
        if query.getlist(f"{field}_is") == ["not"]:
            values = {False: (), True: _few(field, (*values[True], *values[False]))}
        choices += [Choice(field, found, is_not) for is_not, found in values.items() if found]
    filters = Filters(tuple(choices))
    if not filters.items():
        raise FilterError("No token type is left to show. Take one of the token type filters away.")
    return filters


def _values(query: Query, field: Field, name: str) -> tuple[str, ...]:
    # A field that was left empty asks for nothing.
    return _few(
        field, [_CHECKS[field](value.strip()) for value in query.getlist(name) if value.strip()]
    )


def _few(field: Field, found: Sequence[str]) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(found))
    if len(values) > MOST_VALUES:
        raise FilterError(
            f"These are {len(values):,} values of {field.label}. "
            f"At most {MOST_VALUES} can be chosen."
        )
    return values


def written(field: Field, value: str) -> str:
    """Write a value as addresses have it."""
    return NO_CLUSTER if field is Field.CLUSTER and not value else value


def _key_id(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise FilterError(f"{quoted(value)} is not the ID of an API key.") from None


def _ip(value: str) -> str:
    try:
        # A zone, as in fe80::1%eth0, means something on one machine only.
        address = ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        raise FilterError(f"{quoted(value)} is not an IP address.") from None
    # As requests have it: a socket that speaks both versions writes 1.2.3.4 as ::ffff:1.2.3.4.
    return str(getattr(address, "ipv4_mapped", None) or address)


def _item(value: str) -> str:
    if value not in ITEMS:
        known = ", ".join(label_of(item).lower() for item in ITEMS)
        raise FilterError(f"{quoted(value)} is not a token type. There are: {known}.")
    return value


def _text(value: str) -> str:
    if len(value) > LONGEST_VALUE or not value.isprintable():
        raise FilterError(f"{quoted(value)} is not a name that anything here can have.")
    return value


def _cluster(value: str) -> str:
    return "" if value == NO_CLUSTER else _text(value)


def quoted(value: str) -> str:
    """Say again what somebody wrote, as much of it as can be read."""
    shown = "".join(character for character in value if character.isprintable())
    return f"“{shown[:LONGEST_QUOTE]}{'…' if len(shown) > LONGEST_QUOTE else ''}”"


_CHECKS: Final[dict[Field, Callable[[str], str]]] = {
    Field.API_KEY: _key_id,
    Field.MODEL: _text,
    Field.CLUSTER: _cluster,
    Field.IP: _ip,
    Field.TOKEN_TYPE: _item,
}
