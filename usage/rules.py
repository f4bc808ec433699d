"""The words and sums of usage, pure: billing items by name, quarter-hours, ranges of days."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from django.utils import dateformat

MILLION: Final = 10**6
# The unit of xAI's public usage.proto. Billing, a sibling that may not be asked, has the same.
TICKS_PER_USD: Final = 10_000_000_000

# Every request has this item, so its row in a rollup says how many requests there were.
COUNTED_BY: Final = "prompt_text"
CACHED: Final = "cached_prompt_text"
# Not a billing item: how many of the requests were not answered as they should have been.
FAILED: Final = "failed"
FAILURE_STATUS: Final = 500

# In the order of the price list.
TOKEN_LABELS: Final = {
    COUNTED_BY: "Prompt",
    CACHED: "Cached prompt",
    "prompt_image": "Prompt image",
    "completion": "Completion",
    "reasoning": "Reasoning",
}
PROMPT_TOKENS: Final = frozenset({COUNTED_BY, CACHED, "prompt_image"})

Item = tuple[str, int, int]  # Billing item, quantity, cost in ticks.


def label_of(item: str) -> str:
    """Make a billing item readable, also one that came after this was written."""
    return TOKEN_LABELS.get(item) or item.replace("_", " ").capitalize()


def in_order(items: Iterable[str]) -> list[str]:
    """As the price list has them, and what it does not have by name."""
    places = {item: place for place, item in enumerate(TOKEN_LABELS)}
    return sorted(items, key=lambda item: (places.get(item, len(places)), item))


def quarter_of(moment: datetime) -> datetime:
    """Say when the moment's quarter-hour began, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def counted(items: Iterable[Item], status: int) -> dict[str, tuple[int, int]]:
    """Say which items a request adds to the sums, with quantity and cost.

    The one that counts requests is among them even if the request failed before it used anything.
    """
    sums = {COUNTED_BY: (0, 0)}
    for item, quantity, cost_ticks in items:
        before = sums.get(item, (0, 0))
        sums[item] = (before[0] + quantity, before[1] + cost_ticks)
    if status >= FAILURE_STATUS:
        sums[FAILED] = (1, 0)
    return sums


def days_between(first: date, last: date) -> list[date]:
    """List each day from `first` to `last`."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def starts_of_days(first: date, last: date, zone: ZoneInfo) -> list[datetime]:
    """Say when each local day from `first` to `last` begins, and when the last of them ends.

    A midnight that the clock skips begins the day at the skip; one that comes twice, the first
    time. Both are what the zone rules say for `fold=0`.
    """
    return [
        datetime.combine(day, time.min, zone).astimezone(UTC)
        for day in days_between(first, last + timedelta(days=1))
    ]


class Preset(StrEnum):
    """A range of days that has a name. All of them end today."""

    WEEK = "7d"
    THIRTY_DAYS = "30d"
    MONTH = "month"

    @property
    def label(self) -> str:
        return {
            Preset.WEEK: "7 days",
            Preset.THIRTY_DAYS: "30 days",
            Preset.MONTH: "This month",
        }[self]

    def first(self, today: date) -> date:
        if self is Preset.MONTH:
            return today.replace(day=1)
        return today - timedelta(days=6 if self is Preset.WEEK else 29)


def day_label(day: date) -> str:
    return dateformat.format(day, "j M Y")


def range_label(first: date, last: date) -> str:
    """Name a range without repeating a month or a year: 1 to 21 Nov 2026."""
    if first == last:
        return day_label(last)
    if first.year != last.year:
        return f"{day_label(first)} to {day_label(last)}"
    month = "" if first.month == last.month else f" {first:%b}"
    return f"{first.day}{month} to {day_label(last)}"


def in_words(count: int) -> str:
    """Write a count to be read at a glance: 1.87 billion."""
    if count >= MILLION:
        for size, word in ((10**12, "trillion"), (10**9, "billion"), (MILLION, "million")):
            # What would round to 1,000.00 of the smaller word is 1.00 of this one.
            if round(count / size, 5) >= 1:
                return f"{count / size:,.2f} {word}"
    return f"{count:,}"


@dataclass(frozen=True, slots=True)
class Used:
    """How much of one billing item was used, and what it cost."""

    quantity: int = 0
    cost_ticks: int = 0


@dataclass(slots=True, kw_only=True)
class Total:
    """What was used over some time: the sums, and each billing item on its own."""

    requests: int = 0
    failures: int = 0
    cost_ticks: int = 0
    items: dict[str, Used] = field(default_factory=dict)

    def add(self, item: str, quantity: int, cost_ticks: int, requests: int) -> None:
        """Count one row of a rollup."""
        if item == FAILED:
            self.failures += requests
            return
        if item == COUNTED_BY:
            self.requests += requests
        self.cost_ticks += cost_ticks
        before = self.items.get(item, Used())
        self.items[item] = Used(before.quantity + quantity, before.cost_ticks + cost_ticks)

    def merge(self, other: "Total") -> None:
        """Count what another total has."""
        self.requests += other.requests
        self.failures += other.failures
        self.cost_ticks += other.cost_ticks
        for item, used in other.items.items():
            before = self.items.get(item, Used())
            self.items[item] = Used(
                before.quantity + used.quantity, before.cost_ticks + used.cost_ticks
            )

    @property
    def tokens(self) -> int:
        return self._quantity(TOKEN_LABELS)

    @property
    def cached_percent(self) -> float | None:
        """How much of the prompts was read from the cache; None without prompts."""
        prompts = self._quantity(PROMPT_TOKENS)
        return 100 * self._quantity([CACHED]) / prompts if prompts else None

    @property
    def failed_percent(self) -> float:
        return 100 * self.failures / self.requests if self.requests else 0.0

    def _quantity(self, items: Iterable[str]) -> int:
        return sum(self.items[item].quantity for item in items if item in self.items)


@dataclass(slots=True, kw_only=True)
class DayTotal(Total):
    """What was used on one local day."""

    day: date
