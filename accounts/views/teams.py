"""Making a team."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import services as accounts
from accounts.forms.teams import NewTeamForm
from accounts.web import AccountRequest, actor_of, render_page


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
        except accounts.TooManyTeamsError as error:
            form.add_error(None, str(error))
        else:
            return redirect("home", team_id=team.pk)
    return render_page(request, "accounts/new_team.html", {"form": form})
