"""How the API answers: JSON and the original's flat errors."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from gateway.rates import Rates, duration
from gateway.services import RateLimitedError, RefusedError


class JsonResponse(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def error_body(refused: RefusedError) -> dict[str, str]:
    return {"code": refused.code, "error": refused.error, "reason": refused.reason}


def error_response(
    refused: RefusedError, request_id: str = "", rates: Rates | None = None
) -> JsonResponse:
    headers = rate_headers(rates) if rates else {}
    if request_id:
        headers["x-request-id"] = request_id
    if isinstance(refused, RateLimitedError):
        headers |= rate_headers(refused.rates)
        if refused.wait is not None:
            # The first is in HTTP, and in whole seconds; OpenAI's clients prefer the second.
            headers["retry-after"] = str(-(-refused.wait // 1_000_000))
            headers["retry-after-ms"] = str(-(-refused.wait // 1000))
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "5"
    return JsonResponse(error_body(refused), refused.status, headers)


def rate_headers(rates: Rates) -> dict[str, str]:
    """Say how a request stands with its limits, in the headers that OpenAI has for it."""
    standings = {"requests": rates.requests, "tokens": rates.tokens}
    return {
        f"x-ratelimit-{part}-{name}": value
        for name, standing in standings.items()
        if standing
        for part, value in (
            ("limit", str(standing.limit)),
            ("remaining", str(standing.remaining)),
            ("reset", duration(standing.reset)),
        )
    }


def invalid(error: str, status: int = HTTPStatus.UNPROCESSABLE_ENTITY) -> RefusedError:
    return RefusedError(status, "invalid-argument", error, "invalid_request")
