"""Opening a team's books: its account locked, and what was read once it was."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from billing import rules
from billing.models import CreditGrant
from billing.rules import Purse
from billing.services import statements


@dataclass(slots=True)
class Account:
    """One team's money while its row is locked."""

    limit_ticks: int
    held_ticks: int
    tier: int
    accrued_ticks: int
    purses: list[Purse]
    refused_month: date | None  # The month in which it last could not pay for a request.
    is_overdue: bool  # Nothing goes on an invoice while one is overdue: `limit_ticks` is 0.
    # When it is for this team: now, or the first instant of the first month that is still open. A
    # clock that is behind, or a long wait for the lock, must not add to a month that is closed.
    moment: datetime

    def available_ticks(self, now: datetime) -> int:
        usable = sum(p.remaining_ticks for p in self.purses if is_alive(p, now))
        # As `balance` has it: a hard limit lowered under what is accrued takes no credits away.
        invoice_left = max(0, self.limit_ticks - self.accrued_ticks)
        return usable + invoice_left - self.held_ticks


@dataclass(frozen=True, slots=True)
class Live:
    """One live hold, or several that ask with the same key for the same model."""

    team_id: UUID
    api_key_id: UUID | None
    model: str
    is_lapsed: bool
    ticks: int
    tokens: int


@dataclass(frozen=True, slots=True)
class HeldFor:
    """A hold as settling needs it."""

    amount_ticks: int
    state: str
    created_at: datetime
    api_key_id: UUID | None
    model: str
    tokens: int
    is_lapsed: bool

    def of(self, team_id: UUID) -> Live:
        return Live(
            team_id, self.api_key_id, self.model, self.is_lapsed, self.amount_ticks, self.tokens
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """What was read when the books were opened."""

    accounts: dict[UUID, Account]
    holds: dict[UUID, HeldFor]
    live: list[Live]


def is_alive(purse: Purse, moment: datetime) -> bool:
    return purse.expires_at is None or purse.expires_at > moment


def locking(
    team_ids: Collection[UUID], request_ids: Collection[UUID], now: datetime
) -> Callable[[], Opened]:
    """Lock accounts and read what is in them, and holds. Teams without an account are left out.

    Both questions have cursors of their own, so that inside a pipeline they travel together.
    """
    teams = list(team_ids)
    to_lock, to_read = connection.cursor(), connection.cursor()
    to_lock.execute(statements.LOCK_ACCOUNTS, [teams])
    # A new statement, so that it sees what the transactions before us in the queue did.
    parameters: dict[str, Any] = {
        "teams": teams,
        "requests": list(request_ids),
        "month": rules.cycle_of(now),
        "now": now,
    }
    to_read.execute(statements.READ, parameters)

    def answer() -> Opened:
        with to_lock, to_read:
            return _opened(now, to_lock.fetchall(), *to_read.fetchone())

    return answer


def _opened(
    now: datetime,
    accounts: Sequence[Any],
    grants: Sequence[Any],
    accrued: Mapping[str, int],
    holds: Sequence[Any],
    live: Sequence[Any],
) -> Opened:
    purses: defaultdict[UUID, list[Purse]] = defaultdict(list)
    for team_id, grant_id, kind, granted_at, expires_at, remaining in grants:
        purse = Purse(
            UUID(grant_id),
            kind == CreditGrant.Kind.PREPAID,
            datetime.fromisoformat(granted_at),
            datetime.fromisoformat(expires_at) if expires_at else None,
            remaining,
        )
        purses[UUID(team_id)].append(purse)
    return Opened(
        {
            team_id: Account(
                limit,
                held,
                rules.tier_of(paid, least_tier),
                accrued.get(str(team_id), 0),
                purses[team_id],
                refused_month,
                is_overdue,
                max(now, rules.begin_of(open_month)) if open_month else now,
            )
            for (
                team_id,
                limit,
                held,
                paid,
                least_tier,
                refused_month,
                open_month,
                is_overdue,
            ) in accounts
        },
        {
            UUID(request_id): HeldFor(
                ticks, state, datetime.fromisoformat(created_at), _uuid(key_id), *rest
            )
            for request_id, ticks, state, created_at, key_id, *rest in holds
        },
        [Live(UUID(team_id), _uuid(key_id), *rest) for team_id, key_id, *rest in live],
    )


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None
