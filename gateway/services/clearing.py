"""From hold to charge: one transaction that settles what is done and admits what has arrived."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from api_keys import services as api_keys
from billing import services as billing
from billing.services import BillingItem, Settlement
from gateway.services.admission import Admitted, Arrival, admit
from gateway.services.catalog import Catalog
from gateway.services.limits import Counters, Subject, of_key, of_model
from gateway.services.refusals import RefusedError
from usage import services as usage
from usage.services import RequestRecord

# What a key may do is asked anew each time; which key a secret is of, and of which team, only once.
_key_by_digest: dict[str, tuple[UUID, UUID]] = {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a forwarded request ended. Without `quantities` it failed and is charged nothing."""

    admitted: Admitted
    cluster: str
    ip: str
    status: int
    is_stream: bool
    first_token_ms: int | None
    latency_ms: int
    quantities: Mapping[BillingItem, int] | None
    is_estimated: bool = False

    def as_failure(self, status: int) -> "Outcome":
        """Say that the customer got nothing for it."""
        return replace(self, status=status, quantities=None, is_estimated=False)


def clear(
    outcomes: Sequence[Outcome], arrivals: Sequence[Arrival], *, offers: Catalog, now: datetime
) -> tuple[list[int], list[Admitted | RefusedError]]:
    """Settle what is done and admit what has arrived, in one transaction.

    Returns each outcome's cost in ticks and each arrival's admission, in their order. Whatever
    this returned is committed; if it raises, nothing happened and all of it can be told again.
    """
    owners = _owners({api_keys.digest_of(arrival.secret) for arrival in arrivals}, now)
    subjects = _subjects(outcomes, arrivals, owners, offers)
    teams = {o.admitted.key.team_id for o in outcomes} | {team for team, _ in owners.values()}
    known = [o.admitted.request_id for o in outcomes] + [a.request_id for a in arrivals]
    month = billing.cycle_of(now)
    # In a pipeline, statements wait for each other in the database and not here: the batch costs
    # one trip to read, and one to write and commit.
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline(), transaction.atomic():
        found = api_keys.asking(owners, now=now)
        opening = billing.Books.opening(teams, requests=known, now=now)
        # From here on the teams' accounts are locked, and what is read stays as it is.
        spending = api_keys.asking_spent({key_id for _, key_id in owners.values()}, month=month)
        counting = Counters.asking(subjects, now=now)
        keys, books, spent, counters = found(), opening(), Counter(spending()), counting()
        costs, charged = _settle(outcomes, books, counters, now)
        for (_, key_id), ticks in charged.items():
            spent[key_id] += ticks
        admissions = admit(arrivals, keys, offers, books, counters, spent=spent, now=now)
        api_keys.add_spent(charged, month=month)
        counters.write()
        books.write()
    return costs, admissions


def _owners(digests: Collection[str], now: datetime) -> dict[str, tuple[UUID, UUID]]:
    """Say which keys these are, and whose accounts to lock for them. Neither ever changes."""
    new = [digest for digest in digests if digest not in _key_by_digest]
    if new:
        found = api_keys.find(new, now=now)
        _key_by_digest.update({digest: (key.team_id, key.id) for digest, key in found.items()})
    return {digest: _key_by_digest[digest] for digest in digests if digest in _key_by_digest}


def _subjects(
    outcomes: Sequence[Outcome],
    arrivals: Sequence[Arrival],
    owners: Mapping[str, tuple[UUID, UUID]],
    offers: Catalog,
) -> set[Subject]:
    """Say what this batch may have to count."""
    subjects = {(o.admitted.key.team_id, name) for o in outcomes for name in o.admitted.counted}
    for arrival in arrivals:
        owner = owners.get(api_keys.digest_of(arrival.secret))
        if owner:
            team_id, key_id = owner
            subjects.add((team_id, of_key(key_id)))
            if arrival.chat.model in offers:
                subjects.add((team_id, of_model(arrival.chat.model)))
    return subjects


def _settle(
    outcomes: Sequence[Outcome], books: billing.Books, counters: Counters, now: datetime
) -> tuple[list[int], Counter[tuple[UUID, UUID]]]:
    """Return each outcome's cost, and what is new of it by team and key."""
    served = [o for o in outcomes if o.quantities is not None]
    settled = books.settle([_settlement(o) for o in served]) if served else []
    failed = {o.admitted.request_id for o in outcomes if o.quantities is None}
    lapsed = failed - books.release(failed)
    results = {o.admitted.request_id: s for o, s in zip(served, settled, strict=True)}
    # An outcome may be told again after a lost connection. A settled one says so itself.
    lapsed |= {request_id for request_id, result in results.items() if result.is_late}
    recorded = usage.recorded(lapsed) if lapsed else set()
    charged: Counter[tuple[UUID, UUID]] = Counter()
    records, costs = [], []
    for outcome in outcomes:
        admitted = outcome.admitted
        result = results.get(admitted.request_id)
        cost, items = (result.cost_ticks, result.items) if result else (0, ())
        is_repeat = result is not None and result.is_repeat
        if not is_repeat and admitted.request_id not in recorded:
            records.append(_record(outcome, cost, items, now))
            charged[admitted.key.team_id, admitted.key.id] += cost
            _count(outcome, counters)
        costs.append(cost)
    if records:
        usage.record(records)
    return costs, charged


def _count(outcome: Outcome, counters: Counters) -> None:
    """Count the tokens that were used, where they are limited."""
    admitted = outcome.admitted
    tokens = sum((outcome.quantities or {}).values())
    for subject in admitted.counted:
        # An upstream that reports more than there can have been must not shut its customers out.
        counters.windows(admitted.key.team_id, subject).use(min(tokens, admitted.most_tokens))


def _settlement(outcome: Outcome) -> Settlement:
    admitted = outcome.admitted
    lines = billing.lines_for(outcome.quantities or {}, admitted.offer.prices)
    return Settlement(
        admitted.request_id,
        admitted.key.team_id,
        admitted.offer.name,
        lines,
        outcome.is_estimated,
    )


def _record(
    outcome: Outcome, cost: int, items: Sequence[tuple[BillingItem, int, int]], now: datetime
) -> RequestRecord:
    parts = [(str(item), quantity, ticks) for item, quantity, ticks in items]
    return RequestRecord(
        request_id=outcome.admitted.request_id,
        team_id=outcome.admitted.key.team_id,
        key_id=outcome.admitted.key.id,
        model=outcome.admitted.offer.name,
        cluster=outcome.cluster,
        ip=outcome.ip,
        at=now,
        status=outcome.status,
        streamed=outcome.is_stream,
        first_token_ms=outcome.first_token_ms,
        latency_ms=outcome.latency_ms,
        cost_ticks=cost,
        items=parts,
    )
