"""The pages of API keys: their list, and one key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import Team
from accounts.rules import Permission
from accounts.web import TeamRequest, pager, render_page, team_view
from api_keys import rules, signals
from api_keys import services as api_keys
from api_keys.forms import CreateForm, DeleteForm, EditForm, ListForm, RotateForm
from api_keys.models import ApiKey, ApiKeyQuerySet
from audit import services as audit

PAGE_SIZE: Final = 50
MONTHS_SHOWN: Final = 12
EVENTS_SHOWN: Final = 10
# In an address: whoever pressed the button was on the key's own page, and goes back there.
BACK_TO_KEY: Final = {"back": "key"}
# What the list is sorted by when a column's head is pressed for the first time.
COLUMNS: Final = {
    "name": ("Name", "name"),
    "key": ("Key", ""),
    "acls": ("May use", ""),
    "owner": ("Owner", "owner"),
    "created": ("Created", "-created"),
    "expires": ("Expires", "expires"),
    "last_used": ("Last used", "-last_used"),
    "spent": ("Spent in {month:%b}", "-spent"),
    "status": ("Status", ""),
}


# --- Pages --------------------------------------------------------------------------------------


@team_view(Permission.API_KEYS_READ, operation="ListApiKeys")
@require_safe
def keys(request: TeamRequest) -> HttpResponse:
    """List the keys that the member may see; `?dialog=edit&key=<id>` asks about one of them."""
    asked = _list_form(request)
    if request.GET.get("q", "").strip() != asked.query.get("q", "") and not request.htmx:
        # A whole secret was pasted, which must not stay in the address.
        return redirect(url_of_list(request) + _query(asked.query))
    return list_page(request, **_asked_about(request, request.GET.get("key", "")))


@team_view(Permission.API_KEYS_READ, operation="GetApiKey")
@require_safe
def key(request: TeamRequest, key_id: UUID) -> HttpResponse:
    """Show all there is to know of a key, a deleted one too; `?dialog=edit` asks about it."""
    shown = key_or_404(request, key_id)
    return _key_page(request, shown, **_asked_about(request, str(shown.pk)))


# --- What the pages are made of -------------------------------------------------------------------


def show(request: TeamRequest, key: ApiKey, **dialogs: Any) -> HttpResponse:
    """Answer on the page where the button was, with a dialog."""
    if _is_back_to_key(request):
        return _key_page(request, key, **dialogs)
    return list_page(request, **dialogs)


def list_page(
    request: TeamRequest, *, form: CreateForm | None = None, **dialogs: Any
) -> HttpResponse:
    now = timezone.now()
    asked = _list_form(request)
    page = api_keys.page(
        request.membership,
        asked.wanted,
        number=request.GET.get("page"),
        size=PAGE_SIZE,
        now=now,
    )
    owners = api_keys.owners(request.membership)
    list_url = url_of_list(request)
    context: dict[str, Any] = {
        "page": page,
        "asked": asked,
        "is_narrowed": bool(asked.query.keys() - {"sort"}),
        "owners": owners if len(owners) > 1 else [],
        "columns": _columns(asked, list_url, now),
        "month": api_keys.month_of(now),
        "list_url": list_url,
        "pager": pager(page, list_url, **asked.query),
        "form": form or create_form(request, now=now),
        "mails_new_countries": api_keys.mails_new_countries(request.team),
        "may_set_notices": Permission.TEAM_WRITE in request.membership.permissions,
        # Buttons bring it along, so that they lead back to the page they were on.
        **_dialogs(list_url, _here(request), "api-keys", **dialogs),
    }
    return render_page(request, "api_keys/list.html", context, partials={"api-keys"})


def _key_page(request: TeamRequest, key: ApiKey, **dialogs: Any) -> HttpResponse:
    now = timezone.now()
    may_audit = Permission.AUDIT_READ in request.membership.permissions
    key_url = url_of_key(request, key)
    context: dict[str, Any] = {
        "key": key,
        "now": now,
        "list_url": url_of_list(request),
        "key_url": key_url,
        "month": api_keys.month_of(now),
        **_allowed(key),
        "months": api_keys.months_of(key, limit=MONTHS_SHOWN),
        "retired": api_keys.retired_secrets(key, now=now),
        "leaks": api_keys.leaks_of(key),
        "addresses": api_keys.addresses_of(key),
        "events": audit.changes_of(
            request.team, target_type="API key", target_id=str(key.pk), limit=EVENTS_SHOWN
        )
        if may_audit
        else None,
        **_dialogs(key_url, _query(BACK_TO_KEY), "api-key", **dialogs),
    }
    return render_page(request, "api_keys/key.html", context, partials={"api-key"})


def _allowed(key: ApiKey) -> dict[str, str]:
    """Name the endpoints and the models that a key may use, all of them."""
    endpoints = rules.acl_names(key.acls, rules.ENDPOINT_ACL)
    models = rules.acl_names(key.acls, rules.MODEL_ACL)
    return {
        "endpoints": "All"
        if endpoints == [rules.EVERY]
        else ", ".join(rules.ENDPOINTS.get(name, name) for name in endpoints),
        "models": "All" if models == [rules.EVERY] else ", ".join(models),
    }


def _dialogs(back_url: str, here: str, target: str, **dialogs: Any) -> dict[str, Any]:
    """Say what `_dialogs.html` and `_menu.html` need: where they are, and what is asked."""
    return {
        "back_url": back_url,
        "here": here,
        "target": target,
        "examples": _examples() if "created" in dialogs else (),
        **dialogs,
    }


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column, and the address of the list sorted by it."""

    name: str
    label: str
    address: str
    sorted: str  # As aria-sort has it, or empty.


def _columns(asked: ListForm, list_url: str, now: datetime) -> list[Column]:
    order = asked.wanted.order
    columns = []
    for name, (label, first) in COLUMNS.items():
        by, is_sorted = first.removeprefix("-"), order.removeprefix("-") == first.removeprefix("-")
        turned = by if order.startswith("-") else f"-{by}"
        query = asked.query | {"sort": turned if is_sorted else first}
        direction = "descending" if order.startswith("-") else "ascending"
        address = list_url + _query(query) if first else ""
        label = label.format(month=api_keys.month_of(now))  # noqa: PLW2901 -- ready to show
        columns.append(Column(name, label, address, direction if is_sorted else ""))
    return columns


def _examples() -> list[tuple[str, str]]:
    """Say what to run first, with titles."""
    base_url = f"{settings.PUBLIC_URL}/v1"
    return [
        ("List the models from a shell", api_keys.shell_example(base_url)),
        ("Chat from Python", api_keys.python_example(base_url)),
    ]


# --- What a request asks for ----------------------------------------------------------------------


def _list_form(request: TeamRequest) -> ListForm:
    return ListForm(request.GET)


def create_form(request: TeamRequest, data: Any = None, *, now: datetime) -> CreateForm:
    return CreateForm(data, models=_models(request.team), user=request.user, now=now)


def edit_form_of(request: TeamRequest, key: ApiKey, data: Any = None, *, now: datetime) -> EditForm:
    return EditForm(data, key=key, models=_models(request.team), user=request.user, now=now)


def _models(team: Team) -> list[str]:
    """Name the models that a key can be limited to."""
    answers = signals.models_asked.send(sender=ApiKey, team=team)
    return [name for _, names in answers for name in names or ()]


def _asked_about(request: TeamRequest, key_id: str) -> dict[str, Any]:
    """Make the form of the dialog that the address asks for about one key."""
    try:
        key = _known(request).not_deleted().filter(pk=UUID(key_id)).first()
    except ValueError:
        return {}
    match request.GET.get("dialog"):
        case "edit" if key:
            return {"edit_form": edit_form_of(request, key, now=timezone.now())}
        case "rotate" if key:
            return {"rotate_form": RotateForm(key=key, rotation=api_keys.rotations_of(key))}
        case "delete" if key:
            return {"delete_form": DeleteForm(key=key)}
    return {}


def _known(request: TeamRequest) -> ApiKeyQuerySet:
    return api_keys.known_to(request.membership).select_related("team", "owner")


def key_or_404(request: TeamRequest, key_id: UUID) -> ApiKey:
    """Find a key the member may change; a deleted one too, so that a double click meets no 404."""
    month = api_keys.month_of(timezone.now())
    key = _known(request).filter(pk=key_id).with_spent(month).first()
    if key is None:
        raise Http404
    return key


# --- Where to go ----------------------------------------------------------------------------------


def back_url(request: TeamRequest, key: ApiKey | None = None) -> str:
    """Name the page where the button was that was pressed."""
    if key and _is_back_to_key(request):
        return url_of_key(request, key)
    return url_of_list(request) + _here(request)


def _is_back_to_key(request: TeamRequest) -> bool:
    return request.GET.get("back") == BACK_TO_KEY["back"]


def _here(request: TeamRequest) -> str:
    query, number = _list_form(request).query, request.GET.get("page", "")
    if number.isdecimal() and number != "1":
        query |= {"page": number}
    return _query(query)


def _query(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


def url_of_list(request: TeamRequest) -> str:
    return reverse("api_keys:list", args=[request.team.pk])


def url_of_key(request: TeamRequest, key: ApiKey) -> str:
    return reverse("api_keys:key", args=[request.team.pk, key.pk])
