"""The books: what one batch of requests does to the accounts of some teams."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

import orjson
from django.db import connection
from uuid_utils.compat import uuid7

from billing import rules
from billing.models import Charge, CreditGrant, Hold
from billing.rules import BillingItem, Ceiling, Line
from billing.services import statements
from billing.services.opening import HeldFor, Live, Opened, is_alive, locking


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
    # The most that may be held for the key, this request included; None: all that the team has.
    key_cap_ticks: int | None = None


class Refusal(StrEnum):
    """Why a request cannot be paid for."""

    NEVER_FUNDED = "never_funded"
    CREDITS_EXHAUSTED = "credits_exhausted"
    SPENDING_LIMIT_REACHED = "spending_limit_reached"
    INVOICE_OVERDUE = "invoice_overdue"
    KEY_CAP_REACHED = "key_cap_reached"


# Of a team that could pay for requests before.
RAN_OUT: Final = (
    Refusal.CREDITS_EXHAUSTED,
    Refusal.SPENDING_LIMIT_REACHED,
    Refusal.INVOICE_OVERDUE,
)


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


class Books:
    """The accounts of some teams, locked, and what one batch does to them.

    Lives within one transaction: locks all accounts at once (locking some now and more later is
    how two batches come to wait for each other), keeps what it read up to date as requests are
    settled and admitted, and writes at the end, in `write`, with as few statements as it can.
    """

    def __init__(self, opened: Opened, *, now: datetime) -> None:
        self._now = now
        self._month = rules.cycle_of(now)
        self._accounts, self._holds = opened.accounts, opened.holds
        self._charges: list[dict[str, Any]] = []
        self._entries: list[dict[str, Any]] = []
        self._drawn: defaultdict[UUID, int] = defaultdict(int)
        # What each team's month has cost, and how much of that goes on its invoice.
        self._spent: defaultdict[UUID, list[int]] = defaultdict(lambda: [0, 0])
        self._held: list[dict[str, Any]] = []
        # By how much each team's `held_ticks` changes.
        self._moved: defaultdict[UUID, int] = defaultdict(int)
        # The teams that could not pay for a request, for the first time in the month.
        self._refused: set[UUID] = set()
        # Of the holds that are live: what they hold for a key, and what they may use, by the key
        # and by the model. A lapsed hold still holds credits until it is ended, but nothing that
        # could still use a token stands behind it.
        self._held_by_key: defaultdict[UUID | None, int] = defaultdict(int)
        self._tokens: defaultdict[tuple[UUID, UUID | str | None], int] = defaultdict(int)
        for live in opened.live:
            self._count(live, 1)
        self._lapsed = {live.team_id for live in opened.live if live.is_lapsed}

    @classmethod
    def opening(
        cls, team_ids: Collection[UUID], *, requests: Collection[UUID] = (), now: datetime
    ) -> Callable[[], Self]:
        """Lock the accounts of these teams, and read the holds that these requests have.

        Returns a function for the books: inside a pipeline, the questions travel with whatever is
        asked next.
        """
        answer = locking(team_ids, requests, now)
        return lambda: cls(answer(), now=now)

    @classmethod
    def open(
        cls, team_ids: Collection[UUID], *, requests: Collection[UUID] = (), now: datetime
    ) -> Self:
        """Do what `opening` does, and wait for it."""
        return cls.opening(team_ids, requests=requests, now=now)()

    def _count(self, live: Live, sign: int) -> None:
        self._held_by_key[live.api_key_id] += sign * live.ticks
        if not live.is_lapsed:
            self._tokens[live.team_id, live.api_key_id] += sign * live.tokens
            self._tokens[live.team_id, live.model] += sign * live.tokens

    def tier(self, team_id: UUID) -> int:
        account = self._accounts.get(team_id)
        return account.tier if account else 0

    def knows(self, request_id: UUID) -> bool:
        """Say whether the request was let in before."""
        return request_id in self._holds

    def tokens_in_flight(self, team_id: UUID, of: UUID | str) -> int:
        """Say what the team's requests by a key, or for a model, may use until they are over."""
        return self._tokens[team_id, of]

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

    def _charge(self, settlement: Settlement, hold: HeldFor, cost: int, loss: int) -> None:
        team_id = settlement.team_id
        account = self._accounts[team_id]
        self._charges.append(
            {
                "charged_at": account.moment,
                "id": settlement.request_id,
                "team_id": team_id,
                "cost_ticks": cost,
                "loss_ticks": loss,
                "model": settlement.model,
                "lines": [(ln.item, ln.quantity, ln.unit_price_ticks) for ln in settlement.lines],
                "is_estimated": settlement.is_estimated,
            }
        )
        self._spent[team_id][0] += cost
        self._move(team_id, -hold.amount_ticks)
        self._count(hold.of(team_id), -1)
        # A grant that has expired since still pays for what it stood behind when it was held.
        usable = (purse for purse in account.purses if is_alive(purse, hold.created_at))
        taken, rest = rules.draw(rules.in_order_of_use(usable), cost)
        for grant_id, ticks in taken:
            self._drawn[grant_id] += ticks
            self._enter(settlement, ticks, grant_id=grant_id)
        if rest:
            account.accrued_ticks += rest
            self._spent[team_id][1] += rest
            self._enter(settlement, rest, month=rules.cycle_of(account.moment))

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
        if team_id not in self._lapsed:
            return 0
        self._lapsed.discard(team_id)
        # Those settled in this batch look live until they are written.
        settled = [charge["id"] for charge in self._charges]
        return len(self._ended(statements.EXPIRE_HOLDS, {"team": team_id, "settled": settled}))

    def _ended(self, statement: str, parameters: dict[str, Any]) -> set[UUID]:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"now": self._now, **parameters})
            ended = cursor.fetchall()
        for _, team_id, ticks, api_key_id, model, tokens, is_lapsed in ended:
            self._move(team_id, -ticks)
            self._count(Live(team_id, api_key_id, model, is_lapsed, ticks, tokens), -1)
        return {request_id for request_id, *_ in ended}

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
        answer = self.look(request)
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
            live = Live(
                request.team_id,
                request.api_key_id,
                request.model,
                False,  # noqa: FBT003 -- not lapsed
                answer.hold_ticks,
                request.tokens,
            )
            self._count(live, 1)
        return answer

    def look(self, request: HoldRequest) -> Ceiling | Refusal:
        """Say what could be set aside for a new request, or why nothing, and leave it at that."""
        answer = self._fit(request)
        # Holds that a crash left behind go back to the team before it is turned away.
        if isinstance(answer, Refusal) and self.expire(request.team_id):
            answer = self._fit(request)
        if isinstance(answer, Refusal):
            self._note(request.team_id, answer)
        return answer

    def _fit(self, request: HoldRequest) -> Ceiling | Refusal:
        account = self._accounts.get(request.team_id)
        if account is None:
            return Refusal.NEVER_FUNDED
        available = account.available_ticks(self._now)
        if request.key_cap_ticks is not None:
            left = request.key_cap_ticks - self._held_by_key[request.api_key_id]
            if left < available:
                return _ceiling(request, left) or Refusal.KEY_CAP_REACHED
        fitting = _ceiling(request, available)
        if fitting:
            return fitting
        if account.is_overdue:
            return Refusal.INVOICE_OVERDUE
        if account.limit_ticks:
            return Refusal.SPENDING_LIMIT_REACHED
        # Only a team at the end of its credits pays for this question.
        was_funded = CreditGrant.across_teams.filter(team_id=request.team_id).exists()
        return Refusal.CREDITS_EXHAUSTED if was_funded else Refusal.NEVER_FUNDED

    def _note(self, team_id: UUID, refusal: Refusal) -> None:
        """Remember that the team ran out, once a month: a flood of refusals must not write."""
        account = self._accounts.get(team_id)
        if refusal in RAN_OUT and account and (account.refused_month or date.min) < self._month:
            account.refused_month = self._month
            self._refused.add(team_id)
            self._move(team_id, 0)  # So that its row is written.

    def _move(self, team_id: UUID, ticks: int) -> None:
        self._accounts[team_id].held_ticks += ticks
        self._moved[team_id] += ticks

    def write(self) -> None:
        """Write everything that was settled, released and reserved."""
        parameters: dict[str, Any] = {
            "now": self._now,
            "charges": _rows(self._charges),
            "entries": _rows(self._entries),
            "drawn": _ticks(self._drawn),
            "holds": _rows(self._held),
            "moved": _rows(
                [
                    {
                        "id": team_id,
                        "ticks": ticks,
                        "refused": self._month if team_id in self._refused else None,
                    }
                    for team_id, ticks in self._moved.items()
                ]
            ),
            "spent": _rows(
                [
                    {
                        "month": rules.cycle_of(self._accounts[team_id].moment),
                        "id": team_id,
                        "charged": charged,
                        "accrued": accrued,
                    }
                    for team_id, (charged, accrued) in self._spent.items()
                ]
            ),
        }
        with connection.cursor() as cursor:
            cursor.execute(statements.WRITE, parameters)


def _ceiling(request: HoldRequest, available_ticks: int) -> Ceiling | None:
    return rules.ceiling(
        available_ticks=available_ticks,
        prompt_ticks=request.prompt_ticks,
        token_ticks=request.token_ticks,
        wanted_tokens=request.wanted_tokens,
    )


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _ticks(ticks_by_id: Mapping[UUID, int]) -> str:
    return _rows([{"id": row_id, "ticks": ticks} for row_id, ticks in ticks_by_id.items()])
