"""What an inference server says: whole answers, events, and the pauses between them."""

import http.client
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import orjson

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "goes",
    "home",
]
CREATED = 1_767_225_600


class End(Enum):
    """What a behaviour may do instead of going on: cut the line, or say nothing ever again."""

    DROP = "dropped"
    HANG = "hung"


Step = bytes | float | End  # Bytes are sent, a number is a pause in seconds.
Behaviour = Callable[["Ask"], Iterable[Step]]
ABSENT = object()


@dataclass
class Ask:
    """One request as a behaviour sees it."""

    body: dict[str, Any]
    options: dict[str, str]

    def option(self, name: str, default: float) -> float:
        return float(self.options.get(name, default))

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def include_usage(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @cached_property
    def choices(self) -> range:
        return range(int(self.body.get("n") or 1))

    @cached_property
    def most_tokens(self) -> int | None:
        return self.body.get("max_completion_tokens") or self.body.get("max_tokens")

    @cached_property
    def pieces(self) -> list[str]:
        """The completion's tokens, each with the space after it."""
        wanted = int(self.option("tokens", 16))
        count = wanted if self.most_tokens is None else min(wanted, self.most_tokens)
        return [f"{word} " for word in itertools.islice(itertools.cycle(WORDS), count)]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def finish_reason(self) -> str:
        return "length" if len(self.pieces) < self.option("tokens", 16) else "stop"

    @cached_property
    def prompt_tokens(self) -> int:
        if "prompt" in self.options:
            return int(self.options["prompt"])
        contents = [message.get("content") for message in self.body.get("messages", ())]
        parts = itertools.chain.from_iterable(
            [{"text": content}] if isinstance(content, str) else content or []
            for content in contents
        )
        return sum(len(part.get("text", "").split()) for part in parts)

    @cached_property
    def usage(self) -> dict[str, Any]:
        completion = len(self.pieces) * len(self.choices)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


def respond(status: int, body: bytes, kind: str = "application/json", extra: str = "") -> bytes:
    reason = http.client.responses.get(status, "Unknown")
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def completion(ask: Ask, usage: object) -> bytes:
    answer = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.body.get("model"),
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": ask.text},
                "finish_reason": ask.finish_reason,
            }
            for index in ask.choices
        ],
    }
    return orjson.dumps(answer if usage is ABSENT else answer | {"usage": usage})


def event(ask: Ask, choices: list[dict[str, Any]], usage: object = ABSENT) -> bytes:
    chunk = {
        "id": "chatcmpl-0",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": ask.body.get("model"),
        "choices": choices,
    }
    if usage is not ABSENT:
        chunk["usage"] = usage
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def tokens(ask: Ask, usages: Callable[[int], object] = lambda _: ABSENT) -> Iterator[Step]:
    """Make one event per token and choice, with `delay` between the tokens."""
    delay = ask.option("delay", 0)
    for count, piece in enumerate(ask.pieces, start=1):
        if delay and count > 1:
            yield delay
        for index in ask.choices:
            delta = {"content": piece} if count > 1 else {"role": "assistant", "content": piece}
            choice = {"index": index, "delta": delta, "finish_reason": None}
            yield event(ask, [choice], usages(count))


def finish(ask: Ask) -> list[dict[str, Any]]:
    return [
        {"index": index, "delta": {}, "finish_reason": ask.finish_reason} for index in ask.choices
    ]


DONE = b"data: [DONE]\n\n"


def stream(events: Iterable[Step]) -> Iterator[Step]:
    """Send events as server-sent events, each in an HTTP chunk of its own."""
    yield (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for step in events:
        yield b"%x\r\n%b\r\n" % (len(step), step) if isinstance(step, bytes) else step
    yield b"0\r\n\r\n"


def answer(ask: Ask, usage: object = ABSENT) -> Iterator[Step]:
    """Give a whole, well-formed answer whose usage is what the caller says."""
    if not ask.stream:
        yield respond(200, completion(ask, usage))
        return
    last = [event(ask, [], usage)] if ask.include_usage and usage is not ABSENT else []
    yield from stream(itertools.chain(tokens(ask), [event(ask, finish(ask)), *last, DONE]))
