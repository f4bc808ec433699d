"""The processors that can take money, behind one small interface."""

from typing import Final

from billing.payments.base import (
    AMEX,
    Card,
    Processor,
    Result,
    Status,
    brand_of,
    passes_luhn,
    reason,
)
from billing.payments.sandbox import TEST_CARDS, Sandbox, SandboxCard

PROCESSORS: Final[dict[str, Processor]] = {"sandbox": Sandbox()}
# New purchases go to it. A purchase remembers its processor, so a change leaves old ones alone.
DEFAULT: Final = "sandbox"

__all__ = [
    "AMEX",
    "DEFAULT",
    "PROCESSORS",
    "TEST_CARDS",
    "Card",
    "Processor",
    "Result",
    "Sandbox",
    "SandboxCard",
    "Status",
    "brand_of",
    "passes_luhn",
    "reason",
]
