"""What the buttons on the pages of API keys do."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, team_view
from api_keys import services as api_keys
from api_keys.forms import DeleteForm, RotateForm
from api_keys.models import ApiKey
from api_keys.views.pages import (
    back_url,
    create_form,
    edit_form_of,
    key_or_404,
    list_page,
    show,
    url_of_key,
    url_of_list,
)


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
    form = create_form(request, request.POST, now=now)
    if not form.is_valid():
        return list_page(request, form=form)
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
        return list_page(request, form=form)
    except api_keys.KeyExistsError as error:
        messages.warning(request, str(error))
        return redirect(back_url(request))
    return list_page(request, created=created)


@team_view(Permission.API_KEYS_WRITE, operation="UpdateApiKey")
@proof_required
@require_POST
def edit(request: TeamRequest, key_id: UUID) -> HttpResponse:
    """Give a key another name or other terms."""
    key = key_or_404(request, key_id)
    now = timezone.now()
    form = edit_form_of(request, key, request.POST, now=now)
    if not form.is_valid():
        return show(request, key, edit_form=form)
    try:
        changed = api_keys.edit(
            key=key,
            actor=request.actor,
            name=form.cleaned_data["name"],
            terms=form.terms,
            seen_at=form.cleaned_data["seen_at"],
            now=now,
        )
    except api_keys.TermsError as error:
        form.refuse(error)
        return show(request, key, edit_form=form)
    except api_keys.KeyChangedError as error:
        form.add_error(None, str(error))
        return show(request, key, edit_form=form)
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
    return redirect(back_url(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="RotateApiKey")
@proof_required
@require_POST
@never_cache
def rotate(request: TeamRequest, key_id: UUID) -> HttpResponse:
    """Give a key a new secret and show it, this once, as `create` does."""
    key = key_or_404(request, key_id)
    form = RotateForm(request.POST, key=key)
    if not form.is_valid():
        return show(request, key, rotate_form=form)
    try:
        rotated = api_keys.rotate(
            key=key,
            actor=request.actor,
            grace=form.length,
            rotation=form.cleaned_data["rotation"],
            now=timezone.now(),
        )
    except api_keys.GraceError as error:
        form.add_error("grace", str(error))
        return show(request, key, rotate_form=form)
    except (api_keys.AlreadyRotatedError, api_keys.KeyDeletedError) as error:
        messages.warning(request, str(error))
        return redirect(back_url(request, key))
    return show(request, key_or_404(request, key_id), created=rotated)


@team_view(Permission.API_KEYS_WRITE, operation="EndRetiredSecret")
@require_POST
def end_secret(request: TeamRequest, key_id: UUID, retired_id: int) -> HttpResponse:
    """End an old secret before its time."""
    key = key_or_404(request, key_id)
    ended = api_keys.end_secret(
        key=key, retired_id=retired_id, actor=request.actor, now=timezone.now()
    )
    messages.info(
        request,
        "The old secret is ended. Requests with it fail from now on."
        if ended
        else "That secret is over already.",
    )
    return redirect(url_of_key(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="DisableApiKey")
@require_POST
def disable(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = key_or_404(request, key_id)
    try:
        api_keys.disable(key=key, actor=request.actor, now=timezone.now())
    except api_keys.KeyDeletedError as error:
        messages.warning(request, str(error))
    else:
        messages.info(
            request, f"{key.name} is disabled. Requests with it fail until you enable it."
        )
    return redirect(back_url(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="EnableApiKey")
@require_POST
def enable(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = key_or_404(request, key_id)
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
    return redirect(back_url(request, key))


@team_view(Permission.API_KEYS_WRITE, operation="DeleteApiKey")
@require_POST
def delete(request: TeamRequest, key_id: UUID) -> HttpResponse:
    key = key_or_404(request, key_id)
    form = DeleteForm(request.POST, key=key)
    if not form.is_valid():
        return show(request, key, delete_form=form)
    api_keys.delete(key=key, actor=request.actor, now=timezone.now())
    messages.info(request, f"{key.name} is deleted. Requests with it fail from now on.")
    return redirect(back_url(request, key))


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
    return redirect(url_of_list(request))
