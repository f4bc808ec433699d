"""Plotly figures of usage, pure: plain JSON without colours, which the browser adds by theme."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from usage.rules import TICKS_PER_USD

DAY_MS: Final = 86_400_000
DAYS_WITH_A_LABEL_EACH: Final = 10


def daily_costs(days: Sequence[date], cost_ticks: Sequence[int]) -> dict[str, Any]:
    """One bar per day, in USD."""
    figure = _bars(
        days,
        [ticks / TICKS_PER_USD for ticks in cost_ticks],
        name="Cost",
        hover=[_hover_usd(ticks) for ticks in cost_ticks],
    )
    # Plotly would write small costs as $20µ.
    figure["layout"]["yaxis"] = {"tickprefix": "$", "exponentformat": "none"}
    return figure


def daily_counts(days: Sequence[date], counts: Sequence[int], *, name: str) -> dict[str, Any]:
    """One bar per day, in whole numbers."""
    return _bars(days, counts, name=name, hover="%{y:,}")


def _hover_usd(ticks: int) -> str:
    """Choose how a cost is told: to the cent, or with as many digits as a small one needs."""
    return "%{y:$,.2f}" if not ticks or ticks >= TICKS_PER_USD else "%{y:$.4~r}"


def _bars(
    days: Sequence[date], values: Sequence[float], *, name: str, hover: str | list[str]
) -> dict[str, Any]:
    # Here, because it takes a third of a second and few pages draw a chart.
    from plotly import graph_objects as go  # type: ignore[import-untyped]  # noqa: PLC0415

    bar = go.Bar(
        name=name, x=[day.isoformat() for day in days], y=list(values), hovertemplate=hover
    )
    # Without a template of Plotly's own: it would bring colours.
    figure: dict[str, Any] = go.Figure(bar, {"template": None}).to_plotly_json()
    figure["layout"].pop("template", None)
    if len(days) <= DAYS_WITH_A_LABEL_EACH:
        # Left alone, Plotly would put two ticks on a day and call both by its name.
        figure["layout"]["xaxis"] = {"dtick": DAY_MS}
    return figure
