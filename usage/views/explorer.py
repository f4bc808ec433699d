"""The explorer: cost, tokens, billing items and requests by time and by what sets them apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from accounts.forms.profile import zone_names
from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from billing.services import usd
from usage import rules, stores
from usage import services as usage
from usage.forms import ExplorerForm
from usage.rules import BY_PERIOD, Field, Granularity, Group, Measure, Preset, Range, Wanted
from usage.services.explore import Report, explore, figure
from usage.services.naming import Name, names
from usage.services.tables import Column, Line, Table, table

# More rows than anybody reads; the rest of them is one, and files have them all.
MOST_LINES: Final = 200


@team_view(Permission.USAGE_READ, operation="GetUsage")
@require_safe
def explorer(request: TeamRequest) -> HttpResponse:
    """Show a view of the team's usage as the address describes it, in the person's time zone."""
    now = timezone.now()
    form = ExplorerForm(request.GET, zone=request.user.zone, now=now)
    context: dict[str, Any] = {"form": form, "zones": zone_names(), "zone": form.zone.key}
    status = 200
    if form.is_valid():
        context["zone"] = form.zone.key
        context |= _controls(request, form, now)
        try:
            report = explore(request.team, form.wanted, now=now)
        except stores.StoreUnavailableError:
            context["is_unavailable"], status = True, 503
        else:
            context |= _shown(request, report)
            # Only a range without requests can be the whole of an unused team.
            context["is_unused"] = not report.total.requests and not usage.has_any(request.team)
    response = render_page(
        request, "usage/explorer.html", context, partials={"usage"}, status=status
    )
    if request.htmx.target == "usage" and form.is_valid():
        # What a form sends says the same at greater length.
        response["HX-Push-Url"] = f"{request.path}{form.wanted.address()}"
    return response


# --- Controls ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chip:
    """A value that is chosen, and where to go without it."""

    text: str
    without: str


def _controls(request: TeamRequest, form: ExplorerForm, now: datetime) -> dict[str, Any]:
    wanted = form.wanted
    filters = wanted.filters
    named = {
        choice.field: _names_of(request, choice.field, choice.values) for choice in filters.choices
    }
    return {
        "wanted": wanted,
        "presets": [(preset, _address(wanted, preset, now)) for preset in Preset],
        "granularities": wanted.range.granularities(),
        "measures": list(Measure),
        "groups": [
            group
            for group in Group
            if (wanted.measure, group) != (Measure.REQUESTS, Group.TOKEN_TYPE)
        ],
        "panels": [_panel(field, wanted, named) for field in Field],
        "chips": [
            _Chip(
                f"{choice.field.label} {'is not' if choice.is_not else 'is'} "
                f"{_with_remark(named[choice.field][value])}",
                wanted.address(filters=filters.without(choice.field, value, is_not=choice.is_not)),
            )
            for choice in filters.choices
            for value in choice.values
        ],
        "unfiltered": wanted.address(filters=rules.Filters()),
        "hidden": _hidden(wanted),
        "query": wanted.address(),
    }


def _names_of(request: TeamRequest, field: Field, values: Iterable[str]) -> dict[str, Name]:
    return names(request.team, Group(field.value), list(values))


def _with_remark(name: Name) -> str:
    return f"{name.text} ({name.remark})" if name.remark else name.text


def _panel(field: Field, wanted: Wanted, named: dict[Field, dict[str, Name]]) -> dict[str, Any]:
    """Describe a field's part of the filter panel, with what is chosen already."""
    sides = [choice for choice in wanted.filters.choices if choice.field is field]
    chosen = sides[0] if sides else None
    return {
        "field": field,
        "is_not": bool(chosen and chosen.is_not),
        "options": [
            {
                "value": rules.filters.written(field, value),
                "text": _with_remark(named[field][value]),
                "is_chosen": True,
            }
            for value in (chosen.values if chosen else ())
        ],
        # Both "is" and "is not" of a field is possible in an address, and is kept.
        "kept": [(other.name, value) for other in sides[1:] for value in other.values],
        "count": sum(len(side.values) for side in sides),
    }


def _address(wanted: Wanted, preset: Preset, now: datetime) -> str:
    """Lead to another range, as fine as this one was asked to be, or as is usual."""
    range_ = Range.of_preset(preset, wanted.range.zone, now)
    is_usual = wanted.granularity == wanted.range.usual()
    granularity = range_.usual() if is_usual else range_.nearest(wanted.granularity)
    return wanted.address(range=range_, granularity=granularity)


def _hidden(wanted: Wanted) -> dict[str, list[tuple[str, str]]]:
    """Say for each form what it has to send along, which are the other forms' fields."""
    pairs = wanted.pairs()
    of_range = {"range", "from", "to", "tz"}
    of_selects = {"granularity", "dimension", "group", "compare"}
    of_filters = {name for name, _ in wanted.filters.pairs()}
    return {
        "range": [pair for pair in pairs if pair[0] not in of_range],
        "selects": [pair for pair in pairs if pair[0] not in of_selects],
        "filters": [pair for pair in pairs if pair[0] not in of_filters],
    }


# --- What is shown ----------------------------------------------------------------------------


def _shown(request: TeamRequest, report: Report) -> dict[str, Any]:
    wanted = report.wanted
    shown = table(report)
    lines = shown.lines[:MOST_LINES] if shown.first == "name" else shown.lines
    return {
        "report": report,
        "cards": _cards(request, report),
        "figure": figure(report),
        "chart_title": f"{wanted.measure.noun} per {wanted.granularity.noun}",
        "chart_note": _chart_note(wanted),
        "table": shown,
        "heads": _heads(shown),
        "lines": [_line(request, shown, line) for line in lines],
        "unlisted": len(shown.lines) - len(lines),
        "unlisted_cells": _cells(shown.columns, _rest(shown, lines)),
        "counted": _counted(shown),
        "total_cells": _cells(shown.columns, shown.total),
        "by_group": wanted.address(table="", sort=""),
        "by_period": wanted.address(table=BY_PERIOD, sort=""),
        "marked": [
            (day, anomaly.sentence(usd)) for day, anomaly in sorted(report.anomalies.items())
        ],
    }


def _chart_note(wanted: Wanted) -> str:
    stacked = f", stacked by {wanted.stacked_by.noun}" if wanted.stacked_by else ""
    return f"{wanted.measure.unit}{stacked}, times in {wanted.range.zone.key}"


def _heads(shown: Table) -> list[dict[str, Any]]:
    wanted = shown.report.wanted
    first = _first_label(wanted)
    columns = [Column(shown.first, first, "text"), *shown.columns]
    heads = []
    for column in columns:
        sorted_ = shown.sort.removeprefix("-") == column.name
        falls = shown.sort.startswith("-")
        # Names begin with A, numbers with the largest; a second click turns them around.
        begins = column.name if column.name == "name" else f"-{column.name}"
        turned = column.name if falls else f"-{column.name}"
        heads.append(
            {
                "label": column.label,
                "is_number": column.kind != "text",
                "sorted": ("descending" if falls else "ascending") if sorted_ else "",
                "address": wanted.address(sort=turned if sorted_ else begins),
            }
        )
    return heads


def _counted(shown: Table) -> str:
    wanted, number = shown.report.wanted, len(shown.lines)
    if wanted.is_by_period or wanted.stacked_by is None:
        return wanted.granularity.counted(number)
    return wanted.stacked_by.counted(number)


def _first_label(wanted: Wanted) -> str:
    if not wanted.is_by_period and wanted.stacked_by:
        return wanted.stacked_by.label
    return {Granularity.QUARTER: "Time", Granularity.HOUR: "Hour"}.get(
        wanted.granularity, wanted.granularity.noun.capitalize()
    )


def _line(request: TeamRequest, shown: Table, line: Line) -> dict[str, Any]:
    report = shown.report
    row: dict[str, Any] = {
        "cells": _cells(shown.columns, line.cells),
        "is_dim": not line.sums.requests and not rules.units(line.sums),
    }
    if line.period:
        inside = report.wanted.inside(line.period.range)
        anomaly = report.anomalies.get(line.period.begin.date())
        return row | {
            "text": line.period.label,
            "remark": _remark(line),
            "url": inside.address() if inside else "",
            "boosts": True,
            "mark": anomaly.sentence(usd) if anomaly else "",
        }
    assert line.group  # noqa: S101 -- a line is one or the other
    only = _only(report.wanted, line.group.value)
    page = key_page(request, line.group.name)
    return row | {
        "text": line.group.name.text,
        "remark": line.group.name.remark,
        "place": line.group.place,
        "has_swatch": True,
        "url": page or only,
        "boosts": not page,
        "only": only,
    }


def _remark(line: Line) -> str:
    assert line.period  # noqa: S101 -- who asks has looked
    remarks = {"so far": line.period.is_running, "part of it": line.period.is_cut}
    return ", ".join(remark for remark, holds in remarks.items() if holds)


def key_page(request: TeamRequest, name: Name) -> str:
    """Find the page of a key that the person may see, by the rule of that page."""
    membership, key = request.membership, name.key
    if key is None or Permission.API_KEYS_READ not in membership.permissions:
        return ""
    if not membership.is_admin and key.owner != request.user:
        return ""
    return reverse("api_keys:key", args=[request.team.pk, key.id])


def _only(wanted: Wanted, value: str) -> str:
    """Lead to this group alone. A member is no filter: keys change hands."""
    if wanted.stacked_by is None or wanted.stacked_by is Group.MEMBER:
        return ""
    return wanted.address(filters=wanted.filters.only(Field(wanted.stacked_by.value), value))


def _rest(shown: Table, listed: list[Line] | Any) -> list[float]:
    sums = [sum(line.cells[place] for line in listed) for place in range(len(shown.columns))]
    return [whole - part for whole, part in zip(shown.total, sums, strict=True)]


def _cells(columns: Iterable[Column], cells: Iterable[float]) -> SafeString:
    """Write numbers as cells. Here, as a template takes long for a year of them."""
    written = (
        f'<td class="num">{_written(column, cell)}</td>'
        for column, cell in zip(columns, cells, strict=True)
    )
    return mark_safe("".join(written))  # noqa: S308 -- digits, and what stands around them


def _written(column: Column, cell: float) -> str:
    if column.kind == "usd":
        return usd(int(cell))
    return f"{cell:.1f}%" if column.kind == "percent" else f"{cell:,}"


# --- Cards ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Card:
    name: str
    value: str
    remark: str
    url: str = ""


def _cards(request: TeamRequest, report: Report) -> list[_Card]:
    wanted, total = report.wanted, report.total
    cards = [_total_card(report), _change_card(report)]
    if report.projected is not None:
        days = (wanted.range.last - wanted.range.first).days + 1
        cards.append(
            _Card(
                f"{wanted.range.first:%B}, projected",
                amount(wanted.measure, report.projected),
                f"at the pace of these {days} days",
            )
        )
    if wanted.measure is not Measure.COST:
        cards.append(_Card("Cost", usd(total.cost_ticks), "of all that is shown"))
    if wanted.measure is not Measure.REQUESTS:
        answered = f"{total.failed:,} failed" if total.failed else "all answered"
        cards.append(
            _Card("Requests", f"{total.requests:,}", answered if total.requests else "none")
        )
    for word, dearest in (("key", report.dearest_key), ("model", report.dearest_model)):
        if dearest:
            cards.append(
                _Card(
                    f"Most expensive {word}",
                    _with_remark(dearest.name),
                    f"{usd(dearest.cost_ticks)}, {dearest.share:.1f}%",
                    key_page(request, dearest.name),
                )
            )
    return cards


def amount(measure: Measure, number: int) -> str:
    return usd(number) if measure is Measure.COST else rules.in_words(number)


def _total_card(report: Report) -> _Card:
    measure, number = report.wanted.measure, report.measured
    if measure is Measure.REQUESTS:
        failed = report.total.failed
        remark = f"{failed:,} failed, {100 * failed / number:.2f}%" if failed else "all answered"
        return _Card("Requests", f"{number:,}", remark if number else "none in this range")
    if measure is Measure.COST:
        tokens = rules.in_words(rules.units(report.total))
        return _Card("Cost", usd(number), f"{tokens} tokens")
    remark = f"{number:,}" if number >= rules.MILLION else "of all types"
    return _Card(measure.noun, rules.in_words(number), remark)


def _change_card(report: Report) -> _Card:
    before, measure = report.before, report.wanted.measure
    label = f"than {before.range.label}"
    if before.is_cut:
        label += f", up to {before.until.astimezone(before.range.zone):%H:%M}"
    if report.change is None:
        return _Card("Change", "\N{EN DASH}", f"nothing in {before.range.label}")
    sign = "+" if report.change > 0 else "\N{MINUS SIGN}" if report.change < 0 else "±"
    remark = f"{label}, {amount(measure, before.total)}"
    return _Card("Change", f"{sign}{abs(report.change):,.1f}%", remark)
