"""The chart of a view, and what is inside each of its bars."""

from typing import Any, Final
from urllib.parse import urlencode

from usage import charts, rules
from usage.rules import Measure
from usage.services.explore import Report

# What the address of a bar's inside has of its own; it is as fine as is usual for what is inside.
OF_INSIDE: Final = frozenset({"range", "from", "to", "granularity"})


def insides(report: Report) -> list[tuple[str, str]]:
    """Say from when to when each bar is, as an address has it."""
    return [period.span(report.wanted.range.zone) for period in report.periods]


def query_inside(report: Report) -> str:
    """Write what the addresses of all bars' insides have in common.

    Inside of the finest bars are single requests, which are looked for by zone and filters alone.
    """
    wanted = report.wanted
    if wanted.granularity.finer is None:
        return urlencode([("tz", wanted.range.zone.key), *wanted.filters.pairs()])
    return urlencode([pair for pair in wanted.pairs() if pair[0] not in OF_INSIDE])


def figure(report: Report, spans: list[tuple[str, str]]) -> dict[str, Any]:
    """Chart a view for console.js, which adds colours, and leads a click on a bar to its inside.

    `spans` are the bars' `insides`.
    """
    wanted, measure = report.wanted, report.wanted.measure
    before = None
    if wanted.compares:
        before = (report.before.range.label, report.before.values)
    drill = {
        "query": query_inside(report),
        # A day is said once, being its own first and last.
        "spans": [begin if begin == end else (begin, end) for begin, end in spans],
    }
    return charts.stacked(
        report.periods,
        rules.axis_words(report.periods, wanted.granularity),
        [(one.name, one.values, one.place) for one in report.series],
        total=[measure.of(sums) for sums in report.by_period],
        before=before,
        marks=[
            place
            for place, period in enumerate(report.periods)
            if period.begin.date() in report.anomalies
        ],
        is_cost=measure is Measure.COST,
        drill=drill,
    )
