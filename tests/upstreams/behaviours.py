"""Every way the fake server can answer. The docstring of each is what --help says about it."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from tests.upstreams.answers import (
    ABSENT,
    DONE,
    Ask,
    Behaviour,
    End,
    Step,
    answer,
    completion,
    event,
    finish,
    respond,
    stream,
    tokens,
)

BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(function: Behaviour) -> Behaviour:
    BEHAVIOURS[function.__name__.replace("_", "-")] = function
    return function


@behaviour
def ok(ask: Ask) -> Iterable[Step]:
    """Answer rightly with exact usage, JSON or events; honour `n` and `max_tokens`."""
    return answer(ask, ask.usage)


@behaviour
def slow(ask: Ask) -> Iterable[Step]:
    """Answer rightly in a trickle: 50 tokens, 0.1 s apart."""
    ask.options = {"tokens": "50", "delay": "0.1", **ask.options}
    return answer(ask, ask.usage)


class Gate:
    """Where `gated` answers wait until a test lets them go on."""

    is_open = False


@behaviour
def gated(ask: Ask) -> Iterable[Step]:
    """Send one token (of JSON nothing), then wait for `PUT /_gate` to say `open`."""
    if not ask.stream:
        return itertools.chain(at_the_gate(0.05), answer(ask, ask.usage))
    first, *others = tokens(ask)
    # Comments keep the line alive.
    waiting = at_the_gate(0.5, b": waiting\n\n")
    rest = [*others, event(ask, finish(ask)), *last_chunk(ask), DONE]
    return stream(itertools.chain([first], waiting, rest))


def at_the_gate(pause: float, *sign_of_life: bytes) -> Iterator[Step]:
    while not Gate.is_open:
        yield pause
        yield from sign_of_life


@behaviour
def split(ask: Ask) -> Iterable[Step]:
    """Answer rightly, in packets of `size` bytes (100) that follow no boundary of the content."""
    size = int(ask.option("size", 100))
    whole = b"".join(step for step in answer(ask, ask.usage) if isinstance(step, bytes))
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    return itertools.chain.from_iterable((part, 0.002) for part in parts)


@behaviour
def huge_chunk(ask: Ask) -> Iterable[Step]:
    """Send one token of `size` bytes (4 MiB)."""
    ask.pieces = ["x" * int(ask.option("size", 4 * 2**20))]
    return answer(ask, ask.usage)


@behaviour
def hang(_ask: Ask) -> Iterable[Step]:
    """Take the request and never say a word."""
    return [End.HANG]


@behaviour
def hang_mid_stream(ask: Ask) -> Iterable[Step]:
    """Send half of the tokens (or of the JSON), then keep silent on an open line."""
    return half(ask, End.HANG)


@behaviour
def drop_before_headers(_ask: Ask) -> Iterable[Step]:
    """Take the request and cut the line."""
    return [End.DROP]


@behaviour
def drop_before_token(ask: Ask) -> Iterable[Step]:
    """Send the headers, then cut the line."""
    head = respond(200, completion(ask, ask.usage)).split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return stream([End.DROP]) if ask.stream else [head, End.DROP]


@behaviour
def drop_mid_stream(ask: Ask) -> Iterable[Step]:
    """Send half of the tokens (or of the JSON), then cut the line."""
    return half(ask, End.DROP)


def half(ask: Ask, end: End) -> Iterator[Step]:
    if ask.stream:
        some = list(tokens(ask))
        return stream([*some[: max(len(some) // 2, 1)], end])
    whole = respond(200, completion(ask, ask.usage))
    return iter([whole[: -len(whole) // 4], end])


@behaviour
def error_mid_stream(ask: Ask) -> Iterable[Step]:
    """Send one token, then an error object as an event and an orderly end."""
    if not ask.stream:
        return answer(ask, ask.usage)
    error = {"error": {"message": "CUDA out of memory", "type": "server_error", "code": 500}}
    return stream([next(iter(tokens(ask))), b"data: " + orjson.dumps(error) + b"\n\n", DONE])


def refuse(status: int, kind: str, message: str, extra: str = "") -> Behaviour:
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    answer = respond(status, orjson.dumps(body), extra=extra)

    def refusal(_ask: Ask) -> Iterable[Step]:
        return [answer]

    refusal.__doc__ = f"Answer {status} with OpenAI's nested error: {message}"
    return refusal


BEHAVIOURS |= {
    "error-400": refuse(400, "invalid_request_error", "temperature must be at most 2."),
    "error-401": refuse(401, "authentication_error", "The operator's key for upstream is wrong."),
    "error-404": refuse(404, "invalid_request_error", "The model does not exist."),
    "error-429": refuse(429, "rate_limit_error", "Too many requests.", "Retry-After: 7\r\n"),
    "error-500": refuse(500, "server_error", "CUDA out of memory at /srv/models/secret-path."),
    "error-503": refuse(503, "server_error", "The model is loading."),
}


@behaviour
def error_html(_ask: Ask) -> Iterable[Step]:
    """Answer 502 with the HTML page of a proxy."""
    return [respond(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html")]


@behaviour
def not_json(ask: Ask) -> Iterable[Step]:
    """Answer 200 with HTML that calls itself JSON or events."""
    kind = "text/event-stream" if ask.stream else "application/json"
    return [respond(200, b"<html>It works</html>", kind)]


@behaviour
def wrong_shape(ask: Ask) -> Iterable[Step]:
    """Answer 200 with JSON that is no completion; `shape` 0 to 3 picks one, a stream has all."""
    pieces = [b"[]", b'{"choices": 7, "usage": [1]}', b"42", b"null"]
    if ask.stream:
        return stream([*(b"data: %b\n\n" % piece for piece in pieces), DONE])
    return [respond(200, pieces[int(ask.option("shape", 0))])]


@behaviour
def empty(ask: Ask) -> Iterable[Step]:
    """Answer 200 without a body, or with a stream without an event."""
    return stream([]) if ask.stream else [respond(200, b"")]


@behaviour
def json_for_stream(ask: Ask) -> Iterable[Step]:
    """Answer with one JSON object even when a stream was asked for."""
    return [respond(200, completion(ask, ask.usage))]


@behaviour
def no_done(ask: Ask) -> Iterable[Step]:
    """End the stream in order, but without its [DONE]."""
    if not ask.stream:
        return answer(ask, ask.usage)
    return stream([*tokens(ask), event(ask, finish(ask)), *last_chunk(ask)])


@behaviour
def noise(ask: Ask) -> Iterable[Step]:
    """Stream with CRLF, comments, other fields, and UTF-8 split between packets: odd but legal."""
    ask.pieces = [*ask.pieces, "naïve 東京 🦊 "]
    if not ask.stream:
        return answer(ask, ask.usage)
    plain = [step for step in tokens(ask) if isinstance(step, bytes)]
    lines = [
        b": keep-alive\r\n\r\nevent: message\r\nid: 1\r\nretry: 10\r\n",
        *(each.replace(b"\n", b"\r\n") for each in plain),
        event(ask, finish(ask)).replace(b"data: ", b"data:"),
        event(ask, [], ask.usage),
        DONE,
    ]
    whole = b"".join(lines)
    cut = whole.index("東".encode()) + 1
    middle = cut + len("京🦊".encode())
    parts = [whole[:7], whole[7:cut], whole[cut:middle], whole[middle:]]
    return stream(itertools.chain.from_iterable((part, 0.01) for part in parts))


@behaviour
def garbage(ask: Ask) -> Iterable[Step]:
    """Stream lines that are no events and events that are no JSON among the right ones."""
    if not ask.stream:
        return answer(ask, ask.usage)
    junk = b"garbage without a colon\n\ndata: {not json\n\ndata:\n\n\n\ndata: \xff\xfe\n\n"
    return stream([junk, *tokens(ask), junk, event(ask, finish(ask)), *last_chunk(ask), DONE])


def last_chunk(ask: Ask) -> list[bytes]:
    return [event(ask, [], ask.usage)] if ask.include_usage else []


@behaviour
def no_usage(ask: Ask) -> Iterable[Step]:
    """Answer rightly but never tell the usage."""
    return answer(ask)


@behaviour
def usage_twice(ask: Ask) -> Iterable[Step]:
    """Send the last chunk, the one with the usage, twice."""
    if not ask.stream:
        return answer(ask, ask.usage)
    return stream([*tokens(ask), event(ask, finish(ask)), *[event(ask, [], ask.usage)] * 2, DONE])


@behaviour
def usage_with_choices(ask: Ask) -> Iterable[Step]:
    """Tell the usage on the chunk that carries the finish reason."""
    if not ask.stream:
        return answer(ask, ask.usage)
    return stream([*tokens(ask), event(ask, finish(ask), ask.usage), DONE])


@behaviour
def usage_cumulative(ask: Ask) -> Iterable[Step]:
    """Tell the usage so far on every chunk, as vLLM does with continuous_usage_stats."""
    if not ask.stream:
        return answer(ask, ask.usage)
    many, prompt = len(ask.choices), ask.prompt_tokens

    def so_far(count: int) -> dict[str, int]:
        done = count * many
        return {"prompt_tokens": prompt, "completion_tokens": done, "total_tokens": prompt + done}

    return stream([*tokens(ask, so_far), event(ask, finish(ask), ask.usage), DONE])


@behaviour
def usage_over_max(ask: Ask) -> Iterable[Step]:
    """Claim 1000 completion tokens more than were allowed."""
    count = (ask.most_tokens or len(ask.pieces)) + 1_000
    return answer(ask, ask.usage | {"completion_tokens": count})


@behaviour
def usage_details(ask: Ask) -> Iterable[Step]:
    """Count cached and reasoning tokens as OpenAI and vLLM do: inside the two numbers."""
    return answer(ask, detailed(ask))


@behaviour
def usage_details_apart(ask: Ask) -> Iterable[Step]:
    """Count them as xAI does: reasoning beside completion_tokens, inside total_tokens."""
    usage = detailed(ask)
    usage["total_tokens"] += int(ask.option("reasoning", 5))
    return answer(ask, usage)


def detailed(ask: Ask) -> dict[str, Any]:
    return ask.usage | {
        "prompt_tokens_details": {
            "cached_tokens": int(ask.option("cached", 1)),
            "image_tokens": int(ask.option("image", 0)),
        },
        "completion_tokens_details": {"reasoning_tokens": int(ask.option("reasoning", 5))},
    }


GARBAGE_USAGES: dict[str, object] = {
    "usage-null": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    "usage-negative": {"prompt_tokens": -5, "completion_tokens": -9, "total_tokens": -14},
    "usage-strings": {"prompt_tokens": "7", "completion_tokens": [1], "total_tokens": {}},
    "usage-floats": {"prompt_tokens": 1.5, "completion_tokens": 1e300, "total_tokens": True},
    "usage-huge": {"prompt_tokens": 2**63, "completion_tokens": 2**63, "total_tokens": 2**63},
    "usage-not-object": "many",
}


@behaviour
def odd_parts(ask: Ask) -> Iterable[Step]:
    """Answer with choices whose parts are of every wrong type, and without usage."""
    said = {"role": 7, "content": ["no", "text"], "reasoning_content": 1, "tool_calls": 7}
    calls: Any = {"content": "fox", "tool_calls": [None, 7, {"function": 7}, {"function": {}}]}
    part = "delta" if ask.stream else "message"
    choices: list[Any] = [7, None, {}, {"index": "x", part: 7}, {part: said}, {part: calls}]
    if ask.stream:
        return stream([event(ask, choices), event(ask, finish(ask)), DONE])
    whole = orjson.loads(completion(ask, ABSENT)) | {"choices": choices}
    return [respond(200, orjson.dumps(whole))]


def report(usage: object) -> Behaviour:
    def reporting(ask: Ask) -> Iterable[Step]:
        return answer(ask, usage)

    reporting.__doc__ = f"Answer rightly, with the usage {usage}."
    return reporting


BEHAVIOURS |= {name: report(usage) for name, usage in GARBAGE_USAGES.items()}
