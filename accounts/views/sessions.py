"""The page of sessions, and what ends them."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.services import sessions as services
from accounts.web import AccountRequest, actor_of, render_page

# Ending a session asks for no proof: who finds a stranger there should not be kept from it.


@require_safe
@never_cache
def sessions(request: AccountRequest) -> HttpResponse:
    """List where the person is signed in."""
    found = services.sessions_of(
        request.user, current_key=request.session.session_key, now=timezone.now()
    )
    context = {"sessions": found, "has_others": any(not session.is_current for session in found)}
    return render_page(request, "accounts/sessions.html", context)


@require_POST
def end(request: AccountRequest, session_id: int) -> HttpResponse:
    """End one session; this one, as signing out does."""
    ended = services.end_session(
        user=request.user, session_id=session_id, actor=actor_of(request), now=timezone.now()
    )
    if ended is None:
        messages.info(request, "That session had already ended.")
    else:
        messages.info(request, f"The session of {ended.device} has ended.")
    return redirect("accounts:sessions")


@require_POST
def end_others(request: AccountRequest) -> HttpResponse:
    """End all sessions but this one."""
    count = services.end_other_sessions(
        user=request.user,
        current_key=request.session.session_key,
        actor=actor_of(request),
        now=timezone.now(),
    )
    if count:
        messages.info(request, f"{count} other session{'' if count == 1 else 's'} ended.")
    else:
        messages.info(request, "There was no other session.")
    return redirect("accounts:sessions")
