"""A person's own page: who they are to others, their clock, and a copy of their data."""

import json

from django.contrib import messages
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import services as accounts
from accounts.forms.profile import ProfileForm, zone_options
from accounts.proof import proof_required
from accounts.web import AccountRequest, actor_of, render_page


@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: AccountRequest) -> HttpResponse:
    """Show the account, and change what its person says about themselves."""
    if request.method != "POST":
        return _page(request, ProfileForm(user=request.user))
    form = ProfileForm(request.POST, user=request.user)
    if not form.is_valid():
        return _page(request, form)
    accounts.update_profile(
        user=request.user,
        name=form.cleaned_data["name"],
        timezone=form.cleaned_data["timezone"],
        actor=actor_of(request),
        now=timezone.now(),
    )
    messages.info(request, "Your profile is saved.")
    return redirect("accounts:profile")


def _page(request: AccountRequest, form: ProfileForm) -> HttpResponse:
    context = {"form": form, "zones": zone_options(), "grace_days": accounts.GRACE.days}
    return render_page(request, "accounts/profile.html", context)


@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def data(request: AccountRequest) -> HttpResponse:
    """Hand the person everything that is kept about them, as one file.

    From a page of its own, so that who is asked for proof first lands on something to see: a file
    alone would leave the browser at the question.
    """
    if request.method != "POST":
        return render_page(request, "accounts/data.html", {"events": accounts.EVENTS_IN_COPY})
    now = timezone.now()
    copy = accounts.personal_data(user=request.user, actor=actor_of(request), now=now)
    text = json.dumps(copy, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)
    answer = HttpResponse(text, content_type="application/json; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="account-{now:%Y-%m-%d}.json"'
    return answer
