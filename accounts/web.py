"""What every page under /team/<id>/ shares: who is asking, for which team, and how we answer."""

import ipaddress
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode
from uuid import UUID

from allauth.core import ratelimit
from allauth.decorators import rate_limit
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from accounts import signals
from accounts.actors import UNKNOWN_IP, Actor, ActorKind
from accounts.devices import has_factor
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from accounts.services import TeamClosedError

READING = frozenset({"GET", "HEAD"})
# How often it is written down that a member was here: what it is for needs no more.
SEEN_EVERY: Final = timedelta(minutes=5)


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


def rate_limited(action: str) -> Callable[[View], View]:
    """Answer 429 to whoever POSTs too often, by allauth's rate for `action`."""
    limit: Callable[[View], View] = rate_limit(action=action)
    return limit


def is_too_often(request: HttpRequest, action: str) -> bool:
    """Count an attempt at `action` as `rate_limited` does, where the page itself says no to it."""
    return not ratelimit.consume(request, action=action)


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


def staff_of(request: HttpRequest) -> Actor:
    """Say who of the staff is acting, in the admin."""
    return replace(actor_of(request), kind=ActorKind.STAFF)


def team_view(
    permission: Permission, *, operation: str, is_poll: bool = False
) -> Callable[[View], View]:
    """Admit members of the URL's team who hold `permission`; the URL's `team_id` becomes a team.

    Strangers get 404 rather than 403: whether a team exists is nobody else's business.
    `operation` is the RPC-like name under which the audit log records that a page was read, or
    that it was refused. Changes are recorded by the services that make them.

    `is_poll` is for what an open page asks for again and again by itself. Only the page is
    recorded then, and the view has to see to it that it was opened, lately and by this person.
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
            if is_locked_out(membership):
                _announce(request, operation, "denied")
                context = {"team": request.team}
                return render(request, "accounts/mfa_required.html", context, status=403)
            admitted = permission in membership.permissions
            if not admitted:
                _announce(request, operation, "denied")
                raise PermissionDenied(
                    f"You need permission to {permission.sentence} in {request.team.name}. "
                    f"Ask an admin of the team for it ({permission})."
                )
            _remember(membership)
            try:
                response = view(request, **kwargs)
            except TeamClosedError as error:  # Since the membership was read.
                raise Http404(str(error)) from error
            # Who is sent elsewhere has not read anything yet.
            was_read = request.method in READING and response.status_code < 300  # noqa: PLR2004
            if was_read and not is_poll:
                _announce(request, operation, "done")
            return response

        # Read by the permission table in the tests.
        vars(guarded)["permission"] = permission
        return guarded

    return decorate


def _announce(request: TeamRequest, operation: str, outcome: str) -> None:
    signals.team_page_opened.send(
        sender=Team,
        operation=operation,
        team=request.team,
        actor=request.actor,
        outcome=outcome,
        now=timezone.now(),
    )


def is_locked_out(membership: Membership) -> bool:
    """Say whether the team asks for a second factor that the person does not have.

    Nobody is asked anything of the database for in a team without that policy.
    """
    return membership.team.requires_mfa and not has_factor(membership.user)


def _remember(membership: Membership) -> None:
    """Keep which team /team/default/ leads to, and, now and then, that the person was here."""
    user, now = membership.user, timezone.now()
    seen_at = membership.last_seen_at
    if seen_at is None or abs(now - seen_at) >= SEEN_EVERY:
        # Not by `save`, which insists that the row is there: the person may just be removed.
        Membership.objects.filter(pk=membership.pk).update(last_seen_at=now)
    if user.last_team_id != membership.team_id:
        user.last_team = membership.team
        user.save(update_fields=["last_team"])


def read_id(text: str | None) -> UUID | None:
    """Read an id out of an address or a form; None if it is not one."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


def streamed_csv(parts: Iterator[bytes], name: str) -> HttpResponse:
    """Hand out a file part by part, each made when the one before it is on its way."""

    def make() -> bytes:
        part = next(parts, b"")
        # Whoever reads slowly must not keep a connection that pages are waiting for.
        if not connection.in_atomic_block:
            connection.close()
        return part

    async def made() -> AsyncIterator[bytes]:
        while part := await sync_to_async(make)():
            yield part

    response = StreamingHttpResponse(made(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response  # type: ignore[return-value] # Django serves it as it does the other.


@dataclass(frozen=True, slots=True)
class Pager:
    """The way from some rows to newer and older ones, as `_pager.html` draws it."""

    text: str
    newer: str  # An address, or empty where there is nothing newer.
    older: str


def pager(page: "Page[Any]", address: str = "", **query: str) -> Pager:
    """Lead from a numbered page of a list at `address` (by default, here) to its neighbours.

    `query` is what the list was asked for besides, such as what it was searched for.
    """

    def leading_to(number: int) -> str:
        asked = {name: value for name, value in query.items() if value}
        return f"{address}?{urlencode(asked | {'page': number})}"

    return Pager(
        text=f"{page.start_index():,} to {page.end_index():,} of {page.paginator.count:,}",
        newer=leading_to(page.number - 1) if page.has_previous() else "",
        older=leading_to(page.number + 1) if page.has_next() else "",
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
