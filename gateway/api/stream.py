"""A streamed answer: passed on chunk by chunk, and paid for to the last one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import orjson
from django.conf import settings
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from billing.services import BillingItem
from gateway.api.answers import error_body, error_response
from gateway.api.exchange import Exchange, parsed, texts, with_cost, written
from gateway.api.upstream import MOST_ANSWER_BYTES, broken_answer
from gateway.rules import read_usage
from gateway.services import RefusedError

# Seconds that a client may leave a piece of its answer unread before it counts as gone.
SEND_TIMEOUT: Final = 60.0
# What nginx calls a request whose client left before there was an answer.
CLIENT_GONE: Final = 499


class StreamedAnswer(Response):
    """The answer to a streaming request.

    Its headers wait for the upstream's first good chunk, so that a failure before it has an honest
    status.
    """

    def __init__(self, exchange: Exchange, running: "set[asyncio.Task[Any]]") -> None:
        super().__init__()
        self._exchange, self._running = exchange, running
        self._wants_usage = exchange.chat.wants_usage
        self._quantities: dict[BillingItem, int] | None = None
        self._usage: dict[str, Any] = {}
        self._texts: list[str] = []
        self._last: dict[str, Any] = {}
        self._is_complete = False
        self._has_begun = False
        self._is_gone = False
        self._limit: asyncio.Timeout | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange
        if task := asyncio.current_task():
            # So that a shutdown can wait for it, also when its client is gone.
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        watching = asyncio.create_task(_disconnected(receive))
        watching.add_done_callback(lambda _: self._leave())
        try:
            async with self._while_wanted(), exchange.connect() as (response, target):
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
            cost, usage = await exchange.settle(self._quantities, self._usage, self._texts)
        except RefusedError as refused:
            await exchange.fail(refused.status)
            await self._send_error(refused, scope, receive, send)
        except BaseException:
            await exchange.fail(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        else:
            await self._send_end(with_cost(usage, cost), send)
        finally:
            watching.cancel()

    @asynccontextmanager
    async def _while_wanted(self) -> AsyncIterator[None]:
        """Once the client is gone, listen to the upstream only for a while longer.

        What the upstream has produced is paid for, and only its end says exactly how much.
        """
        try:
            async with asyncio.timeout(None) as self._limit:
                if self._is_gone:
                    self._leave()
                yield
        except TimeoutError:
            if not (self._limit and self._limit.expired()):
                raise
        finally:
            self._limit = None

    def _leave(self) -> None:
        """Note that nobody listens any more."""
        self._is_gone = True
        if self._limit and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + settings.DRAIN_SECONDS)

    async def _take(self, payload: bytes, send: Send) -> None:
        chunk = parsed(payload)
        self._texts += texts(chunk, "delta")
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
            payload = written(chunk | {"model": name})
        await self._send(payload, send)

    async def _send(self, payload: bytes, send: Send) -> None:
        if not self._has_begun:
            self._has_begun = True
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                *((k.encode(), v.encode()) for k, v in self._exchange.headers.items()),
            ]
            start = {"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers}
            await self._send_message(start, send)
        body = b"data: " + payload + b"\n\n"
        more = {"type": "http.response.body", "body": body, "more_body": True}
        await self._send_message(more, send)

    async def _send_message(self, message: Message, send: Send) -> None:
        """Send, unless the client is gone; whoever takes nothing for a minute is."""
        if self._is_gone:
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await send(message)
        except (OSError, TimeoutError):
            self._leave()

    async def _send_end(self, usage: bytes, send: Send) -> None:
        if self._wants_usage:
            about = {k: v for k, v in self._last.items() if isinstance(v, str | int)}
            chunk = about | {"model": self._exchange.admitted.offer.name, "choices": []}
            await self._send(written(chunk)[:-1] + b',"usage":' + usage + b"}", send)
        await self._send(b"[DONE]", send)
        await self._finish(send)

    async def _send_error(
        self, refused: RefusedError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if self._has_begun:
            await self._send(orjson.dumps(error_body(refused)), send)
            await self._finish(send)
        elif not self._is_gone:
            exchange = self._exchange
            answer = error_response(refused, exchange.request_id, exchange.admitted.rates)
            await answer(scope, receive, send)

    async def _finish(self, send: Send) -> None:
        end = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send_message(end, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a server-sent event stream into the data of its events.

    As the standard says: lines end in LF, CR LF or CR, comments and other fields are passed over,
    an event ends with an empty line. What stands after the last one is not an event.
    Raises RefusedError when an event grows beyond what a chunk can reasonably be.
    """
    data: list[bytes] = []
    async for line in _lines(parts):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            _check_size(data)
        elif not line and data:
            yield b"\n".join(data)
            data = []


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut into lines, without their ends; a last one that has no end is left out."""
    rest: list[bytes] = []
    async for part in parts:
        rest.append(part)
        if b"\n" not in part and b"\r" not in part:
            _check_size(rest)
            continue
        text = b"".join(rest)
        # A CR at the end may be half of a line end; it waits for what follows.
        held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, last = text.split(b"\n")
        for line in lines:
            yield line
        rest = [last + held]
    last = b"".join(rest)
    if last.endswith(b"\r"):
        yield last[:-1]
        last = b""
    if not last:
        # Some servers leave out the last empty line.
        yield b""


def _check_size(pieces: list[bytes]) -> None:
    if sum(map(len, pieces)) > MOST_ANSWER_BYTES:
        raise broken_answer()
