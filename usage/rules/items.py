"""Billing items: what a request is priced by."""

from typing import Final

MILLION: Final = 10**6
# The unit of xAI's public usage.proto. Billing has the same; rules ask no other app.
TICKS_PER_USD: Final = 10_000_000_000
# From here on, a request was not answered as it should have been.
FAILURE_STATUS: Final = 500

# In the order of the price list.
TOKEN_LABELS: Final = {
    "prompt_text": "Prompt",
    "cached_prompt_text": "Cached prompt",
    "prompt_image": "Prompt image",
    "completion": "Completion",
    "reasoning": "Reasoning",
}

Item = tuple[str, int, int]  # Billing item, quantity, cost in ticks.


def label_of(item: str) -> str:
    """Make a billing item readable, also one that came after this was written."""
    return TOKEN_LABELS.get(item) or item.replace("_", " ").capitalize()


def in_words(count: int) -> str:
    """Write a count to be read at a glance: 1.87 billion."""
    if count >= MILLION:
        for size, word in ((10**12, "trillion"), (10**9, "billion"), (MILLION, "million")):
            # What would round to 1,000.00 of the smaller word is 1.00 of this one.
            if round(count / size, 5) >= 1:
                return f"{count / size:,.2f} {word}"
    return f"{count:,}"
