"""The page that asks who it is once more, by any of the ways that the person has."""

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthProcess
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.ceremonies import Ceremony, ask
from accounts.forms.security import CodeProofForm, KeyProofForm, PasswordProofForm
from accounts.proof import on_this_site, recently_proven, waits, way_on
from accounts.services import factors
from accounts.web import AccountRequest, render_page

# Which form was sent, by its one field.
FORMS = {"password": PasswordProofForm, "code": CodeProofForm, "credential": KeyProofForm}


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def reauthenticate(request: AccountRequest) -> HttpResponse:
    """Take a proof and go on to what it was asked for."""
    if recently_proven(request):  # In another tab, or just now by an account elsewhere.
        return redirect(way_on(request))
    forms = _forms(request)
    sent = next((form for form in forms.values() if form.is_bound), None)
    if sent is not None and sent.is_valid():
        sent.save()
        return redirect(way_on(request))
    waiting = waits(request)
    context = {
        "forms": forms,
        "waits": waiting,
        # The page that asked would only ask again.
        "back": on_this_site(request.GET.get("next", "") if waiting else ""),
        "providers": _providers(request),
        "process": AuthProcess.REDIRECT,
        # Made last, since it takes the place of the one that was just answered.
        "key_options": ask(Ceremony.PROOF, request.user) if "credential" in forms else None,
    }
    return render_page(request, "account/reauthenticate.html", context)


def _forms(request: AccountRequest) -> dict[str, Any]:
    """Make a form for each way that the person has, with what was sent for one of them."""
    has = factors.factors_of(request.user)
    ways = {
        "credential": bool(has.keys),
        "password": request.user.has_usable_password(),
        "code": bool(has.app or has.recovery),
    }
    return {
        field: FORMS[field](
            request.POST if request.method == "POST" and field in request.POST else None,
            user=request.user,
        )
        for field, is_open in ways.items()
        if is_open
    }


def _providers(request: AccountRequest) -> list[Any]:
    """Find where the person has accounts that sign in here, if the settings still let them."""
    theirs = set(SocialAccount.objects.filter(user=request.user).values_list("provider", flat=True))
    on = get_adapter().list_providers(request)
    return [provider for provider in on if (provider.sub_id or provider.id) in theirs]
