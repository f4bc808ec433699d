"""The sandbox model: an inference server inside the gateway, to try everything offline.

It thinks nothing and says so, but counts, streams and stops like a real one. The gateway reaches
it over HTTP, as it reaches every upstream, and nobody else can: the token is never handed out.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from time import time
from typing import Any, Final
from uuid import uuid4

import orjson
from django.conf import settings
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api import tokens
from gateway.api.answers import JsonResponse
from gateway.rules import IMAGE_TOKENS, ChatRequest, prompt_text, read_chat_request

QUOTED_CHARACTERS: Final = 400


@cache
def token() -> str:
    return hmac.new(settings.SECRET_KEY.encode(), b"sandbox model", sha256).hexdigest()


def address() -> str:
    """Say where this server can reach itself."""
    everywhere = settings.HOST in {"0.0.0.0", "::"}  # noqa: S104 -- compared, not bound
    host = "127.0.0.1" if everywhere else settings.HOST
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}/sandbox/v1"


async def chat_completions(request: Request) -> Response:
    """POST /sandbox/v1/chat/completions: answer in the shape of OpenAI's API."""
    presented = request.headers.get("authorization", "")
    if not hmac.compare_digest(presented.encode(), f"Bearer {token()}".encode()):
        raise HTTPException(HTTPStatus.NOT_FOUND)  # As if there were nothing here.
    data = await request.body()
    chat = read_chat_request(orjson.loads(data), len(data))
    # Counting takes a while for long prompts, and others are waiting.
    answer, about = await asyncio.to_thread(_compose, chat), _about(chat)
    if chat.is_stream:
        return StreamingResponse(_stream(chat, answer, about), media_type="text/event-stream")
    message = {"role": "assistant", "content": "".join(answer.pieces), "refusal": None}
    choices = [
        {"index": i, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
        for i in range(chat.choices)
    ]
    whole = {"object": "chat.completion", "choices": choices, "usage": answer.usage}
    return JsonResponse(about | whole)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the sandbox says, token by token."""

    pieces: list[str]
    finish_reason: str
    usage: dict[str, Any]


def _compose(chat: ChatRequest) -> _Answer:
    messages = chat.body["messages"]
    prompt = prompt_text(messages)
    text = (
        "This is the sandbox model. It does not think: it repeats what it was asked, so that you "
        "can try keys, credits and usage without an inference server. "
        f"The prompt was: {prompt[:QUOTED_CHARACTERS]}"
    )
    starts = [
        start for start, _ in tokens.tokenizer().encode(text, add_special_tokens=False).offsets
    ]
    ends = [*starts[1:], len(text)]
    pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    most = chat.max_tokens or len(pieces)
    template = tokens.TOKENS_PER_MESSAGE * len(messages) + tokens.TOKENS_TO_BEGIN
    prompt_tokens = tokens.count(prompt) + template
    image_tokens = chat.image_tokens_bound // IMAGE_TOKENS * (IMAGE_TOKENS // 7)
    completion_tokens = min(most, len(pieces)) * chat.choices
    return _Answer(
        pieces[:most],
        "stop" if most >= len(pieces) else "length",
        {
            "prompt_tokens": prompt_tokens + image_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + image_tokens + completion_tokens,
            "prompt_tokens_details": {
                "text_tokens": prompt_tokens,
                "image_tokens": image_tokens,
                "cached_tokens": 0,
            },
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    )


async def _stream(
    chat: ChatRequest, answer: _Answer, about: dict[str, Any]
) -> AsyncIterator[bytes]:
    def event(choices: list[Any], **more: Any) -> bytes:
        chunk = about | {"object": "chat.completion.chunk", "choices": choices} | more
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    for index, piece in enumerate(answer.pieces):
        delta = {"content": piece} if index else {"role": "assistant", "content": piece}
        yield event([_choice(i, delta) for i in range(chat.choices)])
        # Gives way, so that a long answer does not keep other requests waiting.
        await asyncio.sleep(0)
    yield event([_choice(i, {}, answer.finish_reason) for i in range(chat.choices)])
    if chat.wants_usage:
        yield event([], usage=answer.usage)
    yield b"data: [DONE]\n\n"


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def _about(chat: ChatRequest) -> dict[str, Any]:
    """Name an answer: what every part of it repeats."""
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "created": int(time()),
        "model": chat.model,
        "system_fingerprint": "sandbox",
    }
