"""Billing items: what a request is priced by, in the order of the price list."""

from collections.abc import Iterable
from typing import Final

MILLION: Final = 10**6
# The unit of xAI's public usage.proto. Billing, a sibling that may not be asked, has the same.
TICKS_PER_USD: Final = 10_000_000_000


CACHED: Final = "cached_prompt_text"
# From here on, a request was not answered as it should have been.
FAILURE_STATUS: Final = 500

# In the order of the price list.
TOKEN_LABELS: Final = {
    "prompt_text": "Prompt",
    CACHED: "Cached prompt",
    "prompt_image": "Prompt image",
    "completion": "Completion",
    "reasoning": "Reasoning",
}
PROMPT_TOKENS: Final = frozenset({"prompt_text", CACHED, "prompt_image"})

Item = tuple[str, int, int]  # Billing item, quantity, cost in ticks.


def label_of(item: str) -> str:
    """Make a billing item readable, also one that came after this was written."""
    return TOKEN_LABELS.get(item) or item.replace("_", " ").capitalize()


def in_order(items: Iterable[str]) -> list[str]:
    """As the price list has them, and what it does not have by name."""
    places = {item: place for place, item in enumerate(TOKEN_LABELS)}
    return sorted(items, key=lambda item: (places.get(item, len(places)), item))


def in_words(count: int) -> str:
    """Write a count to be read at a glance: 1.87 billion."""
    if count >= MILLION:
        for size, word in ((10**12, "trillion"), (10**9, "billion"), (MILLION, "million")):
            # What would round to 1,000.00 of the smaller word is 1.00 of this one.
            if round(count / size, 5) >= 1:
                return f"{count / size:,.2f} {word}"
    return f"{count:,}"
