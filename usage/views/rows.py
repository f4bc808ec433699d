"""The rows of the explorer's table. Written here, as a template takes long for a year of them."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.web import TeamRequest
from billing.services import usd
from usage.rules import Field, Group
from usage.rules.filters import written
from usage.services.figures import query_inside
from usage.services.tables import Cell, Column, GroupLine, Line, PeriodLine, Table
from usage.views.cards import key_page

EMPTY: Final = SafeString()
DIM: Final = SafeString(' class="dim"')


class GroupRow(NamedTuple):
    """The cells of a group's row, and where to see the group alone, if that can be."""

    cells: SafeString
    name: str
    only: str


def group_rows(request: TeamRequest, shown: Table, lines: Iterable[Line]) -> list[GroupRow]:
    """Write the rows of a table by group, but for the last cell, which has the link to it alone."""
    wanted = shown.report.wanted
    field, others = None, ""
    # A member is no filter: keys change hands.
    if wanted.stacked_by and wanted.stacked_by is not Group.MEMBER:
        field = Field(wanted.stacked_by.value)
        others = wanted.address(filters=wanted.filters.besides(field))
    rows = []
    for line in lines:
        if isinstance(line, GroupLine):
            name, place = line.group.name, line.group.place
            only = ""
            if field:
                only = f"{others}&{urlencode([(field, written(field, line.group.value))])}"
            page = key_page(request, name)
            head = format_html(
                '<th scope="row"><span class="swatch"{}></span>{}{}</th>',
                format_html(' data-series="{}"', place) if place else EMPTY,
                _linked(name.text, page or only, boosts=not page),
                _badge(name.remark),
            )
            rows.append(GroupRow(head + cells(shown.columns, line.cells), name.text, only))
    return rows


def period_rows(shown: Table, spans: Sequence[tuple[str, str]], within: str) -> SafeString:
    """Write the rows of a table by period.

    Each leads to its inside, one of `spans`, on the page `within`, or on this one.
    """
    others, anomalies = query_inside(shown.report), shown.report.anomalies
    rows = []
    for line in shown.lines:
        if isinstance(line, PeriodLine):
            begin, end = spans[line.number]
            url = f"{within}?{urlencode({'from': begin, 'to': end})}&{others}"
            anomaly = anomalies.get(line.period.begin.date())
            row = format_html(
                '<tr{}><th scope="row">{}{}{}</th>{}</tr>',
                EMPTY if line.sums.requests else DIM,
                _linked(line.period.label, url, boosts=not within),
                _badge(line.period.remark),
                _unusual(anomaly.sentence(usd)) if anomaly else EMPTY,
                cells(shown.columns, line.cells),
            )
            rows.append(row)
    return mark_safe("".join(rows))  # noqa: S308 -- each of them is safe


def _linked(text: str, url: str, *, boosts: bool = True) -> str:
    if not url:
        return text
    boost = EMPTY if boosts else SafeString(' hx-boost="false"')
    return format_html('<a href="{}"{}>{}</a>', url, boost, text)


def _badge(remark: str) -> SafeString:
    return format_html(' <span class="badge">{}</span>', remark) if remark else EMPTY


def _unusual(sentence: str) -> SafeString:
    return format_html(' <span class="pill" data-tone="warn" title="{}">Unusual</span>', sentence)


def cells(columns: Iterable[Column], numbers: Iterable[Cell]) -> SafeString:
    """Write numbers as cells."""
    written_ = (
        f'<td class="num">{_written(column, number)}</td>'
        for column, number in zip(columns, numbers, strict=True)
    )
    return mark_safe("".join(written_))  # noqa: S308 -- digits, and what stands around them


def _written(column: Column, cell: Cell) -> str:
    if cell is None:
        return ""
    if column.kind == "usd":
        return usd(int(cell))
    return f"{cell:.1f}%" if column.kind == "percent" else f"{cell:,}"


def added_up(shown: Table, lines: Iterable[Line]) -> SafeString:
    """Write the cells of several lines in one."""
    sums = [
        sum(number or 0 for number in numbers)
        for numbers in zip(*(line.cells for line in lines), strict=True)
    ]
    return cells(shown.columns, sums)
