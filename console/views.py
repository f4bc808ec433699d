"""The pages that belong to no single app: a team's home, the ways to it, and the theme."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts import services as accounts
from accounts.models import User
from accounts.rules import Permission
from accounts.web import AccountRequest, TeamRequest, render_page, team_view
from console import home as home_page


@login_not_required
@require_safe
def root(request: HttpRequest) -> HttpResponse:
    """Lead people to their team and visitors to the sign-in page, without a `next` in the way."""
    return redirect(
        settings.LOGIN_REDIRECT_URL if request.user.is_authenticated else settings.LOGIN_URL
    )


@require_safe
def default_team(request: AccountRequest, rest: str = "") -> HttpResponse:
    """Lead /team/default/… to the same page of the team that the person was in last."""
    url = reverse("home", args=[accounts.default_team(request.user).pk]) + rest
    query = request.META.get("QUERY_STRING", "")
    # Not by `redirect`, which would take such a text for the name of a page first.
    return HttpResponseRedirect(f"{url}?{query}" if query else url)


@require_POST
def theme(request: AccountRequest) -> HttpResponse:
    """Keep how the person wants their pages: as the system is, light, or dark."""
    chosen = request.POST.get("theme", "")
    if chosen in User.Theme.values:
        request.user.theme = chosen
        request.user.save(update_fields=["theme"])
    return HttpResponseRedirect(_way_back(request))


def _way_back(request: HttpRequest) -> str:
    """Read the page to return to, if it is one of ours."""
    back = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return back if ours and back.startswith("/") else settings.LOGIN_REDIRECT_URL


@team_view(Permission.TEAM_READ, operation="GetTeam")
@require_safe
def home(request: TeamRequest) -> HttpResponse:
    """Show how the team is doing, or what a new one does first."""
    contents = home_page.contents(request.membership, now=timezone.now(), zone=request.user.zone)
    return render_page(request, "console/home.html", contents)
