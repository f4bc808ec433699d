"""How the API answers: JSON and the original's flat errors."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from gateway.services import RefusedError


class JsonResponse(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def error_body(refused: RefusedError) -> dict[str, str]:
    return {"code": refused.code, "error": refused.error, "reason": refused.reason}


def error_response(refused: RefusedError, request_id: str = "") -> JsonResponse:
    headers = {"x-request-id": request_id} if request_id else {}
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "5"
    return JsonResponse(error_body(refused), refused.status, headers)


def invalid(error: str, status: int = HTTPStatus.UNPROCESSABLE_ENTITY) -> RefusedError:
    return RefusedError(status, "invalid-argument", error, "invalid_request")
