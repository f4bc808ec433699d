"""Talking to inference servers: one HTTP client, and what their failures mean to a customer."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

import aiohttp
import orjson
from django.conf import settings

from gateway.api import sandbox
from gateway.api.answers import invalid
from gateway.models import SANDBOX_URL
from gateway.services import RefusedError, Target

logger = logging.getLogger("gateway")

CONNECT_TIMEOUT: Final = 10.0
# Seconds for which an idle connection may still be used. Inference servers behind uvicorn (vLLM,
# SGLang) hang up after 5, and what is sent at that moment is lost.
KEEPALIVE: Final = 4.0
# Seconds for which a cluster that failed is asked last.
AVOID_FOR: Final = 10.0
MOST_ERROR_BYTES: Final = 64 * 1024
MOST_ANSWER_BYTES: Final = 64 * 2**20
# What the customer did wrong, as the inference server found out; everything else is its own fault.
CUSTOMERS_FAULT: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)


class Upstreams:
    """The inference servers, as this process reaches them."""

    def __init__(self, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._avoid_until: dict[str, float] = {}
        self._connect_timeout = connect_timeout
        # After a large answer that was read slowly, aiohttp 3.14 leaves the clock of `sock_read`
        # running on the idle connection. Once it has run out, the next request there fails at once.
        keepalive = min(KEEPALIVE, settings.UPSTREAM_TIMEOUT / 2)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=keepalive),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_timeout, sock_read=settings.UPSTREAM_TIMEOUT
            ),
        )

    async def close(self) -> None:
        await self._session.close()

    @asynccontextmanager
    async def post(
        self, targets: Sequence[Target], path: str, body: dict[str, Any], request_id: str
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Target]]:
        """Send a request to the first cluster that can be reached; its answer is a 200.

        Another cluster is tried only while nothing has been sent. Raises RefusedError for
        everything that is not a 200, and for whatever goes wrong while the answer is read.
        """
        response, target = await self._first_answer(targets, path, body, request_id)
        try:
            if response.status != HTTPStatus.OK:
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    self._avoid(target)
                raise await _refusal(response, target)
            yield response, target
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._avoid(target)
            raise _failure(error, target) from error
        finally:
            # Before its end was read, closing is what tells an inference server to stop.
            response.close()

    async def _first_answer(
        self, targets: Sequence[Target], path: str, body: dict[str, Any], request_id: str
    ) -> tuple[aiohttp.ClientResponse, Target]:
        now = monotonic()
        by_health = sorted(targets, key=lambda t: self._avoid_until.get(t.cluster, 0.0) > now)
        for target in by_health:
            try:
                data = orjson.dumps(body | {"model": target.upstream_name})
            except orjson.JSONEncodeError as error:
                # It reads deeper than it writes.
                raise invalid("The body is nested too deeply.") from error
            headers = _headers(target) | {"x-request-id": request_id}
            try:
                # aiohttp's own clock starts when all is sent, which a server may never let happen.
                async with asyncio.timeout(self._connect_timeout + settings.UPSTREAM_TIMEOUT):
                    response = await self._session.post(
                        _address(target) + path, data=data, headers=headers, allow_redirects=False
                    )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                self._avoid(target)
                logger.warning("Cluster %s cannot be reached: %s", target.cluster, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._avoid(target)
                raise _failure(error, target) from error
            else:
                return response, target
        raise RefusedError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "unavailable",
            "The model cannot be reached at the moment. Nothing was charged. "
            "Try again in a few seconds.",
            "upstream_unreachable",
        )

    def _avoid(self, target: Target) -> None:
        """Let the next requests try other clusters first.

        The request at hand is not repeated elsewhere: the cluster may have begun to work on it.
        """
        self._avoid_until[target.cluster] = monotonic() + AVOID_FOR


def _address(target: Target) -> str:
    return sandbox.address() if target.base_url == SANDBOX_URL else target.base_url


def _headers(target: Target) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if target.base_url == SANDBOX_URL:
        headers["authorization"] = f"Bearer {sandbox.token()}"
    elif key := os.environ.get(target.api_key_variable):
        headers["authorization"] = f"Bearer {key}"
    return headers


def _failure(error: Exception, target: Target) -> RefusedError:
    logger.warning("Cluster %s failed: %r", target.cluster, error)
    if isinstance(error, TimeoutError):
        return RefusedError(
            HTTPStatus.GATEWAY_TIMEOUT,
            "deadline-exceeded",
            "The model did not answer in time. Nothing was charged.",
            "upstream_timeout",
        )
    return broken_answer()


def broken_answer() -> RefusedError:
    return RefusedError(
        HTTPStatus.BAD_GATEWAY,
        "unavailable",
        "The model's server failed while answering. Nothing was charged. Try again.",
        "upstream_failed",
    )


async def read_whole(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer to its end. Raises RefusedError when it has none in sight."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MOST_ANSWER_BYTES:
            raise broken_answer()
    return b"".join(parts)


async def _refusal(response: aiohttp.ClientResponse, target: Target) -> RefusedError:
    text = await response.content.read(MOST_ERROR_BYTES)
    # Not the text: inference servers repeat prompts in it, which are nobody's to keep.
    logger.warning("Cluster %s answered %d", target.cluster, response.status)
    if response.status in CUSTOMERS_FAULT:
        return RefusedError(
            response.status, "invalid-argument", _error_text(text), "invalid_request"
        )
    if response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return RefusedError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "unavailable",
            "The model is overloaded at the moment. Nothing was charged. "
            "Try again in a few seconds.",
            "upstream_overloaded",
        )
    return broken_answer()


def _error_text(text: bytes) -> str:
    """Find the sentence in an inference server's error, whichever of the usual shapes it has."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = None
    error = body.get("error", body.get("message")) if isinstance(body, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else "The model's server refused the request."
