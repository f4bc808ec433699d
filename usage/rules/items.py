"""Billing items: what a request is priced by, in the order of the price list."""

from collections.abc import Iterable
from typing import Final

MILLION: Final = 10**6
# The unit of xAI's public usage.proto. Billing, a sibling that may not be asked, has the same.
TICKS_PER_USD: Final = 10_000_000_000


# Every request has this item, so its row in a rollup says how many requests there were.
COUNTED_BY: Final = "prompt_text"
CACHED: Final = "cached_prompt_text"
# Not a billing item: how many of the requests were not answered as they should have been.
FAILED: Final = "failed"
FAILURE_STATUS: Final = 500

# In the order of the price list.
TOKEN_LABELS: Final = {
    COUNTED_BY: "Prompt",
    CACHED: "Cached prompt",
    "prompt_image": "Prompt image",
    "completion": "Completion",
    "reasoning": "Reasoning",
}
PROMPT_TOKENS: Final = frozenset({COUNTED_BY, CACHED, "prompt_image"})

Item = tuple[str, int, int]  # Billing item, quantity, cost in ticks.


def label_of(item: str) -> str:
    """Make a billing item readable, also one that came after this was written."""
    return TOKEN_LABELS.get(item) or item.replace("_", " ").capitalize()


def in_order(items: Iterable[str]) -> list[str]:
    """As the price list has them, and what it does not have by name."""
    places = {item: place for place, item in enumerate(TOKEN_LABELS)}
    return sorted(items, key=lambda item: (places.get(item, len(places)), item))


def counted(items: Iterable[Item], status: int) -> dict[str, tuple[int, int]]:
    """Say which items a request adds to the sums, with quantity and cost.

    The one that counts requests is among them even if the request failed before it used anything.
    """
    sums = {COUNTED_BY: (0, 0)}
    for item, quantity, cost_ticks in items:
        before = sums.get(item, (0, 0))
        sums[item] = (before[0] + quantity, before[1] + cost_ticks)
    if status >= FAILURE_STATUS:
        sums[FAILED] = (1, 0)
    return sums


def in_words(count: int) -> str:
    """Write a count to be read at a glance: 1.87 billion."""
    if count >= MILLION:
        for size, word in ((10**12, "trillion"), (10**9, "billion"), (MILLION, "million")):
            # What would round to 1,000.00 of the smaller word is 1.00 of this one.
            if round(count / size, 5) >= 1:
                return f"{count / size:,.2f} {word}"
    return f"{count:,}"
