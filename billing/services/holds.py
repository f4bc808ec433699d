"""Hold, then settle: the hot path of billing, in batches of many requests of many teams.

Each function here is one transaction over however many requests the caller has at hand (group
commit), with a fixed number of statements. It locks the accounts of all teams concerned, in the
order of their ids so that two batches cannot wait for each other, and only then reads balances.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from billing import rules
from billing.models import Charge, CreditGrant, Hold
from billing.rules import BillingItem, Ceiling, Line, Purse
from billing.services import statements

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """What a request may cost, asked before it is forwarded. `request_id` becomes the hold's id."""

    request_id: UUID
    team_id: UUID
    prompt_ticks: int  # The most that the prompt can cost.
    token_ticks: int  # What one more output token costs, in all choices together.
    wanted_tokens: int
    # For whoever limits what is under way; see `Hold`.
    api_key_id: UUID | None = None
    model: str = ""
    tokens: int = 0


class Refusal(StrEnum):
    """Why a request cannot be paid for."""

    NEVER_FUNDED = "never_funded"
    CREDITS_EXHAUSTED = "credits_exhausted"
    SPENDING_LIMIT_REACHED = "spending_limit_reached"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a request used, told once the upstream is done."""

    request_id: UUID
    team_id: UUID
    model: str
    lines: Sequence[Line]
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What a request was charged; `items` are (billing item, quantity, ticks) and add up to it."""

    cost_ticks: int
    loss_ticks: int
    items: Sequence[tuple[BillingItem, int, int]]
    is_repeat: bool = False  # It had been settled before.
    is_late: bool = False  # Its hold had lapsed before.


@dataclass(slots=True)
class _Account:
    """One team's money while its row is locked."""

    limit_ticks: int
    held_ticks: int
    accrued_ticks: int
    purses: list[Purse]

    def available_ticks(self, now: datetime) -> int:
        usable = sum(p.remaining_ticks for p in self.purses if _alive(p, now))
        # As `balance` has it: a hard limit lowered under what is accrued takes no credits away.
        invoice_left = max(0, self.limit_ticks - self.accrued_ticks)
        return usable + invoice_left - self.held_ticks


@dataclass(frozen=True, slots=True)
class _Hold:
    """A hold as settling needs it."""

    amount_ticks: int
    state: str
    created_at: datetime


def _alive(purse: Purse, moment: datetime) -> bool:
    return purse.expires_at is None or purse.expires_at > moment


class Books:
    """The accounts of some teams, locked, and what one batch does to them.

    Lives within one transaction: locks all accounts at once (locking some now and more later is
    how two batches come to wait for each other), keeps what it read up to date as requests are
    settled and admitted, and writes at the end, in `write`, with as few statements as it can.
    """

    def __init__(
        self, team_ids: Collection[UUID], *, requests: Collection[UUID] = (), now: datetime
    ) -> None:
        """Lock the accounts of these teams, and read the holds that these requests have."""
        self._now = now
        self._month = rules.cycle_of(now)
        self._accounts, self._holds = _locked(team_ids, requests, self._month)
        self._charges: list[dict[str, Any]] = []
        self._entries: list[dict[str, Any]] = []
        self._drawn: defaultdict[UUID, int] = defaultdict(int)
        self._accrued: defaultdict[UUID, int] = defaultdict(int)
        self._held: list[dict[str, Any]] = []
        # By how much each team's `held_ticks` changes.
        self._moved: defaultdict[UUID, int] = defaultdict(int)

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End each request's hold and charge what it cost, never more than was held.

        Telling the same settlement again charges nothing again and returns the first result. A
        hold that lapsed before is charged nothing: all of it is the operator's loss.
        """
        results: dict[UUID, Settled] = {}
        for settlement in settlements:
            if settlement.request_id in results:
                continue
            hold = self._holds[settlement.request_id]
            total = rules.cost_ticks(settlement.lines)
            is_repeat = hold.state == Hold.State.SETTLED
            if is_repeat:
                cost = Charge.across_teams.get(pk=settlement.request_id).cost_ticks
            elif hold.state == Hold.State.LIVE:
                cost = min(total, hold.amount_ticks)
                self._charge(settlement, hold, cost, total - cost)
            else:
                cost = 0
            items = rules.capped(settlement.lines, cost)
            is_late = hold.state == Hold.State.EXPIRED
            results[settlement.request_id] = Settled(cost, total - cost, items, is_repeat, is_late)
        return [results[s.request_id] for s in settlements]

    def _charge(self, settlement: Settlement, hold: _Hold, cost: int, loss: int) -> None:
        team_id = settlement.team_id
        account = self._accounts[team_id]
        self._charges.append(
            {
                "id": settlement.request_id,
                "team_id": team_id,
                "cost_ticks": cost,
                "loss_ticks": loss,
                "model": settlement.model,
                "lines": [(ln.item, ln.quantity, ln.unit_price_ticks) for ln in settlement.lines],
                "is_estimated": settlement.is_estimated,
            }
        )
        self._move(team_id, -hold.amount_ticks)
        # A grant that has expired since still pays for what it stood behind when it was held.
        usable = (purse for purse in account.purses if _alive(purse, hold.created_at))
        taken, rest = rules.draw(rules.in_order_of_use(usable), cost)
        for grant_id, ticks in taken:
            self._drawn[grant_id] += ticks
            self._enter(settlement, ticks, grant_id=grant_id)
        if rest:
            account.accrued_ticks += rest
            self._accrued[team_id] += rest
            self._enter(settlement, rest, month=self._month)

    def _enter(
        self,
        settlement: Settlement,
        ticks: int,
        *,
        grant_id: UUID | None = None,
        month: date | None = None,
    ) -> None:
        self._entries.append(
            {
                "id": uuid7(),
                "team_id": settlement.team_id,
                "amount_ticks": -ticks,
                "grant_id": grant_id,
                "month": month,
                "charge_id": settlement.request_id,
            }
        )

    def release(self, request_ids: Collection[UUID]) -> set[UUID]:
        """Give back the holds of requests that came to nothing; return those still live."""
        return (
            self._ended(statements.RELEASE_HOLDS, {"ids": list(request_ids)})
            if request_ids
            else set()
        )

    def expire(self, team_id: UUID) -> int:
        """Give back a team's holds that have lapsed; return how many."""
        # Those settled in this batch look live until they are written.
        settled = [charge["id"] for charge in self._charges]
        return len(self._ended(statements.EXPIRE_HOLDS, {"team": team_id, "settled": settled}))

    def _ended(self, statement: str, parameters: dict[str, Any]) -> set[UUID]:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"now": self._now, **parameters})
            ended = cursor.fetchall()
        for _, team_id, ticks in ended:
            self._move(team_id, -ticks)
        return {request_id for request_id, _, _ in ended}

    def reserve(self, request: HoldRequest, *, until: datetime) -> Ceiling | Refusal:
        """Set credits aside for a request, or say why not.

        It sees what the ones before it in the batch took. The hold lapses at `until` unless
        `renew` moves it. Asking again with the same id, after an answer that was lost, finds the
        hold that is there.
        """
        known = self._holds.get(request.request_id)
        if known is not None:
            rest = known.amount_ticks - request.prompt_ticks
            tokens = rest // request.token_ticks if request.token_ticks else request.wanted_tokens
            return Ceiling(known.amount_ticks, tokens)
        answer = self._fit(request)
        # Holds that a crash left behind go back to the team before it is turned away.
        if isinstance(answer, Refusal) and self.expire(request.team_id):
            answer = self._fit(request)
        if isinstance(answer, Ceiling):
            self._held.append(
                {
                    "id": request.request_id,
                    "team_id": request.team_id,
                    "api_key_id": request.api_key_id,
                    "model": request.model,
                    "tokens": request.tokens,
                    "amount_ticks": answer.hold_ticks,
                    "expires_at": until,
                }
            )
            self._move(request.team_id, answer.hold_ticks)
        return answer

    def _fit(self, request: HoldRequest) -> Ceiling | Refusal:
        account = self._accounts.get(request.team_id)
        if account is None:
            return Refusal.NEVER_FUNDED
        fitting = rules.ceiling(
            available_ticks=account.available_ticks(self._now),
            prompt_ticks=request.prompt_ticks,
            token_ticks=request.token_ticks,
            wanted_tokens=request.wanted_tokens,
        )
        if fitting:
            return fitting
        if account.limit_ticks:
            return Refusal.SPENDING_LIMIT_REACHED
        # Only a team at the end of its credits pays for this question.
        was_funded = CreditGrant.across_teams.filter(team_id=request.team_id).exists()
        return Refusal.CREDITS_EXHAUSTED if was_funded else Refusal.NEVER_FUNDED

    def _move(self, team_id: UUID, ticks: int) -> None:
        self._accounts[team_id].held_ticks += ticks
        self._moved[team_id] += ticks

    def write(self) -> None:
        """Write everything that was settled, released and reserved."""
        parameters: dict[str, Any] = {
            "now": self._now,
            "month": self._month,
            "charges": _rows(self._charges),
            "entries": _rows(self._entries),
            "drawn": _ticks(self._drawn),
            "holds": _rows(self._held),
            "moved": _ticks(self._moved),
            "accrued": _ticks(self._accrued),
        }
        with connection.cursor() as cursor:
            cursor.execute(statements.WRITE, parameters)


@transaction.atomic
def reserve(
    requests: Sequence[HoldRequest], *, now: datetime, until: datetime
) -> list[Ceiling | Refusal]:
    """Set credits aside for some requests, in their order; see Books.reserve."""
    books = Books({r.team_id for r in requests}, now=now)
    answers = [books.reserve(request, until=until) for request in requests]
    books.write()
    return answers


@transaction.atomic
def settle(settlements: Sequence[Settlement], *, now: datetime) -> list[Settled]:
    """End the holds of some requests and charge them; see Books.settle."""
    ids = [s.request_id for s in settlements]
    books = Books({s.team_id for s in settlements}, requests=ids, now=now)
    results = books.settle(settlements)
    books.write()
    return results


@transaction.atomic
def release(request_ids: Collection[UUID], *, now: datetime) -> None:
    """Give back the holds of requests that came to nothing."""
    teams = Hold.across_teams.filter(pk__in=request_ids).values_list("team_id", flat=True)
    books = Books(set(teams), now=now)
    books.release(request_ids)
    books.write()


def renew(request_ids: Collection[UUID], *, until: datetime) -> None:
    """Let live holds last longer, for streams that do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_hold SET expires_at = %s"
            " WHERE state = 'live' AND id IN (SELECT id FROM billing_hold"
            " WHERE id = ANY(%s) AND state = 'live' ORDER BY id FOR UPDATE)",
            [until, sorted(request_ids)],
        )


def sweep(*, now: datetime) -> int:
    """Give back every lapsed hold, a team at a time; return how many there were.

    A team whose books fail does not keep the rest waiting; its error is raised at the end.
    """
    teams = Hold.across_teams.filter(state=Hold.State.LIVE, expires_at__lte=now)
    swept, failure = 0, None
    for team_id in teams.order_by("team_id").values_list("team_id", flat=True).distinct():
        try:
            with transaction.atomic():
                books = Books([team_id], now=now)
                swept += books.expire(team_id)
                books.write()
        except Exception as error:
            logger.exception("The lapsed holds of team %s could not be given back", team_id)
            failure = error
    if failure:
        raise failure
    return swept


def _locked(
    team_ids: Collection[UUID], request_ids: Collection[UUID], month: date
) -> tuple[dict[UUID, _Account], dict[UUID, _Hold]]:
    """Lock accounts and read what is in them, and holds. Teams without an account are left out.

    Both questions have cursors of their own, so that inside a pipeline they travel together.
    """
    teams = list(team_ids)
    with connection.cursor() as locking, connection.cursor() as reading:
        locking.execute(statements.LOCK_ACCOUNTS, [teams])
        # A new statement, so that it sees what the transactions before us in the queue did.
        reading.execute(
            statements.READ, {"teams": teams, "requests": list(request_ids), "month": month}
        )
        locked = locking.fetchall()
        grants, accrued, holds = reading.fetchone()
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
    found = {
        UUID(request_id): _Hold(ticks, state, datetime.fromisoformat(created_at))
        for request_id, ticks, state, created_at in holds
    }
    return {
        team_id: _Account(limit, held, accrued.get(str(team_id), 0), purses[team_id])
        for team_id, limit, held in locked
    }, found


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _ticks(ticks_by_id: Mapping[UUID, int]) -> str:
    return _rows([{"id": row_id, "ticks": ticks} for row_id, ticks in ticks_by_id.items()])
