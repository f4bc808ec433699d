"""From key to charge: what stands around the forwarding of a request, in batches.

`clear` is the whole of it: one transaction that settles what is done and admits what has arrived.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from api_keys import services as api_keys
from api_keys.services import KeyIdentity
from billing import services as billing
from billing.services import BillingItem, Ceiling, HoldRequest, Prices, Refusal, Settlement
from gateway.models import SANDBOX_URL, Cluster, Deployment, InferenceModel
from gateway.rules import ChatRequest
from usage import services as usage
from usage.services import RequestRecord


class RefusedError(Exception):
    """A request that is not served, as the customer is told it.

    `code` and `error` are those of the original; `reason` tells apart what it does not.
    """

    def __init__(self, status: int, code: str, error: str, reason: str) -> None:
        super().__init__(error)
        self.status, self.code, self.error, self.reason = status, code, error, reason


@dataclass(frozen=True, slots=True)
class Target:
    """One place where a model runs."""

    cluster: str
    base_url: str
    api_key_variable: str
    upstream_name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as customers may ask for it, with the prices of this moment."""

    name: str
    owned_by: str
    created_at: datetime
    max_output_tokens: int
    prices: Prices
    targets: tuple[Target, ...]


Catalog = Mapping[str, Offer]

# What a key may do is asked anew each time; whose it is, only once.
_team_by_digest: dict[str, UUID] = {}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chat request that wants in: its key, and what it may cost.

    It brings its id, so that asking again after a lost connection cannot set credits aside twice.
    """

    request_id: UUID
    secret: str
    chat: ChatRequest


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request with credits set aside for it, ready to be forwarded."""

    request_id: UUID
    key: KeyIdentity
    offer: Offer
    max_tokens: int


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


def catalog() -> Catalog:
    """Read what can be asked for now: enabled models that some enabled cluster has."""
    offers = {}
    models = InferenceModel.objects.filter(is_enabled=True).prefetch_related("deployments__cluster")
    for model in models.order_by("name"):
        deployments = sorted(model.deployments.all(), key=lambda d: (d.priority, d.pk))
        targets = tuple(
            Target(
                d.cluster.name,
                d.cluster.base_url.rstrip("/"),
                d.cluster.api_key_variable,
                d.upstream_name,
            )
            for d in deployments
            if d.is_enabled and d.cluster.is_enabled
        )
        if targets:
            offers[model.name] = Offer(
                model.name,
                model.owned_by,
                model.created_at,
                model.max_output_tokens,
                model.prices,
                targets,
            )
    return offers


@transaction.atomic
def offer_in_sandbox(
    *,
    name: str,
    context_length: int,
    max_output_tokens: int,
    prices: Prices,
    clusters: Sequence[str],
    now: datetime,
) -> None:
    """Put a model on the price list, answered by the sandbox. One of that name is left alone."""
    model, _ = InferenceModel.objects.get_or_create(
        name=name,
        defaults={
            "owned_by": "sandbox",
            "context_length": context_length,
            "max_output_tokens": max_output_tokens,
            "created_at": now,
            **{f"{item}_price": prices.get(item, 0) for item in BillingItem},
        },
    )
    for priority, cluster_name in enumerate(clusters):
        cluster, _ = Cluster.objects.get_or_create(
            name=cluster_name, defaults={"base_url": SANDBOX_URL}
        )
        Deployment.objects.get_or_create(
            model=model,
            cluster=cluster,
            defaults={"upstream_name": name, "priority": priority},
        )


def identify(secret: str) -> KeyIdentity:
    """Say whose key this is, whatever its state. Raises RefusedError for one that does not exist.

    Look-up is by digest, so how long it takes says nothing about the secret.
    """
    digest = api_keys.digest_of(secret)
    found = api_keys.find([digest]).get(digest)
    if found is None:
        raise _unknown_key(secret)
    return found


def check_usable(key: KeyIdentity) -> None:
    """Raise RefusedError unless the key may be used now."""
    if key.blocked:
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "permission-denied",
            "API key is currently blocked: Blocked due to API key leak",
            "key_blocked",
        )
    if key.disabled:
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "permission-denied",
            f"The API key {key.redacted} is disabled. "
            f"You can enable it on {settings.PUBLIC_URL}/team/{key.team_id}/api-keys/.",
            "key_disabled",
        )


def clear(
    outcomes: Sequence[Outcome], arrivals: Sequence[Arrival], *, offers: Catalog, now: datetime
) -> tuple[list[int], list[Admitted | RefusedError]]:
    """Settle what is done and admit what has arrived, in one transaction.

    Returns each outcome's cost in ticks and each arrival's admission, in their order. Whatever
    this returned is committed; if it raises, nothing happened and all of it can be told again.
    """
    digests = {api_keys.digest_of(arrival.secret) for arrival in arrivals}
    teams = {o.admitted.key.team_id for o in outcomes} | _teams_of(digests)
    known = [o.admitted.request_id for o in outcomes] + [a.request_id for a in arrivals]
    # In a pipeline, statements wait for each other in the database and not here: the batch costs
    # one trip to read, and one to write and commit.
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline(), transaction.atomic():
        found = api_keys.asking(digests)
        books = billing.Books(teams, requests=known, now=now)
        costs = _settle(outcomes, books, now)
        admissions = _admit(arrivals, found(), offers, books, now)
        books.write()
    return costs, admissions


def _teams_of(digests: Collection[str]) -> set[UUID]:
    """Say whose accounts to lock for these keys. A key never changes its team."""
    new = [digest for digest in digests if digest not in _team_by_digest]
    if new:
        found = api_keys.find(new)
        _team_by_digest.update({digest: key.team_id for digest, key in found.items()})
    return {_team_by_digest[digest] for digest in digests if digest in _team_by_digest}


def _settle(outcomes: Sequence[Outcome], books: billing.Books, now: datetime) -> list[int]:
    served = [o for o in outcomes if o.quantities is not None]
    settled = books.settle([_settlement(o) for o in served]) if served else []
    failed = {o.admitted.request_id for o in outcomes if o.quantities is None}
    lapsed = failed - books.release(failed)
    results = {o.admitted.request_id: s for o, s in zip(served, settled, strict=True)}
    # An outcome may be told again after a lost connection. A settled one says so itself.
    lapsed |= {request_id for request_id, result in results.items() if result.is_late}
    recorded = usage.recorded(lapsed) if lapsed else set()
    records, costs = [], []
    for outcome in outcomes:
        result = results.get(outcome.admitted.request_id)
        cost, items = (result.cost_ticks, result.items) if result else (0, ())
        is_repeat = result is not None and result.is_repeat
        if not is_repeat and outcome.admitted.request_id not in recorded:
            records.append(_record(outcome, cost, items, now))
        costs.append(cost)
    if records:
        usage.record(records)
    return costs


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
    if outcome.quantities is not None and BillingItem.PROMPT_TEXT not in {p[0] for p in parts}:
        # Usage counts requests by their prompt, so each has one, if only of nothing.
        parts.insert(0, (str(BillingItem.PROMPT_TEXT), 0, 0))
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


def _admit(
    arrivals: Sequence[Arrival],
    keys: Mapping[str, KeyIdentity],
    offers: Catalog,
    books: billing.Books,
    now: datetime,
) -> list[Admitted | RefusedError]:
    answers: list[Admitted | RefusedError] = []
    until = now + timedelta(seconds=settings.HOLD_SECONDS)
    for arrival in arrivals:
        try:
            key = keys.get(api_keys.digest_of(arrival.secret))
            if key is None:
                raise _unknown_key(arrival.secret)
            check_usable(key)
            offer = find_offer(arrival.chat.model, key, offers)
            hold = _hold_request(arrival, key, offer)
            match books.reserve(hold, until=until):
                case Refusal() as refusal:
                    raise _unaffordable(refusal, key)
                case Ceiling() as ceiling:
                    answers.append(Admitted(hold.request_id, key, offer, ceiling.max_tokens))
        except RefusedError as refused:
            answers.append(refused)
    return answers


def _hold_request(arrival: Arrival, key: KeyIdentity, offer: Offer) -> HoldRequest:
    chat = arrival.chat
    return HoldRequest(
        request_id=arrival.request_id,
        team_id=key.team_id,
        prompt_ticks=billing.prompt_bound_ticks(
            chat.prompt_tokens_bound, chat.image_tokens_bound, offer.prices
        ),
        token_ticks=billing.completion_price_ticks(offer.prices) * chat.choices,
        wanted_tokens=chat.max_tokens or offer.max_output_tokens,
    )


def find_offer(name: str, key: KeyIdentity, offers: Catalog) -> Offer:
    """Find one model for a key. Raises RefusedError when there is no such model."""
    offer = offers.get(name)
    if offer is None:
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            "not-found",
            f"The model {name[:120]} does not exist or your team {key.team_id} does not have "
            "access to it. If you believe this is a mistake, please contact support "
            f"({settings.SUPPORT_EMAIL}).",
            "model_not_found",
        )
    return offer


def _unknown_key(secret: str) -> RefusedError:
    # The original shows the ends of a long key, so that a person can tell which one it was.
    shown = f"{secret[:2]}***{secret[-2:]}" if len(secret) >= 12 else "***"  # noqa: PLR2004
    return RefusedError(
        HTTPStatus.BAD_REQUEST,
        "invalid-argument",
        f"Incorrect API key provided: {shown}. "
        f"You can obtain an API key from {settings.PUBLIC_URL}.",
        "key_unknown",
    )


def _unaffordable(refusal: Refusal, key: KeyIdentity) -> RefusedError:
    if refusal == Refusal.NEVER_FUNDED:
        sentence = (
            "Your newly created team doesn't have any credits or licenses yet. "
            f"You can purchase those on {settings.PUBLIC_URL}/team/{key.team_id}/billing/."
        )
    else:
        sentence = (
            f"Your team {key.team_id} has either used all available credits or reached its "
            "monthly spending limit. To continue making API requests, please purchase more "
            "credits or raise your spending limit."
        )
    is_limit = refusal == Refusal.SPENDING_LIMIT_REACHED
    return RefusedError(
        HTTPStatus.FORBIDDEN,
        "permission-denied",
        sentence,
        "spending_limit_reached" if is_limit else "credits_exhausted",
    )
