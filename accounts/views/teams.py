"""Teams themselves: making one, what it is called and asks of its members, deleting it."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services as accounts
from accounts.consequences import BlockedError
from accounts.devices import SECOND_FACTORS, Factor, has_factor
from accounts.forms.teams import DeleteTeamForm, MfaPolicyForm, NewTeamForm, TeamNameForm
from accounts.models import Membership
from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import (
    AccountRequest,
    TeamRequest,
    actor_of,
    render_page,
    team_view,
)

# How many of those who would be locked out are named.
NAMED_AT_MOST = 50


@require_http_methods(["GET", "HEAD", "POST"])
def new_team(request: AccountRequest) -> HttpResponse:
    """Make a team and land in it."""
    form = NewTeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            team = accounts.create_team(
                name=form.cleaned_data["name"],
                owner=request.user,
                actor=actor_of(request),
                now=timezone.now(),
            )
        except (accounts.LeavingError, accounts.TooManyTeamsError) as error:
            form.add_error(None, str(error))
        else:
            return redirect("home", team_id=team.pk)
    return render_page(request, "accounts/new_team.html", {"form": form})


@team_view(Permission.TEAM_READ, operation="GetTeamSettings")
@require_safe
def settings(request: TeamRequest) -> HttpResponse:
    """Show what the team is called and asks of its members, and the ways out of it."""
    return _page(request)


@team_view(Permission.TEAM_WRITE, operation="UpdateTeam")
@require_POST
def rename(request: TeamRequest) -> HttpResponse:
    form = TeamNameForm(request.POST)
    if not form.is_valid():
        return _page(request, name_form=form)
    name = form.cleaned_data["name"]
    accounts.rename_team(team=request.team, name=name, actor=request.actor, now=timezone.now())
    messages.info(request, f"The team is called {name}.")
    return _to_settings(request)


@team_view(Permission.TEAM_WRITE, operation="UpdateTeam")
@proof_required
@require_POST
def mfa(request: TeamRequest) -> HttpResponse:
    form = MfaPolicyForm(request.POST)
    required = form.is_valid() and form.cleaned_data["required"]
    try:
        accounts.set_mfa_policy(
            team=request.team, required=required, actor=request.actor, now=timezone.now()
        )
    except accounts.FactorNeededError as error:
        messages.warning(request, str(error))
    else:
        told = "now requires" if required else "no longer requires"
        messages.info(request, f"{request.team.name} {told} a second factor.")
    return _to_settings(request)


@team_view(Permission.TEAM_WRITE, operation="DeleteTeam")
@proof_required
@require_POST
def delete(request: TeamRequest) -> HttpResponse:
    form = DeleteTeamForm(request.POST, team=request.team)
    if not form.is_valid():
        return _page(request, delete_form=form)
    try:
        accounts.delete_team(team=request.team, actor=request.actor, now=timezone.now())
    except BlockedError as error:
        messages.warning(request, str(error))
        return _to_settings(request)
    messages.info(request, f"{request.team.name} is deleted.")
    return redirect("default_team")


def _page(
    request: TeamRequest,
    *,
    name_form: TeamNameForm | None = None,
    delete_form: DeleteTeamForm | None = None,
) -> HttpResponse:
    team, membership = request.team, request.membership
    may_write = Permission.TEAM_WRITE in membership.permissions
    context: dict[str, Any] = {
        "may_write": may_write,
        "may_delete": membership.is_admin and not team.is_personal,
        "is_last_admin": not team.is_personal and accounts.is_last_admin(membership),
    }
    if may_write:
        context["name_form"] = name_form or TeamNameForm({"name": team.name})
    if may_write and not team.is_personal:
        context["has_factor"] = has_factor(request.user)
        context["locked_out"] = _without_factor(request)
    if context["may_delete"]:
        told = accounts.closing(team, now=timezone.now())
        context["blocking"] = [consequence for consequence in told if consequence.blocks]
        context["following"] = [consequence for consequence in told if not consequence.blocks]
        context["delete_form"] = delete_form or DeleteTeamForm(team=team)
    if not team.is_personal and not context["is_last_admin"]:
        context["leaving"] = accounts.leaving(team, request.user, now=timezone.now())
    return render_page(request, "accounts/settings.html", context)


def _without_factor(request: TeamRequest) -> dict[str, Any]:
    """Say who could not open the team's pages if they asked for a second factor."""
    secured = Factor.objects.filter(type__in=SECOND_FACTORS).values("user")
    members = Membership.objects.filter(team=request.team).exclude(user__in=secured)
    named = list(members.select_related("user").order_by("joined_at", "pk")[: NAMED_AT_MOST + 1])
    count = len(named) if len(named) <= NAMED_AT_MOST else members.count()
    return {
        "members": named[:NAMED_AT_MOST],
        "count": count,
        "more": count - len(named[:NAMED_AT_MOST]),
    }


def _to_settings(request: TeamRequest) -> HttpResponse:
    return redirect("accounts_team:settings", team_id=request.team.pk)
