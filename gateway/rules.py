"""What a chat request and its answer mean for money. Pure: bodies in, numbers out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from billing.services import BillingItem

# A chat template adds tokens that the customer never wrote; the brackets and role names of the
# JSON pay for those of each message, this for the ones at both ends.
TEMPLATE_TOKENS: Final = 256
# The dearest image: see the price notes in docs/metering.md.
IMAGE_TOKENS: Final = 1792
# What stands behind an address may be of any length, and nothing here could say what it costs.
UNBOUNDED_CONTENT: Final = frozenset({"video_url", "audio_url", "file"})
MAX_CHOICES: Final = 128
MAX_TOKENS_FIELDS: Final = ("max_completion_tokens", "max_tokens")
# Other names by which some inference server takes a maximum or a number of choices, which would
# overrule what the hold stands for: llama.cpp's, Transformers', OpenAI's elsewhere, old vLLM's.
NOT_FORWARDED: Final = frozenset(
    {*MAX_TOKENS_FIELDS, "n_predict", "n_cmpl", "max_new_tokens", "max_output_tokens", "best_of"}
)
PROMPT_ITEMS: Final = (
    BillingItem.PROMPT_TEXT,
    BillingItem.CACHED_PROMPT_TEXT,
    BillingItem.PROMPT_IMAGE,
)
COMPLETION_ITEMS: Final = (BillingItem.COMPLETION, BillingItem.REASONING)
# Beyond this a count is garbage, whoever sent it. It also keeps sums within the database's int64.
MOST_TOKENS: Final = 10**9


class InvalidRequestError(Exception):
    """The body is not a chat request; the text says which field is wrong and what it should be."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the gateway needs to know of a chat request; the rest is passed on as it came."""

    body: dict[str, Any]
    model: str
    max_tokens: int | None
    max_tokens_field: str
    choices: int
    is_stream: bool
    wants_usage: bool
    prompt_tokens_bound: int
    image_tokens_bound: int


def read_chat_request(body: Any, size_bytes: int) -> ChatRequest:
    """Check the fields that matter to routing and money. Raises InvalidRequestError.

    A token is at least one byte of the text it stands for, so the body's own size bounds the
    prompt, whatever the model's tokenizer. Images are counted by piece instead.
    """
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be the name of a model.")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("messages must be a list with at least one message.")
    if not all(isinstance(message, dict) for message in messages):
        raise InvalidRequestError("Each of messages must be an object with role and content.")
    stream = body.get("stream")
    if not (stream is None or isinstance(stream, bool)):
        raise InvalidRequestError("stream must be true or false.")
    options = body.get("stream_options")
    if not (options is None or isinstance(options, dict)):
        raise InvalidRequestError("stream_options must be an object.")
    if options and not stream:
        raise InvalidRequestError("stream_options needs stream to be true.")
    choices = _whole_number(body, "n", least=1, most=MAX_CHOICES)
    named = [(f, _whole_number(body, f, least=1)) for f in MAX_TOKENS_FIELDS]
    field, max_tokens = next(
        ((f, n) for f, n in named if n is not None), (MAX_TOKENS_FIELDS[1], None)
    )
    images, image_bytes = _images(messages)
    return ChatRequest(
        body=body,
        model=model,
        max_tokens=max_tokens,
        max_tokens_field=field,
        choices=choices or 1,
        is_stream=bool(stream),
        wants_usage=bool(options and options.get("include_usage")),
        prompt_tokens_bound=size_bytes - image_bytes + TEMPLATE_TOKENS,
        image_tokens_bound=images * IMAGE_TOKENS,
    )


def _whole_number(
    body: Mapping[str, Any], field: str, *, least: int, most: int = MOST_TOKENS
) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequestError(f"{field} must be a whole number from {least} to {most:,}.")
    return value


def _images(messages: list[dict[str, Any]]) -> tuple[int, int]:
    """Count images, and the bytes of those that came inside the body."""
    count = size = 0
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if kind in UNBOUNDED_CONTENT:
                raise InvalidRequestError(
                    f"Content of the type {kind} cannot be priced, so it is not accepted."
                )
            if kind == "image_url":
                count += 1
                image = part.get("image_url")
                url = image.get("url") if isinstance(image, dict) else image
                if isinstance(url, str) and url.startswith("data:") and url.isascii():
                    size += len(url)
    return count, size


def read_usage(usage: Any) -> dict[BillingItem, int] | None:
    """Say what an upstream reports to have used, per billing item; None when it makes no sense.

    Zeros count: a prompt that was all cached has no other tokens. Two conventions exist for
    reasoning tokens, inside `completion_tokens` or beside them; `total_tokens` tells which.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None:
        return None
    prompt_details = _details(usage, "prompt_tokens_details")
    cached = min(_count(prompt_details, "cached_tokens") or 0, prompt)
    images = min(_count(prompt_details, "image_tokens") or 0, prompt - cached)
    reasoning = _count(_details(usage, "completion_tokens_details"), "reasoning_tokens") or 0
    is_beside = usage.get("total_tokens") == prompt + completion + reasoning
    if reasoning and not is_beside:
        reasoning = min(reasoning, completion)
        completion -= reasoning
    return {
        BillingItem.PROMPT_TEXT: prompt - cached - images,
        BillingItem.CACHED_PROMPT_TEXT: cached,
        BillingItem.PROMPT_IMAGE: images,
        BillingItem.COMPLETION: completion,
        BillingItem.REASONING: reasoning,
    }


def _details(usage: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    details = usage.get(field)
    return details if isinstance(details, dict) else {}


def _count(usage: Mapping[str, Any], field: str) -> int | None:
    value = usage.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        return None
    return value


def prompt_text(messages: list[dict[str, Any]]) -> str:
    """Join the text of all messages, for counting its tokens."""
    texts = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list):
            texts += [
                part["text"]
                for part in content
                if isinstance(part, dict) and isinstance(part.get("text"), str)
            ]
    return "\n".join(texts)


def usage_report(quantities: Mapping[BillingItem, int]) -> dict[str, Any]:
    """Report what the gateway counted itself, in the shape of an upstream's usage."""
    prompt = sum(quantities.get(item, 0) for item in PROMPT_ITEMS)
    completion = sum(quantities.get(item, 0) for item in COMPLETION_ITEMS)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
