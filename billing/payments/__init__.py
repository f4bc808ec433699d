"""The processors that can take money, behind one small interface."""

from typing import Final

from billing.payments.base import Card, Processor, Result, Status, passes_luhn, reason
from billing.payments.sandbox import TEST_CARDS, Sandbox, SandboxCard

PROCESSORS: Final[dict[str, Processor]] = {"sandbox": Sandbox()}
# New purchases go to it. A purchase remembers its processor, so a change leaves old ones alone.
DEFAULT: Final = "sandbox"

__all__ = [
    "DEFAULT",
    "PROCESSORS",
    "TEST_CARDS",
    "Card",
    "Processor",
    "Result",
    "Sandbox",
    "SandboxCard",
    "Status",
    "passes_luhn",
    "reason",
]
