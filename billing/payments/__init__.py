"""The processors that can take money, behind one small interface."""

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from django.conf import settings

from billing.payments.base import (
    AMEX,
    NOT_CHARGED,
    BadSignatureError,
    Card,
    CustomerGoneError,
    Event,
    Method,
    Processor,
    ProcessorUnavailableError,
    RefundResult,
    RefundStatus,
    Refused,
    Result,
    Setup,
    Status,
    brand_of,
    passes_luhn,
    reason,
)
from billing.payments.sandbox import TEST_CARDS, Sandbox, SandboxCard

if TYPE_CHECKING:
    from billing.payments.stripe import Stripe

SANDBOX: Final = Sandbox()


def stripe_processor() -> "Stripe":
    """Return Stripe's processor. Its client is loaded only where it is used: it is not small."""
    return cast("Stripe", import_module("billing.payments.stripe").Stripe())


def named(name: str) -> Processor:
    """Return a processor. A payment remembers its own, so a change leaves old ones alone."""
    return SANDBOX if name == SANDBOX.name else stripe_processor()


def current() -> Processor:
    """Return the processor that new cards and payments go to."""
    return named(settings.PAYMENTS)


def is_sandbox() -> bool:
    return bool(SANDBOX.name == settings.PAYMENTS)


__all__ = [
    "AMEX",
    "NOT_CHARGED",
    "SANDBOX",
    "TEST_CARDS",
    "BadSignatureError",
    "Card",
    "CustomerGoneError",
    "Event",
    "Method",
    "Processor",
    "ProcessorUnavailableError",
    "RefundResult",
    "RefundStatus",
    "Refused",
    "Result",
    "Sandbox",
    "SandboxCard",
    "Setup",
    "Status",
    "brand_of",
    "current",
    "is_sandbox",
    "named",
    "passes_luhn",
    "reason",
    "stripe_processor",
]
