"""Asking who it is once more before something grave, and then doing what was asked for."""

import secrets
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, overload
from urllib.parse import urlencode

from allauth.account.internal.flows.login import (
    get_authentication_records,
    record_authentication,
)
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import user_logged_in
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.datastructures import MultiValueDict
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

View = Callable[..., HttpResponse]

KEPT: Final = "proof_kept"  # In the session: what was sent, by the name it is resumed under.
KEPT_AT_MOST: Final = 5  # For so many tabs.
KEPT_CHARACTERS: Final = 50_000
RESUME: Final = "resume"  # In an address: the name of what is resumed.


def recently_proven(request: HttpRequest) -> bool:
    """Say whether the person proved who they are, by any method, in the last 15 minutes."""
    return _is_recent(request, request.user)


def _is_recent(request: HttpRequest, user: Any) -> bool:
    records = get_authentication_records(request, user)
    if not records:
        return False
    return bool(time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


@overload
def proof_required(view: View) -> View: ...
@overload
def proof_required(*, keep: bool) -> Callable[[View], View]: ...
def proof_required(view: View | None = None, *, keep: bool = True) -> View | Callable[[View], View]:
    """Ask who it is once more before doing something grave, if the last proof is old.

    Stands below `team_view` and above `require_POST`. What was sent is kept in the session, and
    done after the proof; so a view that is sent secrets (a password, a card) says `keep=False`. It
    has to show its form by GET, which is asked for the proof already; what a form sends that was
    open for too long is then forgotten, and to be typed again. What `sensitive_post_parameters`
    stands above is never kept either.
    """
    if view is None:
        return lambda decorated: _guard(decorated, keep=keep)
    return _guard(view, keep=keep)


def _guard(view: View, *, keep: bool) -> View:
    @wraps(view)
    def proven(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not recently_proven(request):
            return _ask(request, keep=keep)
        if request.method == "GET" and RESUME in request.GET:
            return _resume(request, view, *args, **kwargs)
        return view(request, *args, **kwargs)

    # Read by a test that lists what is grave.
    vars(proven)["asks_for_proof"] = True
    return proven


def proof_url(*, back: str, resume: str = "") -> str:
    """Name the page that asks for the proof and then leads back, or to what was kept."""
    query = {"next": back} | ({RESUME: resume} if resume else {})
    return f"{reverse('account_reauthenticate')}?{urlencode(query)}"


def way_on(request: HttpRequest) -> str:
    """Say where whoever has given the proof goes on: to what they wanted, or where they were."""
    name = request.GET.get(RESUME, "")
    kept = _all_kept(request).get(name)
    if kept and "post" in kept:
        path, joint = kept["path"], "&" if "?" in kept["path"] else "?"
        return f"{path}{joint}{urlencode({RESUME: name})}"
    return on_this_site(request.GET.get("next", ""))


def waits(request: HttpRequest) -> bool:
    """Say whether something was sent that is done once the proof is given."""
    return "post" in _all_kept(request).get(request.GET.get(RESUME, ""), {})


def on_this_site(address: str) -> str:
    """Return an address if it is a path of ours, and otherwise where signing in leads."""
    ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if ours else settings.LOGIN_REDIRECT_URL


@receiver(user_logged_in)
def count_sign_in(*, request: HttpRequest, user: Any, **_: Any) -> None:
    """Take a sign-in for a proof, also one by a mailed link, of which allauth keeps no record."""
    if not _is_recent(request, user):
        record_authentication(request, user, method="link")


# --- Asking ---------------------------------------------------------------------------------


def _ask(request: HttpRequest, *, keep: bool) -> HttpResponse:
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    page = htmx.current_url_abs_path if htmx else None
    name = ""
    if request.method != "POST":
        back = page or request.get_full_path()
    else:
        # Where the form was. To a page that only takes POST nobody can be sent back.
        back = page or _referring_page(request)
        keep = keep and not request.FILES and not hasattr(request, "sensitive_post_parameters")
        if keep and len(posted := request.POST.urlencode()) <= KEPT_CHARACTERS:
            name = _keep(request, posted, back)
        else:
            messages.warning(request, "Confirm that it is you, then fill in the form again.")
    url = proof_url(back=back, resume=name)
    return HttpResponseClientRedirect(url) if htmx else HttpResponseRedirect(url)


def _referring_page(request: HttpRequest) -> str:
    origin = f"{request.scheme}://{request.get_host()}"
    referrer = request.headers.get("Referer", "")
    return on_this_site(referrer.removeprefix(origin) if referrer.startswith(origin) else "")


def _keep(request: HttpRequest, posted: str, back: str) -> str:
    name = secrets.token_urlsafe(24)
    kept = _all_kept(request) | {
        name: {
            "path": _address_of(request, request.GET),
            "post": posted,
            "back": back,
            "user": str(request.user.pk),
            "at": time.time(),
        }
    }
    request.session[KEPT] = dict(list(kept.items())[-KEPT_AT_MOST:])
    return name


def _all_kept(request: HttpRequest) -> dict[str, dict[str, Any]]:
    """Read what is kept for this person and not too old to be done without asking again."""
    youngest = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return {
        name: kept
        for name, kept in request.session.get(KEPT, {}).items()
        if kept["user"] == str(request.user.pk) and kept["at"] > youngest
    }


# --- Going on -------------------------------------------------------------------------------


def _resume(request: HttpRequest, view: View, *args: Any, **kwargs: Any) -> HttpResponse:
    """Do what was sent before the proof, once, as if it were sent now and not by htmx.

    It comes by GET, since no answer can have a browser post again what it posted before. The name
    takes the place of the CSRF token, which was checked when this was sent: nobody else knows it,
    and it works once.
    """
    name = request.GET[RESUME]
    all_kept = _all_kept(request)
    kept = all_kept.get(name, {})
    query = request.GET.copy()
    del query[RESUME]
    path = _address_of(request, query)
    # Two requests at once both find it in the session, but only one of them gets past the cache.
    if kept.get("path") != path or "post" not in kept or not cache.add(f"proof:{name}", 1, 3600):
        return HttpResponseRedirect(on_this_site(kept.get("back", "")))
    # Only the way back stays, for who reloads the page that answers.
    all_kept[name] = {key: kept[key] for key in ("path", "back", "user", "at")}
    request.session[KEPT] = all_kept
    request.method = request.META["REQUEST_METHOD"] = "POST"
    request.META["QUERY_STRING"] = query.urlencode()
    request.GET = query  # type: ignore[assignment]
    request.POST = QueryDict(kept["post"])
    request._files = MultiValueDict()  # type: ignore[attr-defined]  # noqa: SLF001 -- or Django reads the body
    response = view(request, *args, **kwargs)
    add_never_cache_headers(response)
    return response


def _address_of(request: HttpRequest, query: QueryDict) -> str:
    return f"{request.path}?{query.urlencode()}" if query else request.path
