"""Keeps people whose account is to be deleted at the one page that restores it."""

from collections.abc import Callable
from typing import Final, TypeAlias

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import Resolver404, resolve, reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import User

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponseBase]

# What somebody can still open whose account is to be deleted.
STILL_OPEN: Final = {"accounts:restore", "account_logout"}


class LeavingMiddleware:
    """Lead people who asked to be deleted, wherever they go, to where they can take it back.

    An address that does not exist leads there as well: even "not found" is a page of the console,
    with the names of teams around it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User) or not user.is_leaving or _view_name(request) in STILL_OPEN:
            return self.get_response(request)
        htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
        if htmx:
            return HttpResponseClientRedirect(reverse("accounts:restore"))
        return redirect("accounts:restore")


def _view_name(request: HttpRequest) -> str:
    try:
        return resolve(request.path_info).view_name
    except Resolver404:
        return ""
