"""What the explorer is asked to show, and how an address says it, pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final
from urllib.parse import urlencode

from usage.rules.filters import Filters
from usage.rules.questions import ITEMS, Dimension, Sums
from usage.rules.ranges import Granularity, Range

BY_PERIOD: Final = "periods"
NO_FILTERS: Final = Filters()


class Measure(StrEnum):
    """What is measured. The values are what addresses carry."""

    COST = "cost"
    TOKENS = "tokens"
    ITEMS = "items"
    REQUESTS = "requests"

    @property
    def label(self) -> str:
        return "Cost in USD" if self is Measure.COST else self.noun

    @property
    def noun(self) -> str:
        """At the beginning of a sentence."""
        return "Billing items" if self is Measure.ITEMS else self.capitalize()

    @property
    def unit(self) -> str:
        return {"cost": "USD", "items": "units billed"}.get(self, self.value)

    @property
    def of(self) -> Callable[[Sums], int]:
        """What picks it out of sums: ticks, or a number of things."""
        return {"cost": _cost_ticks, "requests": _requests}.get(self, units)

    def names(self, items: Sequence[str]) -> tuple[str, ...]:
        """Name what of the sums it needs, if only these billing items count."""
        if self is Measure.REQUESTS:
            return ("requests",)
        if self is not Measure.COST:
            return tuple(items)
        if len(items) == len(ITEMS):
            return ("cost_ticks",)
        return tuple(f"{item}_ticks" for item in items)

    def of_item(self, sums: Sums, item: str) -> int:
        """Pick one billing item's part of it: its ticks, or its units."""
        part: int = getattr(sums, f"{item}_ticks" if self is Measure.COST else item)
        return part


class Group(StrEnum):
    """What the bars are stacked by."""

    API_KEY = "api_key"
    MODEL = "model"
    CLUSTER = "cluster"
    IP = "ip"
    TOKEN_TYPE = "token_type"  # noqa: S105 -- not a password
    MEMBER = "member"

    @property
    def label(self) -> str:
        return {"api_key": "API key", "ip": "Request IP", "token_type": "Token type"}.get(
            self, self.capitalize()
        )

    @property
    def noun(self) -> str:
        """In the middle of a sentence."""
        return {"api_key": "API key", "ip": "request IP"}.get(self, self.label.lower())

    def counted(self, number: int) -> str:
        """Say how many: "12 keys"."""
        word = self.noun.removeprefix("API ").removeprefix("request ")
        plural = "IPs" if self is Group.IP else f"{word}s"
        return f"{number:,} {word if number == 1 else plural}"

    @property
    def dimension(self) -> Dimension | None:
        """What a store groups by for it. A member is whoever owns the key at the time of asking."""
        if self is Group.TOKEN_TYPE:
            return None
        return Dimension.API_KEY if self is Group.MEMBER else Dimension(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A view of the explorer. Two that are equal show the same, and have the same address."""

    range: Range
    granularity: Granularity
    measure: Measure = Measure.COST
    group: Group | None = None
    filters: Filters = NO_FILTERS
    compares: bool = False
    table: str = ""  # BY_PERIOD, or by group, if there is one.
    sort: str = ""  # A column's name, "-" before it for the largest first; empty for the usual.

    @property
    def stacked_by(self) -> Group | None:
        """What the chart and its table tell apart: of billing items, at least which they are."""
        if self.measure is Measure.ITEMS and not self.group:
            return Group.TOKEN_TYPE
        return self.group

    @property
    def is_by_period(self) -> bool:
        return self.table == BY_PERIOD or not self.stacked_by

    @property
    def items(self) -> Sequence[str]:
        return self.filters.items()

    def pairs(self) -> list[tuple[str, str]]:
        """Write it as the names and values of an address, without what is usual.

        The zone is always there: whoever it is shared with is to see the same days.
        """
        pairs = [*self.range.pairs(), ("tz", self.range.zone.key)]
        if self.granularity != self.range.usual():
            pairs.append(("granularity", self.granularity))
        if self.measure is not Measure.COST:
            pairs.append(("dimension", self.measure))
        if self.group:
            pairs.append(("group", self.group))
        pairs += self.filters.pairs()
        if self.compares:
            pairs.append(("compare", "1"))
        if self.table and self.stacked_by:
            pairs.append(("table", self.table))
        if self.sort:
            pairs.append(("sort", self.sort))
        return pairs

    def address(self, **changes: Any) -> str:
        """Write the query of an address for it, with these changes."""
        return f"?{urlencode(replace(self, **changes).pairs())}"


def units(sums: Sums) -> int:
    """Count the tokens, of all types."""
    return sum(_units(sums))


_units = attrgetter(*ITEMS)
_cost_ticks = attrgetter("cost_ticks")
_requests = attrgetter("requests")


def of_items(sums: Sums, items: Sequence[str]) -> Sums:
    """Leave of the sums only these billing items, and their cost; requests are never parted."""
    if len(items) == len(ITEMS):
        return sums
    left: dict[str, int] = {}
    for item in ITEMS:
        if item not in items:
            left |= {item: 0, f"{item}_ticks": 0}
    kept = sums._replace(**left)
    return kept._replace(cost_ticks=sum(getattr(kept, f"{item}_ticks") for item in ITEMS))


def by_item(sums: Sums, items: Sequence[str]) -> dict[str, Sums]:
    """Part the sums into one for each billing item. They have no requests of their own."""
    parts = {}
    for item in items:
        ticks = getattr(sums, f"{item}_ticks")
        parts[item] = Sums(cost_ticks=ticks)._replace(
            **{item: getattr(sums, item), f"{item}_ticks": ticks}
        )
    return parts
