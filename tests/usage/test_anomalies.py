"""Days far off are told from days that only vary, and are said in a sentence."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from billing.rules import usd
from usage.rules import TICKS_PER_USD, anomalies

SUNDAY = date(2026, 11, 22)
TOMORROW = SUNDAY + timedelta(days=1)
EVEN = [6.8, 6.1, 7.2, 6.9, 6.8, 7.0, 5.9, 6.8]


def found(cost: float, before: Sequence[float], *, today: date = TOMORROW) -> list[str]:
    """Say what is found of a Sunday, by what the Sundays before it cost, the latest first."""
    dollars = {SUNDAY - timedelta(weeks=n): amount for n, amount in enumerate([cost, *before])}
    costs = {day: round(amount * TICKS_PER_USD) for day, amount in dollars.items()}
    # The days between are another matter.
    costs |= {day + timedelta(days=1): 900 * TICKS_PER_USD for day in dollars}
    marked = anomalies.find(costs, first=SUNDAY, last=SUNDAY, today=today)
    assert set(marked) <= {SUNDAY}
    return [anomaly.sentence(usd) for anomaly in marked.values()]


@pytest.mark.parametrize(
    ("cost", "before", "sentence"),
    [
        (41.2, EVEN, "$41.20, about 6 times the usual $6.80 of Sundays"),
        (68.0, EVEN, "$68.00, about 10 times the usual $6.80 of Sundays"),
        (1.02, EVEN, "$1.02, far below the usual $6.80 of Sundays"),
        (0, EVEN, "nothing, where Sundays usually cost $6.80"),
        (41.2, [0] * 8, "$41.20, where Sundays usually cost nothing"),
    ],
)
def test_a_day_far_off_is_told_with_what_is_usual(
    cost: float, before: Sequence[float], sentence: str
) -> None:
    assert found(cost, before) == [sentence]


@pytest.mark.parametrize(
    ("cost", "before"),
    [
        (11.0, EVEN),  # More than ever, but not twice as much.
        (2.0, EVEN),
        (0.99, [0.01] * 8),  # A hundred times as much, of cents.
        (60, [5, 80, 2, 40, 10, 70, 1, 30]),  # Every Sunday is another.
        (20, [17, 14, 12, 10, 8.4, 7, 5.8, 4.8]),  # A team that grows by a fifth a week.
    ],
)
def test_a_day_that_only_varies_is_not_marked(cost: float, before: Sequence[float]) -> None:
    assert found(cost, before) == []


def test_days_far_off_before_do_not_become_what_is_usual() -> None:
    assert found(41.2, [6.8, 50, 7.2, 6.9, 90, 7.0, 5.9, 6.8])


def test_a_team_of_three_weeks_has_nothing_usual_yet() -> None:
    assert found(500, EVEN[:3]) == []
    assert found(500, EVEN[:4])


def test_a_day_that_is_not_over_is_not_marked() -> None:
    assert found(0, EVEN, today=SUNDAY) == []


def test_only_days_of_the_range_are_marked() -> None:
    costs = {SUNDAY - timedelta(weeks=n): 5 * TICKS_PER_USD for n in range(9)}
    costs[SUNDAY] = costs[SUNDAY - timedelta(weeks=1)] = 100 * TICKS_PER_USD

    marked = anomalies.find(costs, first=SUNDAY, last=SUNDAY, today=TOMORROW)

    assert list(marked) == [SUNDAY]
