"""A social account that somebody has shown to be theirs, kept in the session until they decide.

It belongs to no account here yet. They may make one for it, or sign in to one that they have and
link the two.
"""

import time
from typing import Any, Final

from allauth.socialaccount.models import SocialApp, SocialLogin
from django.http import HttpRequest

SIGN_UP: Final = "socialaccount_sociallogin"  # allauth's: it waits for the sign-up form.
LINK: Final = "social_link"  # It waits for a sign-in to the account to link it to.
PATIENCE_SECONDS: Final = 60 * 60


def stamp(login: SocialLogin) -> None:
    """Note when it came, before allauth or `keep_for_link` puts it into the session."""
    login.state["came_at"] = time.time()


def recall(request: HttpRequest, purpose: str) -> SocialLogin | None:
    """Find what waits for `purpose`, if it came within the last hour."""
    kept: Any = request.session.get(purpose)
    if kept is None:
        return None
    try:
        login = SocialLogin.deserialize(kept)
    except (ValueError, SocialApp.DoesNotExist):  # Of an earlier version, or switched off since.
        login = None
    if login is None or time.time() - login.state.get("came_at", 0) > PATIENCE_SECONDS:
        forget(request)
        return None
    return login


def keep_for_link(request: HttpRequest, login: SocialLogin) -> None:
    forget(request)
    request.session[LINK] = login.serialize()


def forget(request: HttpRequest) -> None:
    for purpose in (SIGN_UP, LINK):
        request.session.pop(purpose, None)
