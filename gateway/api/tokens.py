"""Counting tokens, with the tokenizer inside the wordllama wheel: no model is asked, no network.

It is what the sandbox model uses, and the best guess for an upstream that reports no usage.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from tokenizers import Tokenizer

from gateway.rules import TEMPLATE_TOKENS, ChatRequest, prompt_text

# What a chat template adds around each message and at the start of the answer, as a rule.
TOKENS_PER_MESSAGE: Final = 4
TOKENS_TO_BEGIN: Final = 3
# So many bytes are counted, within a tenth of a second; of more, so many bytes are a token.
LONG: Final = 64 * 1024
BYTES_PER_TOKEN: Final = 2
# So many prompts are counted at a time, lest nothing be left for who serves the others.
AT_ONCE: Final = 2


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


class Counting:
    """Counts prompts, a few at a time, and one of each key: many of one keep no other waiting."""

    def __init__(self, count: Callable[[str], int] = count) -> None:
        self._count = count
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turn_of: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of_prompt(self, chat: ChatRequest, *, secret: str) -> int:
        """Count how many tokens a prompt has, before any model has read it."""
        text = prompt_text(chat.body["messages"])
        size = len(text.encode())
        counted = size // BYTES_PER_TOKEN if size > LONG else await self._of(text, secret)
        template = TOKENS_PER_MESSAGE * len(chat.body["messages"]) + TOKENS_TO_BEGIN
        # The model reads what it may call as well.
        rest = chat.prompt_tokens_bound - TEMPLATE_TOKENS - size if chat.body.get("tools") else 0
        return counted + max(0, rest) // BYTES_PER_TOKEN + template + chat.image_tokens_bound

    async def _of(self, text: str, secret: str) -> int:
        async with self._turn_of.setdefault(secret, asyncio.Lock()), self._turns:
            return await asyncio.to_thread(self._count, text)
