"""Money arithmetic, pure: ticks, prices, what a request may cost, and which credits pay for it."""

import calendar
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

# The unit of xAI's public usage.proto: "1 USD = 10,000,000,000 ticks".
TICKS_PER_USD: Final = 10_000_000_000
TICKS_PER_CENT: Final = TICKS_PER_USD // 100
# What a team has to have paid in all, for tier 0, 1, 2, 3 and 4.
TIER_THRESHOLDS_TICKS: Final = tuple(
    dollars * TICKS_PER_USD for dollars in (0, 50, 250, 1_000, 5_000)
)
HIGHEST_TIER: Final = len(TIER_THRESHOLDS_TICKS) - 1
# Before a day is over, its hours say too little about a month.
LEAST_MEASURED: Final = timedelta(days=1)
# Further ahead nobody believes an estimate.
FORESEEN: Final = timedelta(days=366)
_CENT: Final = Decimal("0.01")
_MICROSECOND: Final = timedelta(microseconds=1)
_SIGNIFICANT_DIGITS: Final = 4


class BillingItem(StrEnum):
    """One priced thing in a request. The values are what rollups and invoices carry."""

    PROMPT_TEXT = "prompt_text"
    CACHED_PROMPT_TEXT = "cached_prompt_text"
    PROMPT_IMAGE = "prompt_image"
    COMPLETION = "completion"
    REASONING = "reasoning"

    @property
    def label(self) -> str:
        return {
            BillingItem.PROMPT_TEXT: "Prompt text tokens",
            BillingItem.CACHED_PROMPT_TEXT: "Cached prompt text tokens",
            BillingItem.PROMPT_IMAGE: "Prompt image tokens",
            BillingItem.COMPLETION: "Completion text tokens",
            BillingItem.REASONING: "Reasoning tokens",
        }[self]


# Ticks for one unit of each item. A price in "USD cents per 100M tokens" is the same number.
Prices = Mapping[BillingItem, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One billing item of one request, at the price of that moment."""

    item: BillingItem
    quantity: int
    unit_price_ticks: int

    @property
    def cost_ticks(self) -> int:
        return self.quantity * self.unit_price_ticks


def usd_from_ticks(ticks: int) -> Decimal:
    return Decimal(ticks) / TICKS_PER_USD


def ticks_from_usd(usd: Decimal) -> int:
    """Exact for up to ten decimals; raises ValueError beyond."""
    ticks = usd * TICKS_PER_USD
    if ticks != ticks.to_integral_value():
        raise ValueError(f"{usd} USD is finer than a tick.")
    return int(ticks)


def cents_from_ticks(ticks: int) -> int:
    """Round to the cent, half of one away from nought: minus so much is minus what so much is."""
    cents = (abs(ticks) + TICKS_PER_CENT // 2) // TICKS_PER_CENT
    return cents if ticks >= 0 else -cents


def tax_cents(net_cents: int, percent: Decimal) -> int:
    """Say the tax on a net amount, half a cent up."""
    return int((net_cents * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))


def share_of_tax(tax_cents: int, *, part_cents: int, of_cents: int) -> int:
    """Say how much of a tax falls on a part of what it was for, half a cent up."""
    return (2 * tax_cents * part_cents + of_cents) // (2 * of_cents)


def usd(ticks: int) -> str:
    """Write an amount: to the cent from a dollar on, below with the digits that it needs.

    What a request costs is often a fraction of a cent, and a row of "$0.00" tells nobody anything.
    """
    amount = usd_from_ticks(abs(ticks))
    places = 2
    if 0 < amount < 1:
        # The first digit that is not nought, and three more.
        places = max(2, _SIGNIFICANT_DIGITS - 1 - amount.adjusted())
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP).normalize()
    if rounded == rounded.quantize(_CENT):
        rounded = rounded.quantize(_CENT)
    sign = "\N{MINUS SIGN}" if ticks < 0 else ""
    return f"{sign}${rounded:,f}"


def usd_cents(cents: int) -> str:
    """Write an amount that is kept in whole cents, as purchases and invoices are."""
    return usd(cents * TICKS_PER_CENT)


def lines_for(quantities: Mapping[BillingItem, int], prices: Prices) -> list[Line]:
    """Price what a request used. An item without a price is free."""
    return [Line(item, n, prices.get(item, 0)) for item, n in quantities.items() if n]


def cost_ticks(lines: Iterable[Line]) -> int:
    return sum(line.cost_ticks for line in lines)


def capped(lines: Iterable[Line], most_ticks: int) -> list[tuple[BillingItem, int, int]]:
    """Say what each line is charged, (item, quantity, ticks), when together they may cost so much.

    What goes beyond comes off the last lines, so the parts always add up to the charge.
    """
    parts = []
    for line in lines:
        ticks = min(line.cost_ticks, most_ticks)
        most_ticks -= ticks
        parts.append((line.item, line.quantity, ticks))
    return parts


def prompt_bound_ticks(prompt_tokens: int, image_tokens: int, prices: Prices) -> int:
    """Say what a prompt of at most so many tokens can cost, whichever way it is read."""
    text = max(
        prices.get(BillingItem.PROMPT_TEXT, 0), prices.get(BillingItem.CACHED_PROMPT_TEXT, 0)
    )
    # An upstream that does not tell images from text reports them as text.
    image = max(text, prices.get(BillingItem.PROMPT_IMAGE, 0))
    return prompt_tokens * text + image_tokens * image


def completion_price_ticks(prices: Prices) -> int:
    """Price the dearer of a completion and a reasoning token: `max_tokens` caps their sum."""
    return max(prices.get(BillingItem.COMPLETION, 0), prices.get(BillingItem.REASONING, 0))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What a request may cost: the hold, and the `max_tokens` that makes it a true ceiling."""

    hold_ticks: int
    max_tokens: int


def ceiling(
    *, available_ticks: int, prompt_ticks: int, token_ticks: int, wanted_tokens: int
) -> Ceiling | None:
    """Fit a request into what is available, or None when not even prompt and one token fit.

    `wanted_tokens` is what the client named, or else the model's own limit. `token_ticks` is what
    one more of them costs in all choices that the client asked for together.
    """
    # Free of charge is not free of the gate: without credits nothing is served.
    if available_ticks <= 0 or available_ticks < prompt_ticks + token_ticks:
        return None
    tokens = wanted_tokens
    if token_ticks:
        tokens = min(wanted_tokens, (available_ticks - prompt_ticks) // token_ticks)
    return Ceiling(prompt_ticks + tokens * token_ticks, tokens)


@dataclass(slots=True)
class Purse:
    """One grant as spending sees it. `remaining_ticks` goes down as `draw` takes from it."""

    grant_id: UUID
    is_prepaid: bool
    granted_at: datetime
    expires_at: datetime | None
    remaining_ticks: int


def in_order_of_use(purses: Iterable[Purse]) -> list[Purse]:
    """Free and promo first, earliest expiry first, then oldest; then prepaid, oldest first."""
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(
        purses,
        key=lambda p: (
            p.is_prepaid,
            never if p.is_prepaid else p.expires_at or never,
            p.granted_at,
            p.grant_id,
        ),
    )


def draw(ordered: Sequence[Purse], amount_ticks: int) -> tuple[list[tuple[UUID, int]], int]:
    """Take an amount from purses in order; return what each gave and what is left to invoice."""
    taken = []
    for purse in ordered:
        part = min(purse.remaining_ticks, amount_ticks)
        if part > 0:
            purse.remaining_ticks -= part
            amount_ticks -= part
            taken.append((purse.grant_id, part))
        if not amount_ticks:
            break
    return taken, amount_ticks


@dataclass(frozen=True, slots=True)
class Pace:
    """So much was spent in so long. Whatever is told of later days goes on like this."""

    ticks: int
    elapsed: timedelta

    def spends(self, span: timedelta) -> int:
        return self.ticks * (span // _MICROSECOND) // (self.elapsed // _MICROSECOND)

    def takes(self, ticks: int) -> timedelta:
        """Say how long it takes to spend so much; no more than `FORESEEN`."""
        microseconds = ticks * (self.elapsed // _MICROSECOND) // self.ticks
        return min(microseconds, FORESEEN // _MICROSECOND) * _MICROSECOND


def pace_since(start: datetime, ticks: int, *, now: datetime) -> Pace | None:
    """Measure a pace; None where nothing was spent, or too little time has passed."""
    elapsed = now - start
    return Pace(ticks, elapsed) if ticks > 0 and elapsed >= LEAST_MEASURED else None


def last_until(purses: Iterable[Purse], pace: Pace, *, now: datetime) -> datetime:
    """Say when purses, in their order of use, are used up or expired; at most `FORESEEN` ahead."""
    horizon, moment = now + FORESEEN, now
    for purse in purses:
        over_at = moment + pace.takes(purse.remaining_ticks)
        if purse.expires_at is not None:
            over_at = min(over_at, max(moment, purse.expires_at))
        moment = min(over_at, horizon)
    return moment


def cycle_of(moment: datetime) -> date:
    """Name the billing cycle: the first day of the moment's UTC calendar month."""
    return moment.astimezone(UTC).date().replace(day=1)


def begin_of(cycle: date) -> datetime:
    return datetime.combine(cycle, datetime.min.time(), UTC)


def month_after(cycle: date) -> date:
    return (cycle.replace(day=28) + timedelta(days=4)).replace(day=1)


def months_later(moment: datetime, months: int) -> datetime:
    """Add months: the same day and time, or the last day of a month that is too short."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    last_day = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def tier_of(paid_ticks: int, least_tier: int) -> int:
    """Say a team's tier: what it paid has earned it, or what support gave it if that is more."""
    earned = bisect_right(TIER_THRESHOLDS_TICKS, paid_ticks) - 1
    return min(max(earned, least_tier), HIGHEST_TIER)
