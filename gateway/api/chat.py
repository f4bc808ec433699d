"""POST /v1/chat/completions, from the body's first byte to the last byte of a paid answer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, TypeGuard

import orjson
from django.conf import settings
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from accounts.web import client_ip
from billing.services import BillingItem
from gateway.api import tokens
from gateway.api.answers import JsonResponse, error_body, error_response, invalid
from gateway.api.lane import Lane
from gateway.api.upstream import MOST_ANSWER_BYTES, Upstreams, broken_answer, read_whole
from gateway.rules import (
    NOT_FORWARDED,
    ChatRequest,
    InvalidRequestError,
    prompt_text,
    read_chat_request,
    read_usage,
)
from gateway.services import Admitted, Arrival, Outcome, RefusedError

logger = logging.getLogger("gateway")

# What usage keeps for a peer that has no address, such as a socket in the file system.
NO_ADDRESS: Final = "::"
PATH: Final = "/chat/completions"
# Seconds that a client may leave a piece of its answer unread before it counts as gone.
SEND_TIMEOUT: Final = 60.0
# What nginx calls a request whose client left before there was an answer.
CLIENT_GONE: Final = 499


async def chat_completions(request: Request) -> Response:
    """Serve a chat request, streamed or whole. Raises RefusedError for what is not served."""
    secret = bearer(request)
    chat = await _read(request)
    lane: Lane = request.app.state.lane
    admitted = await lane.admit(Arrival(secret, chat))
    exchange = Exchange(lane, request.app.state.upstreams, admitted, chat, _ip(request))
    if chat.is_stream:
        return StreamedAnswer(exchange)
    # A client that hangs up does not stop what it asked for, so neither does its request.
    return await asyncio.shield(asyncio.create_task(exchange.answer()))


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


def _ip(request: Request) -> str:
    peer = request.client.host if request.client else ""
    return client_ip(peer, request.headers.get("x-forwarded-for", "")) or NO_ADDRESS


async def _read(request: Request) -> ChatRequest:
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


class Exchange:
    """One admitted request: what is forwarded, what comes back, and what it comes to."""

    def __init__(
        self, lane: Lane, upstreams: Upstreams, admitted: Admitted, chat: ChatRequest, ip: str
    ) -> None:
        self._lane, self._upstreams = lane, upstreams
        self.admitted, self.chat, self._ip = admitted, chat, ip
        self.request_id = str(admitted.request_id)
        self.cluster = admitted.offer.targets[0].cluster
        self._started = monotonic()
        self._first_token_ms: int | None = None
        self._has_ended = False

    def forwarded(self) -> dict[str, Any]:
        """Build what the upstream gets: the body with the ceiling that the hold stands for."""
        body = {k: v for k, v in self.chat.body.items() if k not in NOT_FORWARDED}
        body[self.chat.max_tokens_field] = self.admitted.max_tokens
        if self.chat.is_stream:
            body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
        return body

    def connect(self) -> Any:
        """Send it upstream: an async context with the answer, a 200, and where it came from."""
        return self._upstreams.post(
            self.admitted.offer.targets, PATH, self.forwarded(), self.request_id
        )

    def mark_first_token(self) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()

    def _elapsed_ms(self) -> int:
        return round((monotonic() - self._started) * 1000)

    async def answer(self) -> Response:
        """Serve the request in one piece."""
        try:
            async with self.connect() as (response, target):
                self.cluster = target.cluster
                answer = _parsed(await read_whole(response))
            usage = answer.get("usage")
            cost = await self.settle(read_usage(usage), _texts(answer, "message"))
        except RefusedError as refused:
            await self.fail(refused.status)
            return error_response(refused, self.request_id)
        except BaseException:
            await self.fail(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        answer["model"] = self.admitted.offer.name
        answer["usage"] = (usage if isinstance(usage, dict) else {}) | {"cost_in_usd_ticks": cost}
        return JsonResponse(answer, headers={"x-request-id": self.request_id})

    async def settle(self, quantities: Mapping[BillingItem, int] | None, texts: list[str]) -> int:
        """Charge what was used, or what it looks like when the upstream does not say."""
        is_estimated = quantities is None
        if quantities is None:
            # Counting takes a while for long texts, and others are waiting.
            quantities = await asyncio.to_thread(self._estimate, texts)
        return await self._end(HTTPStatus.OK, quantities, is_estimated=is_estimated)

    async def fail(self, status: int) -> None:
        """Give the hold back: nothing is charged for what failed.

        Unless its end was told already. Then that stands, or the hold lapses: to say otherwise now
        might contradict what the database has kept.
        """
        if self._has_ended:
            return
        try:
            await self._end(status, None)
        except RefusedError:
            logger.warning("The hold of request %s is left to lapse.", self.request_id)

    async def _end(
        self,
        status: int,
        quantities: Mapping[BillingItem, int] | None,
        *,
        is_estimated: bool = False,
    ) -> int:
        self._has_ended = True
        return await self._lane.settle(
            Outcome(
                admitted=self.admitted,
                cluster=self.cluster,
                ip=self._ip,
                status=status,
                is_stream=self.chat.is_stream,
                first_token_ms=self._first_token_ms,
                latency_ms=self._elapsed_ms(),
                quantities=quantities,
                is_estimated=is_estimated,
            )
        )

    def _estimate(self, texts: list[str]) -> dict[BillingItem, int]:
        prompt = tokens.count(prompt_text(self.chat.body["messages"]))
        return {
            BillingItem.PROMPT_TEXT: min(prompt, self.chat.prompt_tokens_bound),
            BillingItem.COMPLETION: tokens.count("".join(texts)),
        }


def _parsed(data: bytes) -> dict[str, Any]:
    """Read an upstream's answer or chunk. Raises RefusedError when it is not one."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        raise broken_answer()
    return answer


def _texts(answer: dict[str, Any], part: str) -> list[str]:
    """Find what a model said, in the whole answer's `message` or a chunk's `delta`."""
    texts: list[str] = []
    for choice in answer["choices"]:
        said = choice.get(part) if isinstance(choice, dict) else None
        if isinstance(said, dict):
            texts += [
                v for v in (said.get("content"), said.get("reasoning_content")) if _is_text(v)
            ]
            calls = said.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict) and _is_text(function.get("arguments")):
                    texts.append(function["arguments"])
    return texts


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


class StreamedAnswer(Response):
    """The answer to a streaming request.

    Its headers wait for the upstream's first good chunk, so that a failure before it has an honest
    status.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange
        self._wants_usage = exchange.chat.wants_usage
        self._quantities: dict[BillingItem, int] | None = None
        self._usage: dict[str, Any] = {}
        self._texts: list[str] = []
        self._last: dict[str, Any] = {}
        self._is_complete = False
        self._has_begun = False
        self._is_gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange
        watching = asyncio.create_task(_disconnected(receive))
        try:
            async with self._while_wanted(watching), exchange.connect() as (response, target):
                exchange.cluster = target.cluster
                async for payload in events(response.content.iter_any()):
                    if payload == b"[DONE]":
                        self._is_complete = True
                        break
                    await self._take(payload, send)
            if self._is_gone and not self._last:
                return await exchange.fail(CLIENT_GONE)
            if not self._is_complete and not self._is_gone:
                raise broken_answer()  # noqa: TRY301 -- the one place that tells the client
            cost = await exchange.settle(self._quantities, self._texts)
        except RefusedError as refused:
            await exchange.fail(refused.status)
            await self._send_error(refused, scope, receive, send)
        except BaseException:
            await exchange.fail(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        else:
            await self._send_end(cost, send)
        finally:
            watching.cancel()

    @asynccontextmanager
    async def _while_wanted(self, watching: "asyncio.Task[None]") -> AsyncIterator[None]:
        """Once the client goes away, listen to the upstream only for a while longer.

        What the upstream has produced is paid for, and only its end says exactly how much.
        """
        loop, limit = asyncio.get_running_loop(), asyncio.timeout(None)
        is_over = False
        try:
            async with limit:

                def leave(_: object) -> None:
                    self._is_gone = True
                    # It may have been on its way when the upstream's end came.
                    if not is_over and not limit.expired():
                        limit.reschedule(loop.time() + settings.DRAIN_SECONDS)

                watching.add_done_callback(leave)
                try:
                    yield
                finally:
                    is_over = True
                    watching.remove_done_callback(leave)
        except TimeoutError:
            if not limit.expired():
                raise

    async def _take(self, payload: bytes, send: Send) -> None:
        chunk = _parsed(payload)
        self._texts += _texts(chunk, "delta")
        usage = chunk.pop("usage", None)
        if usage is not None:
            # Some send it with every chunk; the last one that makes sense counts.
            quantities = read_usage(usage)
            if quantities is not None:
                self._quantities, self._usage = quantities, usage
        choices = chunk["choices"]
        self._last = chunk
        if any(isinstance(c, dict) and c.get("finish_reason") for c in choices):
            self._is_complete = True
        if not choices:
            return
        self._exchange.mark_first_token()
        name = self._exchange.admitted.offer.name
        if usage is not None or chunk.get("model") != name:
            payload = orjson.dumps(chunk | {"model": name})
        await self._send(payload, send)

    async def _send(self, payload: bytes, send: Send) -> None:
        if self._is_gone:
            return
        if not self._has_begun:
            self._has_begun = True
            await send(
                {
                    "type": "http.response.start",
                    "status": HTTPStatus.OK,
                    "headers": [
                        (b"content-type", b"text/event-stream; charset=utf-8"),
                        (b"cache-control", b"no-cache"),
                        (b"x-accel-buffering", b"no"),
                        (b"x-request-id", self._exchange.request_id.encode()),
                    ],
                }
            )
        body = b"data: " + payload + b"\n\n"
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except (OSError, TimeoutError):
            self._is_gone = True

    async def _send_end(self, cost: int, send: Send) -> None:
        if self._wants_usage:
            usage = self._usage | {"cost_in_usd_ticks": cost}
            name = self._exchange.admitted.offer.name
            chunk = self._last | {"model": name, "choices": [], "usage": usage}
            await self._send(orjson.dumps(chunk), send)
        await self._send(b"[DONE]", send)
        await self._finish(send)

    async def _send_error(
        self, refused: RefusedError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if self._has_begun:
            await self._send(orjson.dumps(error_body(refused)), send)
            await self._finish(send)
        elif not self._is_gone:
            await error_response(refused, self._exchange.request_id)(scope, receive, send)

    async def _finish(self, send: Send) -> None:
        if not self._is_gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a server-sent event stream into the data of its events.

    As the standard says: lines end in LF, CR LF or CR, comments and other fields are passed over,
    an event ends with an empty line. What stands after the last one is not an event.
    Raises RefusedError when an event grows beyond what a chunk can reasonably be.
    """
    rest, data = b"", []
    async for part in parts:
        # A CR at the end may be half of a line end; it waits for what follows.
        text = rest + part
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = (
            text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        )
        rest += held
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []
        if len(rest) > MOST_ANSWER_BYTES:
            raise broken_answer()
    if rest.endswith(b"\r"):
        # Nothing followed: it was a whole line end.
        last, rest = rest[:-1], b""
        if last.startswith(b"data:"):
            data.append(last[5:].removeprefix(b" "))
    if data and not rest:
        # Some servers leave out the last empty line.
        yield b"\n".join(data)
