"""The pages of API keys: their list, one key, and what buttons do on both."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings as django_settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Team
from accounts.proof import proof_required
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
SHELL_EXAMPLE: Final = """\
curl {base_url}/models \\
  -H "Authorization: Bearer $CONSOLE_API_KEY"
"""


# --- Pages --------------------------------------------------------------------------------------


@team_view(Permission.API_KEYS_READ, operation="ListApiKeys")
@require_safe
def keys(request: TeamRequest) -> HttpResponse:
    """List the keys that the member may see; `?dialog=edit&key=<id>` asks about one of them."""
    asked = _list_form(request)
    if request.GET.get("q", "").strip() != asked.query.get("q", "") and not request.htmx:
        # A whole secret was pasted, which must not stay in the address.
        return redirect(_list_url(request) + _query(asked.query))
    return _list(request, **_asked_about(request, request.GET.get("key", "")))


@team_view(Permission.API_KEYS_READ, operation="GetApiKey")
@require_safe
def key(request: TeamRequest, key_id: UUID) -> HttpResponse:
    """Show all there is to know of a key, a deleted one too; `?dialog=edit` asks about it."""
    shown = _key_or_404(request, key_id)
    return _key_page(request, shown, **_asked_about(request, str(shown.pk)))


# --- Buttons ------------------------------------------------------------------------------------


@team_view(Permission.API_KEYS_WRITE, operation="CreateApiKey")
@proof_required
@require_POST
@never_cache
def create(request: TeamRequest) -> HttpResponse:
    """Make a key and show its secret, this once.

    With `rotate`, the one POST that worked and does not redirect. A redirect would need the secret
    to be kept until the next request comes, in the session or the address, and it is kept nowhere.
    What the redirect is for holds all the same: a repeated POST brings the same key id, makes
    nothing, and is told that the secret was shown.
    """
    now = timezone.now()
    form = _create_form(request, request.POST)
    if not form.is_valid():
        return _list(request, form=form)
    try:
        created = api_keys.create(
            team=request.team,
            actor=request.actor,
            owner=request.user,
            name=form.cleaned_data["name"],
            terms=form.terms,
            key_id=form.cleaned_data["key_id"],
            now=now,
        )
    except api_keys.TermsError as error:
        form.refuse(error)
        return _list(request, form=form)
    except api_keys.KeyExistsError as error:
        messages.warning(request, str(error))
        return redirect(_place(request))
    return _list(request, created=created)


@team_view(Permission.API_KEYS_WRITE, operation="UpdateApiKey")
@proof_required
@require_POST
def edit(request: TeamRequest, key_id: UUID) -> HttpResponse:
    """Give a key another name or other terms."""
    key = _key_or_404(request, key_id)
    form = _edit_form(request, key, request.POST)
    if not form.is_valid():
        return _show(request, key, edit_form=form)
    try:
        changed = api_keys.edit(
            key=key,
            actor=request.actor,
            name=form.cleaned_data["name"],
            terms=form.terms,
            seen_at=form.cleaned_data["seen_at"],
            now=timezone.now(),
        )
    except api_keys.TermsError as error:
        form.refuse(error)
        return _show(request, key, edit_form=form)
    except api_keys.KeyChangedError as error:
        form.add_error(None, str(error))
        return _show(request, key, edit_form=form)
    except api_keys.KeyDeletedError as error:
        messages.warning(request, str(error))
    else:
        name = form.cleaned_data["name"]
        messages.info(
            request,
            f"{name} is changed, from its next request on." if changed else f"{name} is as it was.",
        )
        if form.terms.may_nothing():
            messages.warning(request, f"{name} may do nothing: it needs an endpoint and a model.")
    return redirect(_place(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="RotateApiKey")
@proof_required
@require_POST
@never_cache
def rotate(request: TeamRequest, key_id: UUID) -> HttpResponse:
    """Give a key a new secret and show it, this once, as `create` does."""
    key = _key_or_404(request, key_id)
    form = RotateForm(request.POST, key=key)
    if not form.is_valid():
        return _show(request, key, rotate_form=form)
    try:
        rotated = api_keys.rotate(
            key=key,
            actor=request.actor,
            grace=form.length,
            rotation=form.cleaned_data["rotation"],
            now=timezone.now(),
        )
    except (api_keys.AlreadyRotatedError, api_keys.KeyDeletedError) as error:
        messages.warning(request, str(error))
        return redirect(_place(request, key))
    return _show(request, _key_or_404(request, key_id), created=rotated)


@team_view(Permission.API_KEYS_WRITE, operation="EndRetiredSecret")
@require_POST
def end_secret(request: TeamRequest, key_id: UUID, retired_id: int) -> HttpResponse:
    """End an old secret before its time."""
    key = _key_or_404(request, key_id)
    ended = api_keys.end_secret(
        key=key, retired_id=retired_id, actor=request.actor, now=timezone.now()
    )
    messages.info(
        request,
        "The old secret is ended. Requests with it fail from now on."
        if ended
        else "That secret is over already.",
    )
    return redirect(_key_url(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="DisableApiKey")
@require_POST
def disable(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = _key_or_404(request, key_id)
    try:
        api_keys.disable(key=key, actor=request.actor, now=timezone.now())
    except api_keys.KeyDeletedError as error:
        messages.warning(request, str(error))
    else:
        messages.info(
            request, f"{key.name} is disabled. Requests with it fail until you enable it."
        )
    return redirect(_place(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="EnableApiKey")
@require_POST
def enable(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = _key_or_404(request, key_id)
    try:
        api_keys.enable(key=key, actor=request.actor, now=timezone.now())
    except api_keys.KeyDeletedError as error:
        messages.warning(request, str(error))
    else:
        match key.status:
            case ApiKey.Status.BLOCKED:
                rest = "Requests with it still fail: its secret leaked. Rotate it."
            case ApiKey.Status.EXPIRED:
                rest = "Requests with it still fail: it has expired. Edit it to let it go on."
            case _:
                rest = "Requests with it work again."
        messages.info(request, f"{key.name} is enabled. {rest}")
    return redirect(_place(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="DeleteApiKey")
@require_POST
def delete(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = _key_or_404(request, key_id)
    form = DeleteForm(request.POST, key=key)
    if not form.is_valid():
        return _show(request, key, delete_form=form)
    api_keys.delete(key=key, actor=request.actor, now=timezone.now())
    messages.info(request, f"{key.name} is deleted. Requests with it fail from now on.")
    return redirect(_place(request, key))


@team_view(Permission.TEAM_WRITE, operation="UpdateApiKeySettings")
@require_POST
def settings(request: TeamRequest) -> HttpResponse:
    """Switch the mails about keys that are used from new countries on or off."""
    wanted = request.POST.get("mails_new_countries") == "on"
    api_keys.set_mails_new_countries(
        team=request.team, wanted=wanted, actor=request.actor, now=timezone.now()
    )
    messages.info(
        request,
        "Owners are mailed when a key is first used from a new country."
        if wanted
        else "Nobody is mailed about new countries any more.",
    )
    return redirect(_list_url(request))


# --- What the pages are made of -------------------------------------------------------------------


def _show(request: TeamRequest, key: ApiKey, **dialogs: Any) -> HttpResponse:
    """Answer on the page where the button was, with a dialog."""
    if _is_back_to_key(request):
        return _key_page(request, key, **dialogs)
    return _list(request, **dialogs)


def _list(request: TeamRequest, *, form: CreateForm | None = None, **dialogs: Any) -> HttpResponse:
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
    list_url = _list_url(request)
    context: dict[str, Any] = {
        "page": page,
        "asked": asked,
        "is_narrowed": bool(asked.query.keys() - {"sort"}),
        "owners": owners if len(owners) > 1 else [],
        "columns": _columns(asked, list_url, now),
        "month": api_keys.month_of(now),
        "list_url": list_url,
        "pager": pager(page, list_url, **asked.query),
        "form": form or _create_form(request),
        "mails_new_countries": api_keys.mails_new_countries(request.team),
        "may_set_notices": Permission.TEAM_WRITE in request.membership.permissions,
        # Buttons bring it along, so that they lead back to the page they were on.
        **_dialogs(list_url, _here(request), "api-keys", **dialogs),
    }
    return render_page(request, "api_keys/list.html", context, partials={"api-keys"})


def _key_page(request: TeamRequest, key: ApiKey, **dialogs: Any) -> HttpResponse:
    now = timezone.now()
    may_audit = Permission.AUDIT_READ in request.membership.permissions
    events = audit.log(request.team).filter(is_change=True, target_id=str(key.pk))
    key_url = _key_url(request, key)
    context: dict[str, Any] = {
        "key": key,
        "now": now,
        "list_url": _list_url(request),
        "key_url": key_url,
        "month": api_keys.month_of(now),
        **_allowed(key),
        "months": api_keys.months_of(key, limit=MONTHS_SHOWN),
        "retired": api_keys.retired_secrets(key),
        "leaks": api_keys.leaks_of(key),
        "addresses": api_keys.addresses_of(key),
        "events": events[:EVENTS_SHOWN] if may_audit else None,
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


def _dialogs(place_url: str, here: str, target: str, **dialogs: Any) -> dict[str, Any]:
    """Say what `_dialogs.html` and `_menu.html` need: where they are, and what is asked."""
    return {
        "place_url": place_url,
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
    base_url = f"{django_settings.PUBLIC_URL}/v1"
    return [
        ("List the models from a shell", SHELL_EXAMPLE.format(base_url=base_url)),
        ("Chat from Python", api_keys.python_example(base_url)),
    ]


# --- What a request asks for ----------------------------------------------------------------------


def _list_form(request: TeamRequest) -> ListForm:
    return ListForm(request.GET)


def _create_form(request: TeamRequest, data: Any = None) -> CreateForm:
    models = _models(request.team)
    return CreateForm(data, models=models, user=request.user, now=timezone.now())


def _edit_form(request: TeamRequest, key: ApiKey, data: Any = None) -> EditForm:
    models = _models(request.team)
    return EditForm(data, key=key, models=models, user=request.user, now=timezone.now())


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
            return {"edit_form": _edit_form(request, key)}
        case "rotate" if key:
            return {"rotate_form": RotateForm(key=key, rotation=api_keys.rotations_of(key))}
        case "delete" if key:
            return {"delete_form": DeleteForm(key=key)}
    return {}


def _known(request: TeamRequest) -> ApiKeyQuerySet:
    return api_keys.known_to(request.membership).select_related("team", "owner")


def _key_or_404(request: TeamRequest, key_id: UUID) -> ApiKey:
    """Find a key the member may change; a deleted one too, so that a double click meets no 404."""
    month = api_keys.month_of(timezone.now())
    key = _known(request).filter(pk=key_id).with_spent(month).first()
    if key is None:
        raise Http404
    return key


# --- Where to go ----------------------------------------------------------------------------------


def _place(request: TeamRequest, key: ApiKey | None = None) -> str:
    """Name the page where the button was that was pressed."""
    if key and _is_back_to_key(request):
        return _key_url(request, key)
    return _list_url(request) + _here(request)


def _is_back_to_key(request: TeamRequest) -> bool:
    return request.GET.get("back") == BACK_TO_KEY["back"]


def _here(request: TeamRequest) -> str:
    query, number = _list_form(request).query, request.GET.get("page", "")
    if number.isdecimal() and number != "1":
        query |= {"page": number}
    return _query(query)


def _query(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


def _list_url(request: TeamRequest) -> str:
    return reverse("api_keys:list", args=[request.team.pk])


def _key_url(request: TeamRequest, key: ApiKey) -> str:
    return reverse("api_keys:key", args=[request.team.pk, key.pk])
