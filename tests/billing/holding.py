"""Requests as the gateway brings them to billing: held for, then settled, one at a time."""

from datetime import timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from accounts.models import Team
from billing import services as billing
from billing.services import BillingItem, Ceiling, HoldRequest, Line, Refusal, Settled, Settlement
from tests.factories import NOON

LATER = NOON + timedelta(minutes=2)


def ask(team: Team, *, prompt: int = 0, token: int = 1, tokens: int = 10) -> HoldRequest:
    return HoldRequest(uuid7(), team.pk, prompt, token, tokens)


def reserve(request: HoldRequest) -> Ceiling | Refusal:
    return billing.reserve([request], now=NOON, until=LATER)[0]


def used(team: Team, request_id: UUID, *lines: tuple[int, int]) -> Settlement:
    items = [Line(BillingItem.COMPLETION, quantity, price) for quantity, price in lines]
    return Settlement(request_id, team.pk, "atlas", items)


def settle(settlement: Settlement) -> Settled:
    return billing.settle([settlement], now=NOON)[0]


def assert_clean() -> None:
    assert list(billing.differences()) == []
