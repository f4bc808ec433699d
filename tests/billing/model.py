"""An independent model of a team's money: plain numbers, no database, none of billing's code."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

CENT = 100_000_000


@dataclass
class Pot:
    """One grant."""

    name: str
    is_prepaid: bool
    order: int  # In which it came.
    expires_at: datetime | None
    left: int
    is_refunded: bool = False

    def is_alive(self, moment: datetime) -> bool:
        return self.expires_at is None or moment < self.expires_at


@dataclass
class Held:
    """Credits set aside for a request."""

    ticks: int
    begun_at: datetime
    lapses_at: datetime


@dataclass
class Month:
    """What was charged in a month, what of it no credits paid for, and what became of that."""

    charged: int = 0
    accrued: int = 0
    is_closed: bool = False
    is_billed: bool = False


@dataclass
class Model:
    """A team's money as the specification describes it."""

    now: datetime
    pots: list[Pot] = field(default_factory=list)
    holds: dict[object, Held] = field(default_factory=dict)
    months: dict[date, Month] = field(default_factory=dict)
    open_month: date = date.min
    limit: int = 0
    paid: int = 0
    invoices: list[tuple[date, int, bool]] = field(default_factory=list)  # Month, cents, paid.
    top_ups: list[datetime] = field(default_factory=list)
    charged_at: list[datetime] = field(default_factory=list)

    @property
    def month(self) -> Month:
        """The month that a charge would go on now."""
        named = max(date(self.now.year, self.now.month, 1), self.open_month)
        return self.months.setdefault(named, Month())

    @property
    def is_invoiced_early(self) -> bool:
        return self.open_month > self.now.date()

    @property
    def charged(self) -> int:
        """What this month cost; and what comes after its invoice, where it has that early."""
        return sum(month.charged for month in self._months_from_now())

    @property
    def accrued(self) -> int:
        return sum(month.accrued for month in self._months_from_now())

    def _months_from_now(self) -> list[Month]:
        first = self.now.date().replace(day=1)
        return [month for name, month in self.months.items() if name >= first]

    @property
    def held(self) -> int:
        return sum(hold.ticks for hold in self.holds.values())

    def credits(self, *, prepaid: bool) -> int:
        return sum(
            pot.left for pot in self.pots if pot.is_prepaid == prepaid and pot.is_alive(self.now)
        )

    @property
    def usable(self) -> int:
        return self.credits(prepaid=True) + self.credits(prepaid=False)

    @property
    def invoice_left(self) -> int:
        return max(0, self.limit - self.accrued)

    @property
    def available(self) -> int:
        return max(0, self.usable + self.invoice_left - self.held)

    def allows_limit(self, ticks: int) -> bool:
        """Not less than what is promised; and not more before a month's end that is invoiced."""
        if ticks > self.limit and self.is_invoiced_early:
            return False
        promised = self.accrued + max(0, self.held - self.usable)
        return ticks >= min(promised, self.limit)

    def hold(self, name: object, ticks: int, lasting: timedelta) -> bool:
        if not self._fits(ticks):
            self.drop_lapsed()
        if not self._fits(ticks):
            return False
        self.holds[name] = Held(ticks, self.now, self.now + lasting)
        return True

    def _fits(self, ticks: int) -> bool:
        return self.available > 0 and self.available >= ticks

    def drop_lapsed(self) -> None:
        self.holds = {n: hold for n, hold in self.holds.items() if hold.lapses_at > self.now}

    def settle(self, name: object, used: int) -> int:
        """Charge what was used up to what was held; a hold that is over is charged nothing."""
        hold = self.holds.pop(name, None)
        if hold is None:
            return 0
        cost = rest = min(used, hold.ticks)
        for pot in self._in_order():
            if pot.is_alive(hold.begun_at):
                part = min(pot.left, rest)
                pot.left -= part
                rest -= part
        self.month.charged += cost
        self.month.accrued += rest
        self.charged_at.append(self.now)
        return cost

    def _in_order(self) -> list[Pot]:
        never = datetime.max.replace(tzinfo=UTC)
        free = [pot for pot in self.pots if not pot.is_prepaid]
        prepaid = [pot for pot in self.pots if pot.is_prepaid]
        free.sort(key=lambda pot: (pot.expires_at or never, pot.order))
        return free + sorted(prepaid, key=lambda pot: pot.order)

    def expire(self) -> None:
        oldest = min((hold.begun_at for hold in self.holds.values()), default=None)
        for pot in self.pots:
            if not pot.is_alive(self.now) and (oldest is None or not pot.is_alive(oldest)):
                pot.left = 0

    def close(self, before: date) -> None:
        """Bill every month before this one: alone if it is enough, or else with a later one."""
        if any(month < before and not kept.is_closed for month, kept in self.months.items()):
            self.open_month = max(self.open_month, before)
        waiting: list[Month] = []
        for name in sorted(self.months):
            month = self.months[name]
            if name >= self.open_month or month.is_billed:
                continue
            waiting.append(month)
            if month.is_closed:
                continue
            month.is_closed = True
            ticks = sum(part.accrued for part in waiting)
            cents = ticks // CENT + (ticks % CENT >= CENT / 2)
            if cents >= 50:
                self.invoices.append((name, cents, False))
                for part in waiting:
                    part.is_billed = part.accrued > 0 or part is month
                waiting = []

    def pay_oldest(self) -> bool:
        for place, (month, cents, is_paid) in enumerate(self.invoices):
            if not is_paid:
                self.invoices[place] = (month, cents, True)
                self.paid += cents * CENT
                return True
        return False

    def refundable_cents(self, pot: Pot) -> int:
        if pot.is_refunded or not pot.is_alive(self.now):
            return 0
        return max(0, min(pot.left, self.usable - self.held)) // CENT

    def is_short(self, trigger: int) -> bool:
        promised = max(0, self.held - self.credits(prepaid=False))
        return self.credits(prepaid=True) - promised < trigger
