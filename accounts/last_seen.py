"""Notes when each session was last used, for the page that lists them."""

from collections.abc import Callable
from typing import TypeAlias

from allauth.usersessions.models import UserSession
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.services.sessions import note_use
from accounts.web import address_of

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponseBase]
USER_AGENT_MAX_LENGTH = 200  # allauth's column.


class LastSeenMiddleware:
    """Write at most once in five minutes; allauth's own tracking writes on each request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.session.session_key
        if key and request.user.is_authenticated:
            noted = note_use(
                key,
                ip=address_of(request),
                user_agent=request.headers.get("User-Agent", "")[:USER_AGENT_MAX_LENGTH],
                now=timezone.now(),
            )
            if not noted:  # Its key is new, as after another password.
                UserSession.objects.create_from_request(request)
        return self.get_response(request)
