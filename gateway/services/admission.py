"""Who may come in: a key's state, what it may be used for, how often, and who pays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings

from accounts.actors import UNKNOWN_IP
from api_keys import services as api_keys
from api_keys.services import KeyIdentity
from billing import services as billing
from billing.services import HoldRequest, Refusal
from gateway.rates import (
    NO_RATES,
    Exceeded,
    Limits,
    Need,
    Rates,
    Windows,
    limits_of,
    longest,
    tightest,
)
from gateway.rules import ChatRequest
from gateway.services import refusals
from gateway.services.catalog import Catalog, Offer, find_offer
from gateway.services.limits import Counters, of_key, of_model
from gateway.services.refusals import RefusedError

# The endpoints that the gateway serves, by the names that ACLs have for them.
CHAT: Final = "chat"
MODELS: Final = "models"
# What a request that names no maximum is expected to answer, at most, where tokens are limited.
USUAL_ANSWER: Final = 1024
# A prompt that cannot be more than this part of a limit need not be counted.
SMALL_PART: Final = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chat request that wants in: its key, and what it may cost.

    It brings its id, so that asking again after a lost connection cannot set credits aside twice.
    """

    request_id: UUID
    secret: str = field(repr=False)
    chat: ChatRequest
    ip: str = UNKNOWN_IP
    prompt_tokens: int | None = None  # As counted; None before that.


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request with credits set aside for it, ready to be forwarded."""

    request_id: UUID
    key: KeyIdentity
    offer: Offer
    max_tokens: int
    most_tokens: int  # That prompt and answer can have together.
    counted: tuple[str, ...] = ()  # Where its tokens are to be counted; see `Counters`.
    rates: Rates = NO_RATES


def identify(secret: str, *, now: datetime) -> KeyIdentity:
    """Say whose key this is, whatever its state. Raises RefusedError for one that does not exist.

    Look-up is by digest, so how long it takes says nothing about the secret.
    """
    digest = api_keys.digest_of(secret)
    found = api_keys.find([digest], now=now).get(digest)
    if found is None:
        raise refusals.unknown_key(secret)
    return found


def check_usable(key: KeyIdentity, *, endpoint: str, ip: str, now: datetime) -> None:
    """Raise RefusedError unless the key may be used now, from there, and for this."""
    if key.blocked:
        raise refusals.blocked(key)
    if key.terms.expires_at and key.terms.expires_at <= now:
        raise refusals.expired(key, key.terms.expires_at)
    if key.disabled:
        raise refusals.disabled(key)
    if not api_keys.networks_allow(key.terms.networks, ip):
        raise refusals.address_denied(key, ip)
    if not api_keys.acl_allows(key.terms.acls, endpoint=endpoint):
        raise refusals.endpoint_denied(key, endpoint)


def admit(
    arrivals: Sequence[Arrival],
    keys: Mapping[str, KeyIdentity],
    offers: Catalog,
    books: billing.Books,
    counters: Counters,
    *,
    spent: Mapping[UUID, int],
    now: datetime,
) -> list[Admitted | RefusedError]:
    """Let in what may come in, each as the ones before it have left things.

    `spent` is what each key has cost this month.
    """
    answers: list[Admitted | RefusedError] = []
    until = now + timedelta(seconds=settings.HOLD_SECONDS)
    for arrival in arrivals:
        try:
            key = keys.get(api_keys.digest_of(arrival.secret))
            if key is None:
                raise refusals.unknown_key(arrival.secret)
            check_usable(key, endpoint=CHAT, ip=arrival.ip, now=now)
            offer = find_offer(arrival.chat.model, key, offers)
            admission = _Admission(arrival, key, offer, books, counters, spent.get(key.id, 0))
            admission.check_rates()
            answers.append(admission.reserve(until))
        except RefusedError as refused:
            answers.append(refused)
    return answers


class _Admission:
    """One request at the door: its key's limits, and its team's for the model."""

    def __init__(
        self,
        arrival: Arrival,
        key: KeyIdentity,
        offer: Offer,
        books: billing.Books,
        counters: Counters,
        spent_ticks: int,
    ) -> None:
        self._arrival, self._key, self._offer = arrival, key, offer
        self._books, self._spent_ticks = books, spent_ticks
        terms, team_id = key.terms, key.team_id
        # The key's, and the team's for the model.
        self._limits = (
            Limits(
                requests_per_second=terms.requests_per_second,
                requests_per_minute=terms.requests_per_minute,
                tokens_per_minute=terms.tokens_per_minute,
            ),
            limits_of(offer, books.tier(team_id), counters.agreed(team_id, offer.name)),
        )
        self._key_windows = counters.windows(team_id, of_key(key.id))
        self._team_windows = counters.windows(team_id, of_model(offer.name))
        # A request that asks again, after an answer that was lost, has been counted.
        self._is_repeat = books.knows(arrival.request_id)
        chat = arrival.chat
        self._prompt_bound = chat.prompt_tokens_bound + chat.image_tokens_bound
        prompt = self._prompt_bound if arrival.prompt_tokens is None else arrival.prompt_tokens
        answer = chat.max_tokens or min(offer.max_output_tokens, USUAL_ANSWER)
        self._need = Need(prompt, prompt + chat.choices * answer)

    def check_rates(self) -> None:
        """Raise RateLimitedError if the request does not fit under every limit.

        Raises UncountedError where that cannot be said before its prompt is counted.
        """
        if self._is_repeat:
            return
        if self._arrival.prompt_tokens is None:
            # Counting takes long, so it is not for who is turned away for something else.
            self._check(replace(limits, tokens_per_minute=None) for limits in self._limits)
            if self._is_small() and not any(self._exceeded(self._limits)):
                return
            if isinstance(refusal := self._books.look(self._hold()), Refusal):
                raise refusals.unaffordable(refusal, self._key)
            raise refusals.UncountedError
        self._check(self._limits)

    def _check(self, limits: Iterable[Limits]) -> None:
        key_exceeded, team_exceeded = self._exceeded(limits)
        exceeded = longest(one for one in (key_exceeded, team_exceeded) if one)
        if exceeded is None:
            return
        if exceeded is key_exceeded:
            raise refusals.key_rate_limited(exceeded, self._need, self._rates(), self._key)
        raise refusals.team_rate_limited(
            exceeded, self._need, self._rates(), team_id=self._key.team_id, model=self._offer.name
        )

    def _exceeded(self, limits: Iterable[Limits]) -> list[Exceeded | None]:
        """Say what keeps the request out, of the key's limits and of the team's."""
        return [
            windows.exceeded(of_subject, self._need, flying)
            for (windows, _, flying), of_subject in zip(self._subjects(), limits, strict=True)
        ]

    def _is_small(self) -> bool:
        """Say whether the prompt is little beside every limit on tokens, however it is counted."""
        tokens = [limits.tokens_per_minute for limits in self._limits]
        return all(n is None or n >= SMALL_PART * self._prompt_bound for n in tokens)

    def _hold(self) -> HoldRequest:
        chat, offer, key = self._arrival.chat, self._offer, self._key
        cap_ticks = key.terms.monthly_cap_ticks
        return HoldRequest(
            request_id=self._arrival.request_id,
            team_id=key.team_id,
            prompt_ticks=billing.prompt_bound_ticks(
                chat.prompt_tokens_bound, chat.image_tokens_bound, offer.prices
            ),
            token_ticks=billing.completion_price_ticks(offer.prices) * chat.choices,
            wanted_tokens=chat.max_tokens or offer.max_output_tokens,
            api_key_id=key.id,
            model=offer.name,
            tokens=self._need.tokens,
            key_cap_ticks=None if cap_ticks is None else cap_ticks - self._spent_ticks,
        )

    def reserve(self, until: datetime) -> Admitted:
        """Set credits aside and count the request. Raises RefusedError if it cannot be paid."""
        key, offer = self._key, self._offer
        ceiling = self._books.reserve(self._hold(), until=until)
        if isinstance(ceiling, Refusal):
            raise refusals.unaffordable(ceiling, key)
        key_limits, team_limits = self._limits
        if not self._is_repeat:
            self._key_windows.let_in(key_limits)
            self._team_windows.let_in(team_limits)
        counted = {
            of_key(key.id): key_limits.tokens_per_minute,
            of_model(offer.name): team_limits.tokens_per_minute,
        }
        return Admitted(
            self._arrival.request_id,
            key,
            offer,
            ceiling.max_tokens,
            self._prompt_bound + self._arrival.chat.choices * ceiling.max_tokens,
            tuple(subject for subject, limit in counted.items() if limit is not None),
            self._rates(),
        )

    def _subjects(self) -> list[tuple[Windows, Limits, int]]:
        """List what is counted, against what, and beside how many tokens in flight."""
        flying, team_id = self._books.tokens_in_flight, self._key.team_id
        key_limits, team_limits = self._limits
        return [
            (self._key_windows, key_limits, flying(team_id, self._key.id)),
            (self._team_windows, team_limits, flying(team_id, self._offer.name)),
        ]

    def _rates(self) -> Rates:
        subjects = self._subjects()
        return Rates(
            tightest([s for windows, limits, _ in subjects for s in windows.requests(limits)]),
            tightest([s for windows, limits, n in subjects for s in windows.tokens(limits, n)]),
        )
