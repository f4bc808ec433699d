"""Sums over days."""

from dataclasses import dataclass
from datetime import date

from usage.rules.questions import Sums


@dataclass(slots=True, kw_only=True)
class Total:
    """What was used over some time."""

    requests: int = 0
    failures: int = 0
    cost_ticks: int = 0

    def add(self, sums: Sums) -> None:
        """Count what a store answered."""
        self.requests += sums.requests
        self.failures += sums.failed
        self.cost_ticks += sums.cost_ticks

    def merge(self, other: "Total") -> None:
        """Count what another total has."""
        self.requests += other.requests
        self.failures += other.failures
        self.cost_ticks += other.cost_ticks


@dataclass(slots=True, kw_only=True)
class DayTotal(Total):
    """What was used on one local day."""

    day: date
