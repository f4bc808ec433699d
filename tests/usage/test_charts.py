"""What charts of usage hand to the browser: figures, and no colours."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from tests.factories import NOON
from usage import charts, rules
from usage.rules import Granularity, Range


@pytest.mark.parametrize(("count", "tick"), [(1, 86_400_000), (10, 86_400_000), (11, None)])
def test_a_chart_of_a_few_days_has_one_tick_for_each(count: int, tick: int | None) -> None:
    days = rules.days_between(date(2026, 3, 1), date(2026, 3, count))

    layout = charts.daily_counts(days, [0] * count, name="Requests")["layout"]

    assert layout.get("xaxis", {}).get("dtick") == tick


def test_a_chart_carries_figures_and_no_colours() -> None:
    days = [date(2026, 3, 1), date(2026, 3, 2)]

    figure = charts.daily_costs(days, [0, 12_345_000_000])

    (bar,) = figure["data"]
    assert (bar["type"], bar["x"], bar["y"]) == ("bar", ["2026-03-01", "2026-03-02"], [0, 1.2345])
    assert "template" not in figure["layout"]
    assert "color" not in str(figure)


@pytest.mark.parametrize(
    ("ticks", "format_"),
    [(0, "$,.2f"), (7_500_000, "$.4~r"), (9_999_999_999, "$.4~r"), (10_000_000_000, "$,.2f")],
)
def test_a_small_cost_is_told_with_the_digits_it_needs(ticks: int, format_: str) -> None:
    (bar,) = charts.daily_costs([date(2026, 3, 1)], [ticks])["data"]

    assert bar["hovertemplate"] == [f"%{{y:{format_}}}"]


def test_bars_are_stacked_in_their_order_under_the_total_and_what_was_before() -> None:
    days = Range.of_days(date(2026, 2, 28), date(2026, 3, 2), ZoneInfo("UTC"))
    periods = rules.periods(days, Granularity.DAY, now=NOON)

    drill = {"spans": ["2026-02-28"], "query": "tz=UTC"}
    figure = charts.stacked(
        periods,
        [(0, "28 Feb")],
        [("<b>", [1, 2], 1), ("Other (3)", [3, 4], None)],
        total=[4, 6],
        before=("25 to 27 Feb 2026", [7, 8, 9]),
        marks=[1],
        is_cost=False,
        drill=drill,
    )

    # What is still to come has a bar in neither.
    named = [(trace["name"], trace["y"]) for trace in figure["data"]]
    assert named == [
        ("&lt;b>", [1, 2]),
        ("Other (3)", [3, 4]),
        ("Total", [4, 6]),
        ("25 to 27 Feb 2026", [7, 8]),
        ("Unusual", [6]),
    ]
    assert figure["layout"]["meta"] == {"unit": "count", "partial": [1], "drill": drill}
    assert "template" not in figure["layout"]
    assert "color" not in str(figure)
