"""The explorer's table as files."""

from collections.abc import Callable
from typing import Final

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import TeamRequest, team_view
from usage import stores
from usage.forms import ExplorerForm
from usage.services import tables
from usage.services.explore import explore

CSV: Final = "text/csv; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"


@team_view(Permission.USAGE_READ, operation="ExportUsage")
@require_safe
def table_csv(request: TeamRequest) -> HttpResponse:
    """Download the table that the page shows, with all its rows."""
    return _file(request, tables.table_csv, "csv", CSV)


@team_view(Permission.USAGE_READ, operation="ExportUsage")
@require_safe
def table_json(request: TeamRequest) -> HttpResponse:
    """Download the same as JSON."""
    return _file(request, tables.table_json, "json", JSON)


def _file(
    request: TeamRequest,
    write: Callable[[tables.Table], bytes | str],
    extension: str,
    content_type: str,
) -> HttpResponse:
    now = timezone.now()
    form = ExplorerForm(request.GET, zone=request.user.zone, now=now)
    if not form.is_valid():  # The page says what is wrong.
        page = reverse("usage:explorer", args=[request.team.pk])
        return redirect(f"{page}?{request.GET.urlencode()}")
    try:
        report = explore(request.team, form.wanted, now=now)
    except stores.StoreUnavailableError as error:
        return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)
    response = HttpResponse(write(tables.table(report)), content_type=content_type)
    name = f"usage-{form.range.first}-{form.range.last}.{extension}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
