"""What every page under /team/<id>/ shares: who is asking, for which team, and how we answer."""

import ipaddress
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, TypeAlias
from uuid import UUID

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import suspend_request
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from accounts import signals
from accounts.actors import Actor
from accounts.models import Membership, Team, User
from accounts.rules import Permission

READING = frozenset({"GET", "HEAD"})
# Where a request came from if nobody knows: for columns of addresses that have to be filled.
UNKNOWN_IP: Final = "0.0.0.0"  # noqa: S104 -- nothing listens on it


class AccountRequest(HttpRequest):
    """A request from a signed-in person."""

    user: User
    htmx: HtmxDetails


class TeamRequest(AccountRequest):
    """A request from a signed-in person acting for one team."""

    team: Team
    membership: Membership
    actor: Actor


View: TypeAlias = Callable[..., HttpResponse]


def client_ip(remote_address: str, forwarded_for: str) -> str:
    """Say where a request came from, each address in one spelling; UNKNOWN_IP if it is not known.

    `forwarded_for` is the X-Forwarded-For header. It is believed only as far as
    `TRUSTED_PROXIES` says that own proxies wrote it; by default not at all.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    trusted = settings.TRUSTED_PROXIES
    claimed = hops[-trusted] if trusted and len(hops) >= trusted else remote_address
    try:
        # A zone, as in fe80::1%eth0, means something on one machine only.
        address = ipaddress.ip_address(claimed.partition("%")[0])
    except ValueError:
        return UNKNOWN_IP  # A Unix socket has no address, and a proxy may write "unknown".
    # A socket that speaks both versions writes 1.2.3.4 as ::ffff:1.2.3.4.
    return str(getattr(address, "ipv4_mapped", None) or address)


def address_of(request: HttpRequest) -> str:
    """Say where a Django request came from; UNKNOWN_IP if that is not known."""
    remote_address = request.META.get("REMOTE_ADDR", "")
    return client_ip(remote_address, request.headers.get("X-Forwarded-For", ""))


def actor_of(request: HttpRequest | None, user: User | None = None) -> Actor:
    """Say who is acting: whoever is signed in, or `user`, who is about to be or no longer is."""
    if user is None:
        assert request is not None  # noqa: S101 -- only a known user can act without one
        assert isinstance(request.user, User)  # noqa: S101 -- the sign-in door came first
        user = request.user
    if request is None:
        return Actor.for_user(user)
    ip, agent = address_of(request), request.headers.get("User-Agent", "")[:300]
    return Actor.for_user(user, ip=None if ip == UNKNOWN_IP else ip, user_agent=agent)


def team_view(permission: Permission, *, operation: str) -> Callable[[View], View]:
    """Admit members of the URL's team who hold `permission`; the URL's `team_id` becomes a team.

    Strangers get 404 rather than 403: whether a team exists is nobody else's business.
    `operation` is the RPC-like name under which the audit log records that a page was read, or
    that it was refused. Changes are recorded by the services that make them.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: TeamRequest, team_id: UUID, **kwargs: Any) -> HttpResponse:
            membership = (
                Membership.objects.select_related("team")
                .filter(team_id=team_id, user=request.user)
                .first()
            )
            if membership is None:
                raise Http404
            membership.user = request.user
            request.team, request.membership = membership.team, membership
            request.actor = actor_of(request)
            admitted = permission in membership.permissions
            if not admitted:
                _announce(request, operation, "denied")
                raise PermissionDenied(
                    f"You need permission to {permission.sentence} in {request.team.name}. "
                    f"Ask an admin of the team for it ({permission})."
                )
            _remember(request.user, request.team)
            response = view(request, **kwargs)
            if request.method in READING and response.status_code < 400:  # noqa: PLR2004
                _announce(request, operation, "done")
            return response

        # Read by the permission table in the tests.
        vars(guarded)["permission"] = permission
        return guarded

    return decorate


def recently_proven(request: HttpRequest) -> bool:
    """Say whether the person proved who they are, by any method, in the last 15 minutes."""
    records = get_authentication_records(request, request.user)
    return (
        bool(records)
        and time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    )


def proof_required(view: View) -> View:
    """Ask who it is once more before doing something grave, if the last proof is old.

    Stands below `team_view`. What was sent is kept, and done after the proof.
    """

    @wraps(view)
    def proven(request: AccountRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if recently_proven(request):
            return view(request, *args, **kwargs)
        asked: HttpResponse = suspend_request(request, reverse("account_reauthenticate"))
        return asked

    return proven


def _announce(request: TeamRequest, operation: str, outcome: str) -> None:
    signals.team_page_opened.send(
        sender=Team,
        operation=operation,
        team=request.team,
        actor=request.actor,
        outcome=outcome,
        now=timezone.now(),
    )


def _remember(user: User, team: Team) -> None:
    """Keep which team /team/default/ leads to."""
    if user.last_team_id != team.pk:
        user.last_team = team
        user.save(update_fields=["last_team"])


@dataclass(frozen=True, slots=True)
class Pager:
    """The way from some rows to newer and older ones, as `_pager.html` draws it."""

    text: str
    newer: str  # An address, or empty where there is nothing newer.
    older: str


def pager(page: "Page[Any]", address: str = "") -> Pager:
    """Lead from a numbered page of a list at `address` (by default, here) to its neighbours."""
    return Pager(
        text=f"{page.start_index():,} to {page.end_index():,} of {page.paginator.count:,}",
        newer=f"{address}?page={page.number - 1}" if page.has_previous() else "",
        older=f"{address}?page={page.number + 1}" if page.has_next() else "",
    )


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    partials: Collection[str] = (),
    status: int = 200,
) -> HttpResponse:
    """Render the page, or only the part of it that htmx is about to replace.

    A partial is named after the element id it draws, so `hx-target="#ledger"` asks for
    `{% partialdef ledger %}`. A target the view does not list gets the whole page.
    """
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    if htmx.target in partials:
        template = f"{template}#{htmx.target}"
    response = render(request, template, context, status=status)
    # Without this, Back can show a cached fragment as if it were the page.
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response
