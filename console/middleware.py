"""What every page shares on its way in and out: whole-page sign-in, news, the reader's clock."""

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import resolve_url
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from django_htmx.middleware import HtmxDetails

from accounts.models import User
from console.templatetags.look import tone, tone_icon

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponseBase]


class HtmxRedirectMiddleware:
    """Answer htmx as a browser needs it.

    A redirect to the sign-in page becomes a whole-page one, or the form would land inside a table.
    Messages that a part of a page does not show travel in a header, and console.js shows them.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
        if not htmx:
            return response
        location = urlsplit(response.headers.get("Location", ""))
        if location.path == resolve_url(settings.LOGIN_URL):
            return HttpResponseClientRedirect(self._sign_in_url(location.path, htmx))
        # Where htmx is led to another page, that one shows the news.
        if not location.path and "HX-Redirect" not in response.headers:
            self._send_news(request, response)
        return response

    @staticmethod
    def _sign_in_url(path: str, htmx: HtmxDetails) -> str:
        # Back to the page that the person sees, not to the part it was about to fetch.
        query = QueryDict(mutable=True)
        query["next"] = htmx.current_url_abs_path or settings.LOGIN_REDIRECT_URL
        return f"{path}?{query.urlencode(safe='/')}"

    @staticmethod
    def _send_news(request: HttpRequest, response: HttpResponseBase) -> None:
        storage = messages.get_messages(request)
        if isinstance(storage, list) or storage.used:
            return
        news = [
            {"text": str(m), "tone": tone(m.level_tag), "icon": tone_icon(m.level_tag)}
            for m in storage
        ]
        if news:
            trigger_client_event(response, "console:news", {"news": news})


class TimezoneMiddleware:
    """Show times in the signed-in person's zone; visitors read UTC."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return self.get_response(request)
        with timezone.override(request.user.zone):
            return self.get_response(request)
