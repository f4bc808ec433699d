"""The explorer: cost, tokens, billing items and requests by time and by what sets them apart."""

from datetime import datetime
from typing import Any, Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.forms.profile import zone_options
from accounts.rules import Permission
from accounts.web import TeamRequest, render_page, team_view
from billing.services import usd
from usage import services as usage
from usage import stores
from usage.forms import ExplorerForm
from usage.rules import (
    BY_PERIOD,
    Granularity,
    Group,
    Measure,
    Preset,
    Range,
    Wanted,
)
from usage.services.explore import Report, explore
from usage.services.figures import figure, insides
from usage.services.tables import Column, Table, table
from usage.views.cards import cards
from usage.views.filtering import filtering
from usage.views.rows import added_up, cells, group_rows, period_rows

# More rows than anybody reads; the rest of them is one, and files have them all.
MOST_LINES: Final = 100
# What the form of the range asks for.
OF_RANGE: Final = frozenset({"range", "from", "to", "tz", "held"})


@team_view(Permission.USAGE_READ, operation="GetUsage")
@require_safe
def explorer(request: TeamRequest) -> HttpResponse:
    """Show a view of the team's usage as the address describes it, in the person's time zone."""
    now = timezone.now()
    form = ExplorerForm(request.GET, zone=request.user.zone, now=now)
    context: dict[str, Any] = {"form": form, "zones": zone_options(), "zone": form.zone.key}
    context["shared"] = form.shared_query
    status = 200
    if not form.is_valid():
        context["kept"] = _kept(request, form)
    else:
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


def _controls(request: TeamRequest, form: ExplorerForm, now: datetime) -> dict[str, Any]:
    wanted = form.wanted
    return {
        **filtering(
            request.team,
            wanted.filters,
            lambda left: wanted.address(filters=left),
            listed=request.GET.get("list", ""),
        ),
        "wanted": wanted,
        "presets": [(preset, _address(wanted, preset, now)) for preset in Preset],
        "granularities": wanted.range.granularities(),
        "measures": list(Measure),
        "groups": [
            group
            for group in Group
            if (wanted.measure, group) != (Measure.REQUESTS, Group.TOKEN_TYPE)
        ],
        "hidden": _hidden(wanted),
        "query": wanted.address(),
    }


def _kept(request: TeamRequest, form: ExplorerForm) -> list[tuple[str, str]]:
    """List what was chosen besides a range that cannot be shown, unless it cannot be, either."""
    if form.non_field_errors():
        return []
    return [
        (name, value)
        for name, values in request.GET.lists()
        if name not in OF_RANGE
        for value in values
    ]


def _address(wanted: Wanted, preset: Preset, now: datetime) -> str:
    """Lead to another range, as fine as this one was asked to be, or as is usual."""
    range_ = Range.of_preset(preset, wanted.range.zone, now)
    is_usual = wanted.granularity == wanted.range.usual()
    granularity = range_.usual() if is_usual else range_.nearest(wanted.granularity)
    return wanted.address(range=range_, granularity=granularity)


def _hidden(wanted: Wanted) -> dict[str, list[tuple[str, str]]]:
    """Say for each form what it has to send along, which are the other forms' fields."""
    pairs = wanted.pairs()
    of_selects = {"granularity", "dimension", "group", "compare"}
    of_filters = {name for name, _ in wanted.filters.pairs()}
    return {
        "range": [pair for pair in pairs if pair[0] not in OF_RANGE],
        "selects": [pair for pair in pairs if pair[0] not in of_selects],
        "filters": [pair for pair in pairs if pair[0] not in of_filters],
    }


# --- What is shown ----------------------------------------------------------------------------


def _shown(request: TeamRequest, report: Report) -> dict[str, Any]:
    wanted = report.wanted
    shown = table(report)
    listed = MOST_LINES if shown.first == "name" else len(shown.lines)
    unlisted, spans = shown.lines[listed:], insides(report)
    # Inside of the finest bars are single requests.
    within = "" if wanted.granularity.finer else reverse("usage:requests", args=[request.team.pk])
    return {
        "report": report,
        "cards": cards(request, report),
        "figure": figure(report, spans),
        "within": within or request.path,
        "chart_title": f"{wanted.measure.noun} per {wanted.granularity.noun}",
        "chart_note": _chart_note(wanted),
        "empty": "" if report.measured or any(report.before.values) else _empty(wanted.measure),
        "table": shown,
        "heads": _heads(shown),
        "period_rows": period_rows(shown, spans, within),
        "group_rows": group_rows(request, shown, shown.lines[:listed]),
        "unlisted": len(unlisted),
        "unlisted_cells": added_up(shown, unlisted) if unlisted else "",
        "counted": _counted(shown),
        "total_cells": cells(shown.columns, shown.total),
        "by_group": wanted.address(table="", sort=""),
        "by_period": wanted.address(table=BY_PERIOD, sort=""),
        "marked": [
            (day, anomaly.sentence(usd)) for day, anomaly in sorted(report.anomalies.items())
        ],
    }


def _chart_note(wanted: Wanted) -> str:
    stacked = f", stacked by {wanted.stacked_by.noun}" if wanted.stacked_by else ""
    return f"{wanted.measure.unit}{stacked}, times in {wanted.range.zone.key}"


def _empty(measure: Measure) -> str:
    if measure is Measure.COST:
        return "Nothing was spent in this range."
    return f"There are no {measure.noun.lower()} in this range."


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
                "name": column.name,
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
