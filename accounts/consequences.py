"""What ending something takes with it, as the apps above accounts tell it."""

from dataclasses import dataclass
from typing import Any

from django.dispatch import Signal


@dataclass(frozen=True, slots=True)
class Consequence:
    """One sentence for the person who is about to end something; `blocks`: it cannot end yet."""

    text: str
    blocks: bool = False


class BlockedError(Exception):
    """Something cannot end while others depend on it."""

    def __init__(self, reasons: list[Consequence]) -> None:
        super().__init__(" ".join(reason.text for reason in reasons))


def gather(signal: Signal, **details: Any) -> list[Consequence]:
    """Ask everyone who listens what ending it means; what blocks comes first."""
    told: list[Consequence] = []
    answers: list[tuple[Any, Any]] = signal.send(sender=None, **details)
    for _, answer in answers:
        told += answer or []
    return sorted(told, key=lambda consequence: not consequence.blocks)


def refuse_blocked(told: list[Consequence]) -> None:
    """Raise BlockedError with every reason that blocks, if there is one."""
    if reasons := [consequence for consequence in told if consequence.blocks]:
        raise BlockedError(reasons)
