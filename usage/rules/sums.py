"""Sums over days, item by item."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from usage.rules.items import CACHED, PROMPT_TOKENS, TOKEN_LABELS
from usage.rules.questions import ITEMS, Sums


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

    def add(self, sums: Sums) -> None:
        """Count what a store answered."""
        used = {item: Used(getattr(sums, item), getattr(sums, f"{item}_ticks")) for item in ITEMS}
        items = {item: each for item, each in used.items() if each != Used()}
        self.merge(
            Total(
                requests=sums.requests,
                failures=sums.failed,
                cost_ticks=sums.cost_ticks,
                items=items,
            )
        )

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
