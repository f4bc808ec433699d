"""Counting tokens, with the tokenizer inside the wordllama wheel: no model is asked, no network.

It is what the sandbox model uses, and the best guess for an upstream that reports no usage.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer


@cache
def tokenizer() -> Tokenizer:
    # Found without importing the package, which would load its whole numeric stack.
    spec = find_spec("wordllama")
    assert spec is not None  # noqa: S101 -- a pinned requirement
    assert spec.origin is not None  # noqa: S101
    folder = Path(spec.origin).parent / "tokenizers"
    return Tokenizer.from_file(str(folder / "l2_supercat_tokenizer_config.json"))


def token_ids(text: str) -> list[int]:
    ids: list[int] = tokenizer().encode(text, add_special_tokens=False).ids
    return ids


def count(text: str) -> int:
    return len(token_ids(text))
