"""The page that an invitation's link opens, for people with and without an account."""

from http import HTTPStatus
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import services as accounts
from accounts.models import Invitation, Membership, User
from accounts.services import InvitationState
from accounts.web import actor_of, render_page


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Say who invites to what; by POST, join the team."""
    response = _answer(request, token)
    # Links on the page must not tell its address, which is a secret, to other sites. Not stricter:
    # to our own, the form has to say where it came from.
    response["Referrer-Policy"] = "same-origin"
    return response


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    found, user = accounts.find_invitation(token), request.user
    if found is None:
        return _page(request, None, status=HTTPStatus.NOT_FOUND)
    if not isinstance(user, User):
        if request.method != "POST":
            return _page(request, found)
        return redirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")
    if request.method == "POST":
        return _accept(request, user, found, token)
    is_member = Membership.objects.filter(team=found.team, user=user).exists()
    return _page(request, found, is_member=is_member)


def _accept(request: HttpRequest, user: User, found: Invitation, token: str) -> HttpResponse:
    try:
        team = accounts.accept_invitation(
            token=token, user=user, actor=actor_of(request), now=timezone.now()
        )
    except (Invitation.DoesNotExist, accounts.TeamClosedError):
        raise Http404 from None
    except accounts.InvitationOverError:
        found.refresh_from_db()
        return _page(request, found)
    except accounts.WrongAddressError:
        return _page(request, found, status=HTTPStatus.FORBIDDEN)
    except (accounts.LeavingError, accounts.TooManyTeamsError) as error:
        return _page(request, found, status=HTTPStatus.CONFLICT, error=str(error))
    messages.info(request, f"You joined {team.name}.")
    return redirect("home", team_id=team.pk)


def _page(
    request: HttpRequest,
    found: Invitation | None,
    *,
    is_member: bool = False,
    status: int = HTTPStatus.OK,
    error: str = "",
) -> HttpResponse:
    if found is None:
        return render_page(request, "accounts/invitation.html", {"state": "unknown"}, status=status)
    state = accounts.invitation_state(found, now=timezone.now())
    if state != InvitationState.OPEN and not is_member:
        status = HTTPStatus.GONE
    user = request.user
    context = {
        "state": "member" if is_member else str(state),
        "invitation": found,
        "team": found.team,
        "is_theirs": isinstance(user, User) and accounts.owns_address(user, found.email),
        "error": error,
        "days": accounts.INVITATION_LIFETIME.days,
        # How signing in and signing up come back here.
        "query": urlencode({"next": request.path}),
        "sign_up_query": urlencode({"next": request.path, "email": found.email}),
    }
    return render_page(request, "accounts/invitation.html", context, status=status)
