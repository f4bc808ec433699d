"""The demo world's price list, all of it answered by the sandbox."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from billing.services import BillingItem
from gateway import services as gateway

CLUSTERS: Final = ("us-east-1", "eu-west-1", "us-central-1")

# Name, context length, and USD per million prompt, cached prompt and completion tokens: the public
# price list of August 2026, below the long-context threshold.
MODELS: Final[tuple[tuple[str, int, str, str, str], ...]] = (
    ("grok-4.7", 500_000, "2.00", "0.50", "6.00"),
    ("grok-4.6", 500_000, "2.00", "0.50", "6.00"),
    ("grok-4.5", 500_000, "2.00", "0.30", "6.00"),
    ("grok-4.3", 1_000_000, "1.25", "0.20", "2.50"),
    ("grok-build-0.1", 256_000, "1.00", "0.20", "2.00"),
    ("grok-4-1-fast", 2_000_000, "0.20", "0.05", "0.50"),
    ("grok-code-fast-1", 256_000, "0.20", "0.02", "1.50"),
    ("grok-3-mini", 131_072, "0.30", "0.075", "0.50"),
)
# Requests per second and tokens per minute by tier, likewise; a model without is not limited.
OF_LARGE: Final = (
    (150, 172, 208, 312, 500),
    (50_000_000, 53_000_000, 60_000_000, 74_000_000, 100_000_000),
)
OF_OTHERS: Final = (
    (37, 50, 75, 125, 208),
    (10_000_000, 15_000_000, 25_000_000, 45_000_000, 85_000_000),
)
LIMITS: Final = {
    "grok-4.7": OF_LARGE,
    "grok-4.6": OF_LARGE,
    "grok-4.5": OF_LARGE,
    "grok-4.3": OF_OTHERS,
    "grok-build-0.1": OF_OTHERS,
    "grok-4-1-fast": OF_OTHERS,
    "grok-code-fast-1": OF_OTHERS,
}


def put_up(now: datetime) -> None:
    """Put the price list up: one USD per million tokens is 10,000 ticks per token."""
    for name, context_length, *usd in MODELS:
        prompt, cached, completion = (int(Decimal(price) * 10_000) for price in usd)
        requests_per_second, tokens_per_minute = LIMITS.get(name, ((), ()))
        gateway.offer_in_sandbox(
            name=name,
            context_length=context_length,
            max_output_tokens=8_192,
            prices={
                BillingItem.PROMPT_TEXT: prompt,
                BillingItem.CACHED_PROMPT_TEXT: cached,
                BillingItem.PROMPT_IMAGE: prompt,
                BillingItem.COMPLETION: completion,
                BillingItem.REASONING: completion,
            },
            clusters=CLUSTERS,
            requests_per_second=requests_per_second,
            tokens_per_minute=tokens_per_minute,
            now=now,
        )
