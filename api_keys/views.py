"""The page of API keys, and what its buttons do."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, pager, render_page, team_view
from api_keys import services as api_keys
from api_keys.forms import CreateForm, DeleteForm
from api_keys.models import ApiKey

PAGE_SIZE = 50
SHELL_EXAMPLE = """\
curl {base_url}/models \\
  -H "Authorization: Bearer $CONSOLE_API_KEY"
"""


@team_view(Permission.API_KEYS_READ, operation="ListApiKeys")
@require_safe
def keys(request: TeamRequest) -> HttpResponse:
    """List the keys that the member may see; `?dialog=delete&key=<id>` asks about one of them."""
    key = _asked_to_delete(request)
    return _page(request, delete_form=DeleteForm(key=key) if key else None)


@team_view(Permission.API_KEYS_WRITE, operation="CreateApiKey")
@proof_required
@require_POST
@never_cache
def create(request: TeamRequest) -> HttpResponse:
    """Make a key and show its secret, this once.

    The one POST that worked and does not redirect. A redirect would need the secret to be kept
    until the next request comes, in the session or the address, and it is kept nowhere. What the
    redirect is for holds all the same: a repeated POST brings the same key id, makes nothing, and
    is told that the secret was shown.
    """
    form = CreateForm(request.POST)
    if not form.is_valid():
        return _page(request, form=form)
    try:
        created = api_keys.create(
            team=request.team,
            actor=request.actor,
            owner=request.user,
            name=form.cleaned_data["name"],
            key_id=form.cleaned_data["key_id"],
            now=timezone.now(),
        )
    except api_keys.KeyExistsError as error:
        messages.warning(request, str(error))
        return _to_list(request)
    return _page(request, created=created)


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
    return _to_list(request)


@team_view(Permission.API_KEYS_WRITE, operation="EnableApiKey")
@require_POST
def enable(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = _key_or_404(request, key_id)
    try:
        api_keys.enable(key=key, actor=request.actor, now=timezone.now())
    except api_keys.KeyDeletedError as error:
        messages.warning(request, str(error))
    else:
        messages.info(request, f"{key.name} is enabled. Requests with it work again.")
    return _to_list(request)


@team_view(Permission.API_KEYS_WRITE, operation="DeleteApiKey")
@require_POST
def delete(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = _key_or_404(request, key_id)
    form = DeleteForm(request.POST, key=key)
    if not form.is_valid():
        return _page(request, delete_form=form)
    api_keys.delete(key=key, actor=request.actor, now=timezone.now())
    messages.info(request, f"{key.name} is deleted. Requests with it fail from now on.")
    return _to_list(request)


def _page(
    request: TeamRequest,
    *,
    form: CreateForm | None = None,
    delete_form: DeleteForm | None = None,
    created: api_keys.CreatedKey | None = None,
) -> HttpResponse:
    visible = api_keys.visible_to(request.membership).select_related("owner").newest_first()
    page = Paginator(visible, PAGE_SIZE).get_page(request.GET.get("page"))
    list_url = reverse("api_keys:list", args=[request.team.pk])
    context: dict[str, Any] = {
        "page": page,
        "list_url": list_url,
        "pager": pager(page, list_url),
        # Buttons bring it along, so that they lead back to the page they were on.
        "here": f"?page={page.number}" if page.number > 1 else "",
        "form": form or CreateForm(),
        "delete_form": delete_form,
        "created": created,
        "examples": _examples() if created else (),
    }
    return render_page(request, "api_keys/list.html", context, partials={"api-keys"})


def _examples() -> list[tuple[str, str]]:
    """Say what to run first, with titles."""
    base_url = f"{settings.PUBLIC_URL}/v1"
    return [
        ("List the models from a shell", SHELL_EXAMPLE.format(base_url=base_url)),
        ("Chat from Python", api_keys.python_example(base_url)),
    ]


def _to_list(request: TeamRequest) -> HttpResponseRedirect:
    number = request.GET.get("page", "")
    here = f"?page={number}" if number.isdecimal() else ""
    return redirect(reverse("api_keys:list", args=[request.team.pk]) + here)


def _asked_to_delete(request: TeamRequest) -> ApiKey | None:
    if request.GET.get("dialog") != "delete":
        return None
    try:
        key_id = UUID(request.GET.get("key", ""))
    except ValueError:
        return None
    return api_keys.visible_to(request.membership).filter(pk=key_id).first()


def _key_or_404(request: TeamRequest, key_id: UUID) -> ApiKey:
    """Find a key the member may change; a deleted one too, so that a double click meets no 404."""
    key = api_keys.known_to(request.membership).select_related("team").filter(pk=key_id).first()
    if key is None:
        raise Http404
    return key
