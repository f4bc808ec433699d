"""The table of a view: the same rows and sums on the page, as CSV and as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from typing import Any, Final

from accounts.spreadsheets import as_text, csv_rows
from billing.services import as_usd
from usage import rules
from usage.rules import Group, Measure, Period, Sums
from usage.services.explore import GroupSums, Report

BEFORE: Final = "before"
# Shown also where none of them was used, so that a table looks the same from one range to the next.
ALWAYS_SHOWN: Final = frozenset({"prompt_text", "cached_prompt_text", "completion", "reasoning"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers. `kind` is "count", "usd" (in ticks) or "percent".

    A cell is None where there is nothing to tell a number of.
    """

    name: str
    label: str
    kind: str = "count"


Cell = float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLine:
    """A group, and its numbers in the order of the columns."""

    group: GroupSums
    cells: Sequence[Cell]
    parts: Sequence[Cell] = ()

    @property
    def heads(self) -> list[str]:
        """What stands before the numbers in files."""
        return [self.group.value, self.group.name.text, self.group.name.remark]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLine:
    """A period, its number from 0, and its numbers in the order of the columns."""

    period: Period
    number: int
    sums: Sums
    cells: Sequence[Cell]
    parts: Sequence[Cell]  # What its bar is stacked of; in files only.

    @property
    def heads(self) -> list[str]:
        """What stands before the numbers in files."""
        return [self.period.begin.isoformat(), self.period.end.isoformat(), self.period.remark]


Line = GroupLine | PeriodLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines as they are asked for, all of them, and what they add up to."""

    report: Report
    first: str  # The name of the first column, "name" or "period".
    columns: Sequence[Column]
    lines: Sequence[Line]
    total: Sequence[Cell]
    sort: str
    parts: Sequence[Column] = ()


def table(report: Report) -> Table:
    """Lay out a view by group or by period, sorted as it asks for."""
    columns = _columns(report)
    wanted = report.wanted

    reads = [_reading(report, column.name) for column in columns]

    def cells(sums: Sums, before: Cell) -> list[Cell]:
        return [read(sums) if read else before for read in reads]

    lines: list[Line]
    # Of the bars before, those that stand behind one of these. There can be fewer of them.
    earlier = list(report.before.values[: len(report.periods)])
    parts = _parts(report)
    if wanted.is_by_period:
        pairs = enumerate(zip_longest(report.periods, report.by_period, earlier))
        lines = [
            PeriodLine(
                period=period,
                number=number,
                sums=sums,
                cells=cells(sums, before),
                parts=[one.values[number] for one in report.series] if parts else (),
            )
            for number, (period, sums, before) in pairs
        ]
    else:
        lines = [GroupLine(group=one, cells=cells(one.sums, None)) for one in report.groups]
    sort = _sort(report, columns)
    return Table(
        report=report,
        first=_first(report),
        columns=columns,
        lines=_sorted(lines, sort, columns),
        total=cells(report.total, sum(earlier)),
        sort=sort,
        parts=parts,
    )


def _first(report: Report) -> str:
    return "period" if report.wanted.is_by_period else "name"


def _columns(report: Report) -> list[Column]:
    wanted, total = report.wanted, report.total
    cost, share = Column("cost", "Cost", "usd"), Column("share", "Share", "percent")
    if not wanted.is_by_period and wanted.stacked_by is Group.TOKEN_TYPE:
        return [Column("tokens", "Tokens"), cost, share]
    columns = [Column("requests", "Requests")]
    if total.failed:
        columns.append(Column("failed", "Failed"))
    items = [item for item in wanted.items if item in ALWAYS_SHOWN or getattr(total, item)]
    columns += [Column(item, rules.label_of(item)) for item in items]
    if wanted.measure in {Measure.TOKENS, Measure.ITEMS} and len(items) > 1:
        columns.append(Column("tokens", "Tokens"))
    columns.append(cost)
    if wanted.is_by_period and wanted.compares:
        columns.append(Column(BEFORE, f"{wanted.measure.noun} before", _kind(wanted.measure)))
    return [*columns, share]


def _kind(measure: Measure) -> str:
    return "usd" if measure is Measure.COST else "count"


def _parts(report: Report) -> list[Column]:
    """Name a column for each group that the chart tells apart, by what is measured of it."""
    wanted = report.wanted
    is_there = wanted.stacked_by is Group.TOKEN_TYPE and wanted.measure is not Measure.COST
    if not wanted.is_by_period or not wanted.stacked_by or is_there:
        return []
    known = Counter(one.name for one in report.series)
    return [
        # Two keys can have the same name.
        Column(
            f"{one.name} ({one.place})" if known[one.name] > 1 else one.name,
            one.name,
            _kind(wanted.measure),
        )
        for one in report.series
    ]


def _reading(report: Report, name: str) -> Callable[[Sums], Cell] | None:
    """Make what reads a column's cell out of sums; what was before is not in them."""
    of, measured = report.wanted.measure.of, report.measured
    if name == BEFORE:
        return None
    match name:
        case "cost":
            return attrgetter("cost_ticks")
        case "tokens":
            return rules.units
        case "share":
            return lambda sums: 100 * of(sums) / measured if measured else 0.0
    return attrgetter(name)


def _sort(report: Report, columns: Sequence[Column]) -> str:
    """Say what it is sorted by: what is asked, if it is there, or else what is usual."""
    first = _first(report)
    asked = report.wanted.sort
    if asked.removeprefix("-") in {first, *(column.name for column in columns)}:
        return asked
    if first == "period":
        return "-period"
    # By what is measured, which of one token type is that type's own column.
    names = {column.name for column in columns}
    return next(f"-{name}" for name in (report.wanted.measure, "tokens", "share") if name in names)


def _sorted(lines: list[Line], sort: str, columns: Sequence[Column]) -> list[Line]:
    name = sort.removeprefix("-")
    turned = sort != name
    if name == "period":
        return lines[::-1] if turned else lines
    if name == "name":
        return sorted(lines, key=lambda line: line.heads[1].casefold(), reverse=turned)
    place = next(place for place, column in enumerate(columns) if column.name == name)
    # Groups stand by their size already, and stay so where they are alike.
    sign = -1 if turned else 1
    return sorted(lines, key=lambda line: sign * (line.cells[place] or 0))


# --- Files ------------------------------------------------------------------------------------


def table_csv(shown: Table) -> bytes:
    """Write the lines with whole numbers; costs in USD, to the tick. They add up to the total."""
    heads = ["period_start", "period_end", "remark"]
    if shown.first == "name":
        group = shown.report.wanted.stacked_by
        heads = [group or "group", "name", "remark"]
    measure = shown.report.wanted.measure
    rows = [
        [
            *heads,
            *(_file_name(column) for column in shown.columns),
            *(f"{_measured(measure)}: {column.name}" for column in shown.parts),
        ]
    ]
    rows += [
        [
            *map(as_text, line.heads),
            *map(_written, shown.columns, line.cells),
            *map(_written, shown.parts, line.parts),
        ]
        for line in shown.lines
    ]
    return csv_rows(rows)


def table_json(shown: Table) -> str:
    """Write the lines and their total, and what they are of."""
    wanted = shown.report.wanted
    first = (
        ("period_start", "period_end", "remark")
        if shown.first == "period"
        else (wanted.stacked_by or "group", "name", "remark")
    )
    return json.dumps(
        {
            "from": wanted.range.begin.astimezone(wanted.range.zone).isoformat(),
            "to": wanted.range.end.astimezone(wanted.range.zone).isoformat(),
            "time_zone": wanted.range.zone.key,
            "granularity": wanted.granularity,
            "dimension": wanted.measure,
            "group": wanted.stacked_by,
            "filters": [
                {"field": one.field, "is_not": one.is_not, "values": one.values}
                for one in wanted.filters.choices
            ],
            "rows": [
                dict(zip(first, line.heads, strict=True))
                | _numbers(shown, line.cells)
                | _groups(shown, line)
                for line in shown.lines
            ],
            "total": _numbers(shown, shown.total),
            "compared_with": _compared(shown.report),
        },
        ensure_ascii=False,
        indent=1,
    )


def _file_name(column: Column) -> str:
    return {"usd": f"{column.name}_usd", "percent": f"{column.name}_percent"}.get(
        column.kind, column.name
    )


def _measured(measure: Measure) -> str:
    return "cost_usd" if measure is Measure.COST else str(measure)


def _groups(shown: Table, line: Line) -> dict[str, Any]:
    if not shown.parts:
        return {}
    return {
        "groups": {
            column.name: _number(column, cell)
            for column, cell in zip(shown.parts, line.parts, strict=True)
        }
    }


def _compared(report: Report) -> dict[str, Any] | None:
    """Say what the range before came to, up to as much of it as there is of this one."""
    if not report.wanted.compares:
        return None
    before, measure = report.before, report.wanted.measure
    column = Column("before", "Before", _kind(measure))
    return {
        "from": before.range.begin.astimezone(before.range.zone).isoformat(),
        "to": before.until.astimezone(before.range.zone).isoformat(),
        _measured(measure): _number(column, before.total),
    }


def _written(column: Column, cell: Cell) -> str:
    if cell is None:
        return ""
    if column.kind == "usd":
        return as_usd(int(cell))
    return f"{cell:.4f}" if column.kind == "percent" else f"{cell}"


def _numbers(shown: Table, cells: Sequence[Cell]) -> dict[str, Any]:
    return {
        _file_name(column): _number(column, cell)
        for column, cell in zip(shown.columns, cells, strict=True)
    }


def _number(column: Column, cell: Cell) -> Cell | str:
    """Write a cell for JSON. Costs are texts, as its numbers are floats to most who read them."""
    if cell is None:
        return None
    if column.kind == "percent":
        return round(cell, 4)
    return _written(column, cell) if column.kind == "usd" else cell
