"""What can be asked of a store of usage, and the shape of its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from operator import add, itemgetter, sub
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

QUARTER_SECONDS: Final = 15 * 60


class Dimension(StrEnum):
    """What requests are told apart by. The values are what addresses and files carry."""

    API_KEY = "api_key"
    MODEL = "model"
    CLUSTER = "cluster"
    IP = "ip"


class Sums(NamedTuple):
    """What some requests come to: how many they were, and each billing item's units and cost.

    `failed` are those of the requests that ended with a status of 500 or more. The `_ticks` of the
    billing items add up to `cost_ticks`.
    """

    requests: int = 0
    failed: int = 0
    cost_ticks: int = 0
    prompt_text: int = 0
    cached_prompt_text: int = 0
    prompt_image: int = 0
    completion: int = 0
    reasoning: int = 0
    prompt_text_ticks: int = 0
    cached_prompt_text_ticks: int = 0
    prompt_image_ticks: int = 0
    completion_ticks: int = 0
    reasoning_ticks: int = 0

    def plus(self, other: "Sums") -> "Sums":
        return Sums(*map(add, self, other))

    def minus(self, other: "Sums") -> "Sums":
        return Sums(*map(sub, self, other))


def reads(columns: Sequence[str]) -> Callable[[Sequence[int]], Sums]:
    """Make what puts sums together from a row of these columns; the others are 0."""
    # A view can have thousands of rows, and this takes a third of what going by names does.
    places = [columns.index(name) if name in columns else -1 for name in Sums._fields]
    pick = itemgetter(*places)
    return lambda row: Sums._make(pick((*row, 0)))


# In the order of the price list; each has two fields in `Sums`, and so in every table of usage.
ITEMS: Final = (
    "prompt_text",
    "cached_prompt_text",
    "prompt_image",
    "completion",
    "reasoning",
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Only requests whose key, model, cluster or address is one of these, or `is_not`.

    Values are texts: an API key's id, an address as accounts.web.client_ip writes it. A cluster
    may be empty: that of requests that reached none. No values: nothing `is`, everything `is_not`.
    """

    dimension: Dimension
    values: frozenset[str]
    is_not: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Asks what a team's requests came to in each of these spans of time, by what sets them apart.

    Span 0 begins at `starts[0]` and ends where span 1 begins; the last start ends the last span.
    Starts ascend, are in UTC, and begin a quarter-hour. They are given, rather than "by day", as
    the database may know other rules of time zones than the page that shows the answer. `zone` is
    the one whose days they begin, if they begin days; it tells a store where its sums of whole days
    can serve. Several filters, also of one dimension, have all to be met. Of the sums, `measures`
    are wanted; `requests` are always there, and the others can be 0.
    """

    team_id: UUID
    starts: tuple[datetime, ...]
    zone: ZoneInfo
    group: Dimension | None = None
    filters: tuple[Filter, ...] = ()
    measures: tuple[str, ...] = Sums._fields

    @property
    def columns(self) -> tuple[str, ...]:
        """Name what has to be read, in the order of Sums."""
        return tuple(name for name in Sums._fields if name in {"requests", *self.measures})

    def __post_init__(self) -> None:
        ascend = all(start < end for start, end in pairwise(self.starts))
        aligned = all(start.timestamp() % QUARTER_SECONDS == 0 for start in self.starts)
        if len(self.starts) < 2 or not ascend or not aligned:  # noqa: PLR2004 -- a start and an end
            raise ValueError("A question needs spans that ascend by whole quarter-hours.")


# By number of the span and value of `group`, which is "" if there is none. A span, or a value in
# it, that had no requests is not in it.
Answer: TypeAlias = Mapping[tuple[int, str], Sums]
