"""POST /v1/chat/completions: who asks, what for, and the answer in one piece or in many."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import orjson
from django.conf import settings
from django.utils import timezone
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from accounts.web import client_ip
from api_keys.services import KeyIdentity
from gateway import services as gateway
from gateway.api.answers import invalid
from gateway.api.exchange import Exchange
from gateway.api.lane import Lane
from gateway.api.stream import StreamedAnswer
from gateway.api.tokens import Counting
from gateway.rules import ChatRequest, InvalidRequestError, read_chat_request
from gateway.services import Admitted, Arrival, RefusedError, UncountedError

# Anybody may make the gateway keep so much.
SMALL_BODY_BYTES: Final = 64 * 1024
# For so long the gateway listens to a body that it will not look at.
DISCARDING_SECONDS: Final = 5


async def chat_completions(request: Request) -> Response:
    """Serve a chat request, streamed or whole. Raises RefusedError for what is not served."""
    request_id = request.state.id = uuid7()
    lane, state = request.app.state.lane, request.app.state
    try:
        secret = bearer(request)
        if not 0 < _announced_bytes(request) <= SMALL_BODY_BYTES:
            # A large body is kept for those with a key only.
            await lane.call(lambda _: usable_key(request, gateway.CHAT))
        _check_form(request)
    except RefusedError:
        await _discard_body(request)
        raise
    chat, ip = await _read(request), address(request)
    arrival = Arrival(request_id, secret, chat, ip)
    admitted = await _admitted(lane, state.counting, arrival)
    exchange = Exchange(lane, state.upstreams, admitted, chat, ip)
    if chat.is_stream:
        return StreamedAnswer(exchange, state.running)
    # A client that hangs up does not stop what it asked for, so neither does its request.
    answering = asyncio.create_task(exchange.answer())
    state.running.add(answering)
    answering.add_done_callback(state.running.discard)
    return await asyncio.shield(answering)


async def _admitted(lane: Lane, counting: Counting, arrival: Arrival) -> Admitted:
    """Ask to be let in; with the prompt counted where that matters."""
    try:
        return await lane.admit(arrival)
    except UncountedError:
        counted = await counting.of_prompt(arrival.chat, secret=arrival.secret)
        return await lane.admit(replace(arrival, prompt_tokens=counted))


def bearer(request: Request) -> str:
    """Take the key from the Authorization header. Raises RefusedError without one, or with two."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        # Which of them counts, a proxy in front of us may see differently.
        sentence = "Send the header 'Authorization' only once."
        raise invalid(sentence, HTTPStatus.BAD_REQUEST)
    scheme, _, secret = (given[0] if given else "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "unauthenticated",
            "No API key was given. Send it as the header 'Authorization: Bearer <key>'. "
            f"You can obtain an API key from {settings.PUBLIC_URL}.",
            "key_missing",
        )
    return secret.strip()


def usable_key(request: Request, endpoint: str) -> KeyIdentity:
    """Find the key that a request came with. Raises RefusedError unless it may be used for this.

    It reads the database, so it is for the lane.
    """
    now, ip = timezone.now(), address(request)
    key = gateway.identify(bearer(request), now=now)
    gateway.check_usable(key, endpoint=endpoint, ip=ip, now=now)
    request.app.state.lane.note_use(key, ip)
    return key


def _announced_bytes(request: Request) -> int:
    """Say how long the body claims to be; 0 when it does not say."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def address(request: Request) -> str:
    """Say where a request came from."""
    peer = request.client.host if request.client else ""
    return client_ip(peer, ",".join(request.headers.getlist("x-forwarded-for")))


def _check_form(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise invalid(
            "Send the request as JSON, with the header 'Content-Type: application/json'.",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise invalid(
            "Send the request as it is, without a 'Content-Encoding'.",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )


async def _discard_body(request: Request) -> None:
    """Let a client finish sending, for a while. It may not look for an answer before."""
    size = 0
    with suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(DISCARDING_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > settings.GATEWAY_MAX_BODY_BYTES:
                    return


async def _read(request: Request) -> ChatRequest:
    data = await _body(request)
    if not data.strip():
        raise invalid("The body is empty.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        return read_chat_request(orjson.loads(data), len(data))
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not valid JSON: {error}.", HTTPStatus.BAD_REQUEST) from error
    except InvalidRequestError as error:
        raise invalid(str(error)) from error


async def _body(request: Request) -> bytes:
    """Read the body. One that is too large is read to its end, lest the answer be lost."""
    most = settings.GATEWAY_MAX_BODY_BYTES
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > 8 * most:
            break
    if size > most:
        raise invalid(
            f"The body is larger than {most // 2**20} MB.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
    return b"".join(parts)
