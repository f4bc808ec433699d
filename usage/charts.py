"""Plotly figures of usage, pure: plain JSON without colours, which the browser adds by theme."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from usage.rules import TICKS_PER_USD, Period

DAY_MS: Final = 86_400_000
DAYS_WITH_A_LABEL_EACH: Final = 10
# More of them are thinner than what parts them from each other.
BARS_WITH_LINES: Final = 120


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


def stacked(
    periods: Sequence[Period],
    axis_words: Sequence[tuple[int, str]],
    series: Sequence[tuple[str, Sequence[int], int | None]],
    *,
    total: Sequence[int],
    before: tuple[str, Sequence[int]] | None,
    marks: Sequence[int],
    is_cost: bool,
    drill: Mapping[str, Any],
) -> dict[str, Any]:
    """Stack a bar per period: series are their name, values and place; over them the total.

    `before` is a line of another range, bar by bar. `marks` are the numbers of bars to
    point at. `drill` says where a click on a bar leads, and is for console.js, as is "unit".

    Plain, because Plotly takes 50 ms to check a year of twelve series, as long as all else of the
    page, and the browser does it once more. The tests have Plotly check figures of each kind.
    """
    # Bars have no places of their own: they are the categories, in order.
    traces: list[dict[str, Any]] = []
    for name, values, place in series:
        trace: dict[str, Any] = {
            "type": "bar",
            "name": _plain(name),
            "y": _heights(values, is_cost=is_cost),
        }
        if place is None:
            trace["meta"] = "other"
        if len(periods) > BARS_WITH_LINES:
            trace["marker"] = {"line": {"width": 0}}
        traces.append(trace)
    if len(series) > 1:
        traces.append(_line("Total", total, "total", is_cost=is_cost))
    if before:
        name, values = before
        traces.append(_line(name, values[: len(periods)], "before", is_cost=is_cost))
    if not is_cost:
        for trace in traces:
            trace["hovertemplate"] = "%{y:,}"
    if marks:
        traces.append(_marks(periods, total, marks, is_cost=is_cost))
    return {"data": traces, "layout": _layout(periods, axis_words, drill, is_cost=is_cost)}


def _marks(
    periods: Sequence[Period], total: Sequence[int], marks: Sequence[int], *, is_cost: bool
) -> dict[str, Any]:
    """Point at bars from above."""
    return {
        "type": "scatter",
        "mode": "text",
        "name": "Unusual",
        "x": [_named(periods[place]) for place in marks],
        "y": _heights([total[place] for place in marks], is_cost=is_cost),
        "text": "▼",
        "textposition": "top center",
        "cliponaxis": False,
        # Plotly would show the nearest one over every bar; the page has the sentences.
        "hoverinfo": "skip",
    }


def _plain(text: str) -> str:
    """Keep Plotly from reading markup, links among it, in what people call their keys."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _line(name: str, values: Sequence[int], meta: str, *, is_cost: bool) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "meta": meta,
        "y": _heights(values, is_cost=is_cost),
    }


def _heights(values: Sequence[int], *, is_cost: bool) -> list[float]:
    return [_usd(value) for value in values] if is_cost else list(values)


def _usd(ticks: int) -> float:
    """Round to what is ever shown: to the cent from a dollar on, below to four digits."""
    usd = ticks / TICKS_PER_USD
    return round(usd, 4) if usd >= 1 else float(f"{usd:.6g}")


def _layout(
    periods: Sequence[Period],
    axis_words: Sequence[tuple[int, str]],
    drill: Mapping[str, Any],
    *,
    is_cost: bool,
) -> dict[str, Any]:
    meta: dict[str, Any] = {"unit": "usd" if is_cost else "count", "drill": drill}
    if partial := [place for place, one in enumerate(periods) if one.remark]:
        meta["partial"] = partial
    layout: dict[str, Any] = {
        "meta": meta,
        "xaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [_named(period) for period in periods],
            # Plotly would leave the room of a bar at each side of a line.
            "range": [-0.5, len(periods) - 0.5],
            "tickmode": "array",
            "tickvals": [place for place, _ in axis_words],
            "ticktext": [word for _, word in axis_words],
            "tickangle": 0,
            # In full, also where a shorter word stands under the bar.
            "unifiedhovertitle": {"text": "%{x}"},
        },
        "yaxis": {
            "tickprefix": "$" if is_cost else "",
            "exponentformat": "none" if is_cost else "SI",
        },
    }
    if len(periods) > BARS_WITH_LINES:
        layout["bargap"] = 0
    return layout


def _named(period: Period) -> str:
    return f"{period.label}, {period.remark}" if period.remark else period.label
