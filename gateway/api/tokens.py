"""Counting tokens, with the tokenizer inside the wordllama wheel: no model is asked, no network.

It is what the sandbox model uses, and the best guess for an upstream that reports no usage.
"""

import asyncio
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from gateway.rules import TEMPLATE_TOKENS, ChatRequest, prompt_text

# What a chat template adds around each message and at the start of the answer, as a rule.
TOKENS_PER_MESSAGE: Final = 4
TOKENS_TO_BEGIN: Final = 3
# So many characters are counted, in about half a second; of more, so many bytes are a token.
LONG: Final = 2**20
BYTES_PER_TOKEN: Final = 2


@cache
def tokenizer() -> Tokenizer:
    # Found without importing the package, which would load its whole numeric stack.
    spec = find_spec("wordllama")
    assert spec is not None  # noqa: S101 -- a pinned requirement
    assert spec.origin is not None  # noqa: S101
    folder = Path(spec.origin).parent / "tokenizers"
    return Tokenizer.from_file(str(folder / "l2_supercat_tokenizer_config.json"))


def token_ids(text: str) -> list[int]:
    # As a batch of one: only batches leave other threads their turn meanwhile.
    [encoding] = tokenizer().encode_batch([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def count(text: str) -> int:
    return len(token_ids(text))


async def of_prompt(chat: ChatRequest) -> int:
    """Count how many tokens a prompt has, before any model has read it."""
    text = prompt_text(chat.body["messages"])
    size = len(text.encode())
    counted = size // BYTES_PER_TOKEN if len(text) > LONG else await asyncio.to_thread(count, text)
    template = TOKENS_PER_MESSAGE * len(chat.body["messages"]) + TOKENS_TO_BEGIN
    # The model reads what it may call as well.
    rest = chat.prompt_tokens_bound - TEMPLATE_TOKENS - size if chat.body.get("tools") else 0
    return counted + max(0, rest) // BYTES_PER_TOKEN + template + chat.image_tokens_bound
