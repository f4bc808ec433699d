"""Files of single requests: asked for, looked after while they are made, and fetched."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import polls
from accounts.rules import Permission
from accounts.web import TeamRequest, read_id, render_page, streamed_csv, team_view
from usage import services as usage
from usage.forms import RequestsForm
from usage.models import UsageExport

# How long an opened page keeps its files up to date by itself.
KEPT_UP_FOR: Final = timedelta(hours=1)
_POLLED: Final = "usage.views.exports"


@team_view(Permission.USAGE_READ, operation="ListUsageExports")
@require_http_methods(["GET", "HEAD", "POST"])
def exports(request: TeamRequest) -> HttpResponse:
    """Show the files that are made or ready; POST for one of the requests that the address names.

    A small one is the answer to the POST.
    """
    now = timezone.now()
    if request.method == "POST":
        return _ask(request)
    context: dict[str, Any] = {
        "exports": usage.exports(request.team, zone=request.user.zone, now=now),
        "ticket": polls.ticket(request, _POLLED),
        "kept_days": usage.EXPORTS_KEPT_FOR.days,
    }
    return render_page(request, "usage/exports.html", context, partials={"exports"})


def _ask(request: TeamRequest) -> HttpResponse:
    now = timezone.now()
    form = RequestsForm(request.GET, zone=request.user.zone, now=now)
    if not form.is_valid():  # The page says what is wrong.
        log = reverse("usage:requests", args=[request.team.pk])
        return redirect(f"{log}?{request.META['QUERY_STRING']}")
    content = usage.small_csv(team=request.team, actor=request.actor, search=form.search, now=now)
    if content is not None:
        response = HttpResponse(content, content_type="text/csv; charset=utf-8")
        name = f"requests-{form.range.first}-to-{form.range.last}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
    try:
        usage.ask_export(
            team=request.team,
            actor=request.actor,
            user=request.user,
            search=form.search,
            # A form that was mangled is another one.
            export_id=read_id(request.POST.get("id")) or uuid4(),
            now=now,
        )
    except (usage.TooManyExportsError, usage.TooLargeError) as error:
        messages.error(request, str(error))
    return redirect("usage:exports", request.team.pk)


@team_view(Permission.USAGE_READ, operation="GetUsageExport", is_poll=True)
@require_safe
@never_cache
def export(request: TeamRequest, export_id: UUID) -> HttpResponse:
    """Bring one file's line of an open page up to date; tell an older page to stop."""
    if not request.htmx:
        _found(request, export_id)
        return redirect("usage:exports", request.team.pk)
    try:
        shown = usage.find_export(request.team, export_id, now=timezone.now())
    except usage.NoExportError:
        # In the place of its line: no line, which asks no more.
        return HttpResponse(status=polls.STOP_POLLING)
    is_open = polls.is_open(request, _POLLED, kept_up_for=KEPT_UP_FOR)
    [line] = usage.shown_exports(request.team, [shown], zone=request.user.zone)
    context = {
        "shown": line,
        "ticket": request.GET.get("ticket", ""),
        "is_stopped": not is_open,
    }
    return render(request, "usage/exports.html#line", context)


@team_view(Permission.USAGE_READ, operation="DownloadUsageExport")
@require_safe
def export_file(request: TeamRequest, export_id: UUID) -> HttpResponse:
    """Hand out a file that is ready."""
    shown = _found(request, export_id)
    if shown.state != shown.State.READY:
        raise Http404
    name = f"requests-{shown.asked_at:%Y-%m-%d}-{str(shown.pk)[:8]}.csv"
    return streamed_csv(usage.parts_of(shown), name)


@team_view(Permission.USAGE_READ, operation="CancelUsageExport")
@require_POST
def cancel_export(request: TeamRequest, export_id: UUID) -> HttpResponse:
    try:
        usage.cancel_export(
            membership=request.membership,
            actor=request.actor,
            export_id=export_id,
            now=timezone.now(),
        )
    except usage.NoExportError as error:
        raise Http404 from error
    return redirect("usage:exports", request.team.pk)


@team_view(Permission.USAGE_READ, operation="RetryUsageExport")
@require_POST
def retry_export(request: TeamRequest, export_id: UUID) -> HttpResponse:
    try:
        usage.retry_export(
            membership=request.membership,
            actor=request.actor,
            export_id=export_id,
            now=timezone.now(),
        )
    except usage.NoExportError as error:
        raise Http404 from error
    except usage.TooManyExportsError as error:
        messages.error(request, str(error))
    return redirect("usage:exports", request.team.pk)


def _found(request: TeamRequest, export_id: UUID) -> UsageExport:
    try:
        return usage.find_export(request.team, export_id, now=timezone.now())
    except usage.NoExportError as error:
        raise Http404 from error
