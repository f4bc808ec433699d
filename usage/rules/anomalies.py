"""Days whose cost is far from what the same weekdays before them came to. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from usage.rules.items import TICKS_PER_USD

WEEKS_BEFORE: Final = 8  # How far back a caller of `find` has to sum.
BEFORE: Final = [timedelta(weeks=number) for number in range(1, WEEKS_BEFORE + 1)]
FEWEST_WEEKS: Final = 4  # With fewer of them nobody can say what is usual.
# A day is far off beyond so many standard deviations. They are estimated from the median of the
# deviations (MAD), of which a normal distribution has 1.4826 in one: days that were far off
# themselves hardly move it.
DEVIATIONS: Final = 6
DEVIATIONS_PER_MAD: Final = 1.4826
# However even the days before were, three quarters of the usual and a dollar are no news. Of days
# that vary by a fifth, chance then marks one in a thousand.
LEAST_SHARE: Final = 0.75
LEAST_TICKS: Final = TICKS_PER_USD
WHOLE_TIMES: Final = 3


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day far off, with what it came to and what its weekday usually comes to, in ticks."""

    day: date
    cost_ticks: int
    usual_ticks: int

    def sentence(self, write: Callable[[int], str]) -> str:
        """Compare the two: "$41.20, about 6 times the usual $6.80 of Sundays".

        `write` turns ticks into text, as the filter `usd` does.
        """
        cost, usual, days = write(self.cost_ticks), write(self.usual_ticks), f"{self.day:%A}s"
        if not self.usual_ticks:
            return f"{cost}, where {days} usually cost nothing"
        if not self.cost_ticks:
            return f"nothing, where {days} usually cost {usual}"
        if self.cost_ticks < self.usual_ticks:
            return f"{cost}, far below the usual {usual} of {days}"
        return f"{cost}, about {self._times} times the usual {usual} of {days}"

    @property
    def _times(self) -> str:
        times = self.cost_ticks / self.usual_ticks
        return f"{times:,.0f}" if times >= WHOLE_TIMES else f"{times:.1f}".removesuffix(".0")


def find(costs: Mapping[date, int], *, first: date, last: date, today: date) -> dict[date, Anomaly]:
    """Find the days from `first` to `last` that cost far more or less than usual, by day.

    `costs` are ticks by local day, from WEEKS_BEFORE weeks before `first` on. A day without
    requests is there with 0; days before the team's first request are left out, as they say nothing
    about what is usual. `today` is not over and so never far off.
    """
    found = {}
    for day, cost_ticks in costs.items():
        if not first <= day <= last or day >= today:
            continue
        before = (costs.get(day - weeks) for weeks in BEFORE)
        known = [cost for cost in before if cost is not None]
        if len(known) >= FEWEST_WEEKS and _is_far_off(cost_ticks, known):
            found[day] = Anomaly(day, cost_ticks, _median(known))
    return found


def _is_far_off(cost_ticks: int, before: Sequence[int]) -> bool:
    usual = _median(before)
    # Most days end here, without a look at how far the days before were apart.
    if abs(cost_ticks - usual) <= max(LEAST_SHARE * usual, LEAST_TICKS):
        return False
    spread = _median([abs(cost - usual) for cost in before])
    return abs(cost_ticks - usual) > DEVIATIONS * DEVIATIONS_PER_MAD * spread


def _median(costs: Sequence[int]) -> int:
    """Find the middle one, or of two in the middle what is between them, in whole ticks."""
    ascending = sorted(costs)
    return (ascending[(len(costs) - 1) // 2] + ascending[len(costs) // 2]) // 2
