"""The API: an ASGI application beside Django, which has no business on this path."""

import asyncio
import contextlib
import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from django.conf import settings
from django.utils import timezone
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uuid_utils.compat import uuid7

from api_keys import services as api_keys
from gateway import services as gateway
from gateway.api import chat, sandbox
from gateway.api.answers import JsonResponse, error_response, invalid
from gateway.api.lane import Lane
from gateway.api.stream import CLIENT_GONE
from gateway.api.tokens import Counting
from gateway.api.upstream import Upstreams
from gateway.services import Catalog, Offer, RefusedError

logger = logging.getLogger("gateway")

SWITCH_SECONDS = 0.0005


async def list_models(request: Request) -> Response:
    """GET /v1/models."""
    chat.bearer(request)

    def read(offers: Catalog) -> Catalog:
        return gateway.offers_for(chat.usable_key(request, gateway.MODELS), offers)

    offers = await request.app.state.lane.call(read)
    return JsonResponse({"object": "list", "data": [_model(o) for o in offers.values()]})


async def one_model(request: Request) -> Response:
    """GET /v1/models/{id}."""
    chat.bearer(request)

    def read(offers: Catalog) -> Offer:
        key = chat.usable_key(request, gateway.MODELS)
        return gateway.find_offer(request.path_params["name"], key, offers)

    return JsonResponse(_model(await request.app.state.lane.call(read)))


def _model(offer: Offer) -> dict[str, object]:
    return {
        "id": offer.name,
        "object": "model",
        "created": int(offer.created_at.timestamp()),
        "owned_by": offer.owned_by,
    }


async def api_key(request: Request) -> Response:
    """GET /v1/api-key: what a key is and may do. Answers for keys that are switched off, too.

    Names that the original has are the original's; the last of them are ours. Whoever found the
    secret is told neither whose it is nor from where it can be used.
    """
    secret, now = chat.bearer(request), timezone.now()
    key = await request.app.state.lane.call(lambda _: gateway.identify(secret, now=now))
    terms = key.terms
    told = {
        "redacted_api_key": key.redacted,
        "create_time": key.created_at,
        "modify_time": key.modified_at,
        "team_id": key.team_id,
        "acls": terms.acls,
        "api_key_id": key.id,
        "api_key_blocked": key.blocked,
        "api_key_disabled": key.disabled,
        "team_blocked": False,
        "api_key_expired": bool(terms.expires_at and terms.expires_at <= now),
        "expire_time": terms.expires_at,
        "qps": terms.requests_per_second,
        "qpm": terms.requests_per_minute,
        "tpm": terms.tokens_per_minute,
    }
    if not key.blocked and api_keys.networks_allow(terms.networks, chat.address(request)):
        told |= {
            "user_id": key.owner_id,
            "name": key.name,
            "allowed_networks": terms.networks,
            "monthly_cap_in_usd_ticks": terms.monthly_cap_ticks,
        }
    return JsonResponse(told)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 -- registered for nothing else
    return error_response(error, str(getattr(request.state, "id", None) or uuid7()))


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        sentence = f"{request.method} is not what {request.url.path} answers to."
        response = error_response(invalid(sentence, status))
        response.headers.update(getattr(error, "headers", None) or {})  # Allow.
        return response
    sentence = f"There is nothing at {request.url.path}."
    return error_response(RefusedError(status, "not-found", sentence, "path_not_found"))


async def _left(_request: Request, _error: Exception) -> Response:
    """Answer a client that went away while it asked: for the server's sake, as nobody hears it."""
    return Response(status_code=CLIENT_GONE)


async def _broken(_: Request, error: Exception) -> Response:
    logger.error("A request failed.", exc_info=error)
    sentence = "Something went wrong on our side. Try again."
    return error_response(RefusedError(500, "internal", sentence, "internal_error"))


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    # What has been loaded stays: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    # The lane's thread must not wait 5 ms for its turn each time the database has answered.
    sys.setswitchinterval(SWITCH_SECONDS)
    app.state.lane, app.state.upstreams, app.state.counting = Lane(), Upstreams(), Counting()
    # What is being served, also for clients that are gone.
    app.state.running = set()
    serving = asyncio.create_task(app.state.lane.run())
    try:
        yield
    finally:
        if app.state.running:
            await asyncio.wait(app.state.running, timeout=settings.SHUTDOWN_TIMEOUT)
        await app.state.lane.drain()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await app.state.upstreams.close()


application = Starlette(
    routes=[
        Route("/v1/chat/completions", chat.chat_completions, methods=["POST"]),
        Route("/v1/models", list_models),
        Route("/v1/models/{name:path}", one_model),
        Route("/v1/api-key", api_key),
        Route("/sandbox/v1/chat/completions", sandbox.chat_completions, methods=["POST"]),
    ],
    exception_handlers={
        RefusedError: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _left,
        Exception: _broken,
    },
    lifespan=_lifespan,
)
# A redirect would take its host from the request, and clients lose the body on the way.
application.router.redirect_slashes = False
