"""One request on its way: what is forwarded, what comes back, and what it comes to."""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, TypeGuard

import orjson
from starlette.responses import Response

from billing.services import BillingItem
from gateway.api import tokens
from gateway.api.answers import error_response, rate_headers
from gateway.api.lane import Lane
from gateway.api.upstream import Upstreams, broken_answer, read_whole
from gateway.rules import NOT_FORWARDED, ChatRequest, prompt_text, read_usage, usage_report
from gateway.services import Admitted, Outcome, RefusedError

logger = logging.getLogger("gateway")

PATH: Final = "/chat/completions"


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

    @property
    def headers(self) -> dict[str, str]:
        """What every good answer says beside itself."""
        return {"x-request-id": self.request_id} | rate_headers(self.admitted.rates)

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
                answer = parsed(await read_whole(response))
            usage = answer.pop("usage", None)
            # Written before it is charged: what cannot be written cannot be delivered.
            body = written(answer | {"model": self.admitted.offer.name})
            quantities = read_usage(usage)
            cost, usage = await self.settle(quantities, usage, texts(answer, "message"))
        except RefusedError as refused:
            await self.fail(refused.status)
            return error_response(refused, self.request_id, self.admitted.rates)
        except BaseException:
            await self.fail(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        body = body[:-1] + b',"usage":' + with_cost(usage, cost) + b"}"
        return Response(body, headers=self.headers, media_type="application/json")

    async def settle(
        self, quantities: Mapping[BillingItem, int] | None, usage: Any, said: list[str]
    ) -> tuple[int, bytes]:
        """Charge what was used, or what it looks like when the upstream does not say.

        Returns the cost in ticks, and the usage to report, as JSON.
        """
        is_estimated = quantities is None
        if quantities is None:
            # Counting takes a while for long texts, and others are waiting.
            quantities = await asyncio.to_thread(self._estimate, said)
            usage = usage_report(quantities)
        report = written(usage)
        cost = await self._end(HTTPStatus.OK, quantities, is_estimated=is_estimated)
        return cost, report

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

    def _estimate(self, said: list[str]) -> dict[BillingItem, int]:
        prompt = tokens.count(prompt_text(self.chat.body["messages"]))
        return {
            BillingItem.PROMPT_TEXT: min(prompt, self.chat.prompt_tokens_bound),
            BillingItem.COMPLETION: tokens.count("".join(said)),
        }


def parsed(data: bytes) -> dict[str, Any]:
    """Read an upstream's answer or chunk. Raises RefusedError when it is not one."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        raise broken_answer()
    return answer


def texts(answer: dict[str, Any], part: str) -> list[str]:
    """Find what a model said, in the whole answer's `message` or a chunk's `delta`."""
    found: list[str] = []
    for choice in answer["choices"]:
        said = choice.get(part) if isinstance(choice, dict) else None
        if isinstance(said, dict):
            found += [
                v for v in (said.get("content"), said.get("reasoning_content")) if _is_text(v)
            ]
            calls = said.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict) and _is_text(function.get("arguments")):
                    found.append(function["arguments"])
    return found


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def written(value: dict[str, Any]) -> bytes:
    """Write JSON. Raises RefusedError for what can be read but not written: it nests too deeply."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise broken_answer() from error


def with_cost(usage: bytes, cost: int) -> bytes:
    """Add the cost to a usage report that is JSON already."""
    comma = b"," if len(usage) > len(b"{}") else b""
    return usage[:-1] + comma + b'"cost_in_usd_ticks":%d}' % cost
