"""The request log: a page of single requests, the details of one, and one found by its id."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_safe

from accounts.forms.profile import zone_options
from accounts.rules import Permission
from accounts.web import Pager, TeamRequest, read_id, render_page, team_view
from usage import rules
from usage import services as usage
from usage.forms import RequestsForm
from usage.rules import Field, Preset
from usage.rules.filters import quoted
from usage.rules.requests import Status
from usage.views.filtering import filtering

PAGE_SIZE: Final = 50
# Shown also where none of them was used, so that pages look alike.
ALWAYS_SHOWN: Final = ("prompt_text", "completion")
BESIDE: Final = ("older", "newer")
OFFERED: Final = (Preset.LAST_DAY, Preset.WEEK, Preset.THIRTY_DAYS, Preset.MONTH)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the log, and the addresses of the log with only what it has."""

    shown: usage.ShownRequest
    quantities: list[int]
    only: dict[str, str]


@team_view(Permission.USAGE_READ, operation="ListRequests")
@require_safe
def requests(request: TeamRequest) -> HttpResponse:
    """Show the requests that the address asks for, newest first, or lead to one by its id."""
    sought = request.GET.get("find", "").strip()
    if not sought:
        return _page(request)
    request_id = read_id(sought)
    if request_id is None:
        return _page(request, sought=sought, not_an_id=quoted(sought))
    if usage.find_request(request.team, request_id) is None:
        return _page(request, sought=sought, unknown_id=request_id)
    return redirect("usage:request", request.team.pk, request_id)


@team_view(Permission.USAGE_READ, operation="GetRequest")
@require_safe
def request_details(request: TeamRequest, request_id: UUID) -> HttpResponse:
    """Show one request in a sheet over the log, or to htmx the sheet alone."""
    shown = usage.find_request(request.team, request_id)
    if shown is None:
        raise Http404
    return _page(request, shown=shown)


def _page(request: TeamRequest, **context: Any) -> HttpResponse:
    now = timezone.now()
    form = RequestsForm(request.GET, zone=request.user.zone, now=now)
    address = reverse("usage:requests", args=[request.team.pk])

    def log() -> dict[str, Any]:
        return _log(request, form, address)

    is_valid = form.is_valid()
    context |= {
        "form": form,
        "zones": zone_options(),
        "zone": form.zone.key,
        "shared": form.shared_query,
        "address": address,
        "form_id": uuid4(),
        # What the sheet's address keeps, so that the log under it stays as it is.
        "query": _query(request, form) if is_valid else request.META["QUERY_STRING"],
        "kept_days": settings.USAGE_EVENT_DAYS,
    }
    if shown := context.get("shown"):
        day = shown.event.at.astimezone(form.zone).date().isoformat()
        of_key = {"tz": form.zone.key, "api_key": shown.event.api_key_id}
        explorer = reverse("usage:explorer", args=[request.team.pk])
        context["of_key"] = f"{address}?{urlencode(of_key)}"
        context["around"] = f"{explorer}?{urlencode({'from': day, 'to': day} | of_key)}"
    if is_valid:
        # Lazy, because the sheet alone needs no log.
        context["log"] = SimpleLazyObject(log)
        context["reaches_back"] = form.range.begin < now - timedelta(settings.USAGE_EVENT_DAYS)
    # Times are those of the zone that the address asks for.
    with timezone.override(form.zone):
        response = render_page(
            request, "usage/requests.html", context, partials={"requests", "request-sheet"}
        )
    if request.htmx.target == "requests" and is_valid:
        # What a form sends says the same at greater length.
        response["HX-Push-Url"] = f"{address}?{context['query']}"
    return response


def _query(request: TeamRequest, form: RequestsForm) -> str:
    beside = [(side, known) for side in BESIDE if (known := read_id(request.GET.get(side)))]
    return f"{form.query()}&{urlencode(beside)}" if beside else form.query()


def _log(request: TeamRequest, form: RequestsForm, address: str) -> dict[str, Any]:
    page = usage.requests_page(
        request.team,
        form.search,
        size=PAGE_SIZE,
        older_than=read_id(request.GET.get("older")),
        newer_than=read_id(request.GET.get("newer")),
    )
    query = form.query()
    found = page.requests

    def beside(side: str, shown: usage.ShownRequest) -> str:
        return f"{address}?{query}&{urlencode({side: shown.event.pk})}"

    used = [place for place, item in enumerate(rules.ITEMS) if _is_shown(item, place, found)]
    return {
        **filtering(
            request.team,
            form.filters,
            lambda left: f"{address}?{form.query(filters=left)}",
            listed=request.GET.get("list", ""),
        ),
        "hidden": form.hidden,
        "requests": found,
        "rows": [_row(shown, used, form, address) for shown in found],
        "pager": Pager(
            text=f"{len(found)} request{pluralize(len(found))}, newest first",
            newer=beside("newer", found[0]) if page.has_newer and found else "",
            older=beside("older", found[-1]) if page.has_older else "",
        ),
        "columns": [rules.label_of(rules.ITEMS[place]).partition(" prompt")[0] for place in used],
        "asked": query,
        "range_label": form.range.label,
        "ranges": [(preset, f"{address}?{form.query(range_=preset)}") for preset in OFFERED],
        "statuses": [
            (status, f"{address}?{form.query(status=status)}", label)
            for status, label in (
                (Status.ALL, "All"),
                (Status.ANSWERED, "Answered"),
                (Status.FAILED, "Failed"),
            )
        ],
        "explorer": f"{reverse('usage:explorer', args=[request.team.pk])}?{form.shared_query}",
        "is_unused": not found and not form.search.is_narrowed and not usage.has_any(request.team),
    }


def _is_shown(item: str, place: int, found: list[usage.ShownRequest]) -> bool:
    return item in ALWAYS_SHOWN or any(shown.quantities[place] for shown in found)


def _row(shown: usage.ShownRequest, used: list[int], form: RequestsForm, address: str) -> Row:
    event, quantities = shown.event, shown.quantities
    values = {
        Field.API_KEY: str(event.api_key_id),
        Field.MODEL: event.model,
        Field.CLUSTER: event.cluster,
        Field.IP: event.ip,
    }
    only = {
        str(field): f"{address}?{form.query(filters=form.filters.only(field, value))}"
        for field, value in values.items()
    }
    return Row(shown, [quantities[place] for place in used], only)
