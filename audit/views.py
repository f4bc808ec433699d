"""The audit log, as a page of events and the details of one."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_safe

from accounts.rules import Permission
from accounts.web import Pager, TeamRequest, read_id, render_page, team_view
from audit import rules
from audit import services as audit
from audit.models import AuditEvent

PAGE_SIZE = 50


@team_view(Permission.AUDIT_READ, operation="ListAuditEvents")
@require_safe
def log(request: TeamRequest) -> HttpResponse:
    """Show every operation in the team, newest first."""
    return _page(request)


@team_view(Permission.AUDIT_READ, operation="GetAuditEvent")
@require_safe
def event(request: TeamRequest, event_id: UUID) -> HttpResponse:
    """Show one event in a sheet over the log, or to htmx the sheet alone."""
    shown = AuditEvent.of(request.team).select_related("user").filter(pk=event_id).first()
    if shown is None:
        raise Http404
    return _page(request, event=shown, changes=rules.changes(shown.before, shown.after))


def _page(request: TeamRequest, **context: Any) -> HttpResponse:
    def page() -> dict[str, Any]:
        cut = audit.page(
            request.team,
            size=PAGE_SIZE,
            older_than=read_id(request.GET.get("older")),
            newer_than=read_id(request.GET.get("newer")),
        )
        log_url = reverse("audit:log", args=[request.team.pk])
        count = len(cut.events)
        return {
            "events": cut.events,
            "pager": Pager(
                text=f"{count} event{pluralize(count)}, newest first",
                newer=f"{log_url}?newer={cut.events[0].pk}" if cut.has_newer else "",
                older=f"{log_url}?older={cut.events[-1].pk}" if cut.has_older else "",
            ),
        }

    # Lazy, because the sheet alone needs no log.
    context |= {"page": SimpleLazyObject(page), "query": request.META["QUERY_STRING"]}
    return render_page(request, "audit/log.html", context, partials={"events", "event-sheet"})
