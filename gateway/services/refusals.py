"""Why a request is not served, in the original's words where it has any."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from django.conf import settings
from django.utils.dateformat import format as written

from api_keys.services import KeyIdentity
from billing.services import Refusal, usd
from gateway.rates import Exceeded, Need, Rates


class RefusedError(Exception):
    """A request that is not served, as the customer is told it.

    `code` and `error` are those of the original; `reason` tells apart what it does not.
    """

    def __init__(self, status: int, code: str, error: str, reason: str) -> None:
        super().__init__(error)
        self.status, self.code, self.error, self.reason = status, code, error, reason


class RateLimitedError(RefusedError):
    """A request that came too soon; `wait` says in microseconds how much. None: it never fits."""

    def __init__(self, sentence: str, exceeded: Exceeded, rates: Rates) -> None:
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS, "resource-exhausted", sentence, "rate_limited"
        )
        self.wait, self.rates = exceeded.wait, rates


class UncountedError(RefusedError):
    """A request whose tokens are limited. It has to come again with its prompt counted.

    Counting takes long, so it is not done for who has no such limit, nor where others wait.
    """

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "unavailable",
            "The prompt of this request was not counted. Try again.",
            "prompt_not_counted",
        )


def unknown_key(secret: str) -> RefusedError:
    # The original shows the ends of a long key, so that a person can tell which one it was.
    shown = f"{secret[:2]}***{secret[-2:]}" if len(secret) >= 12 else "***"  # noqa: PLR2004
    return RefusedError(
        HTTPStatus.BAD_REQUEST,
        "invalid-argument",
        f"Incorrect API key provided: {shown}. "
        f"You can obtain an API key from {settings.PUBLIC_URL}.",
        "key_unknown",
    )


def blocked(key: KeyIdentity) -> RefusedError:
    return _denied(
        "API key is currently blocked: Blocked due to API key leak. "
        f"You can give it a new secret on {_page(key)}.",
        "key_blocked",
    )


def expired(key: KeyIdentity, at: datetime) -> RefusedError:
    return _denied(
        f"The API key {key.redacted} expired on {written(at.astimezone(UTC), 'j F Y, H:i')} UTC. "
        f"You can change when it expires on {_page(key)}.",
        "key_expired",
    )


def disabled(key: KeyIdentity) -> RefusedError:
    return _denied(
        f"The API key {key.redacted} is disabled. You can enable it on {_page(key)}.",
        "key_disabled",
    )


def address_denied(key: KeyIdentity, ip: str) -> RefusedError:
    return _denied(
        f"The API key {key.redacted} may not be used from the address {ip}. "
        f"You can change where it may be used from on {_page(key)}.",
        "address_denied",
    )


def endpoint_denied(key: KeyIdentity, endpoint: str) -> RefusedError:
    return _denied(
        f"access to the {endpoint} endpoint is denied: the API key {key.redacted} may not use it. "
        f"You can change what it may use on {_page(key)}.",
        "acl_denied",
    )


def model_denied(name: str, key: KeyIdentity, reason: str) -> RefusedError:
    """Refuse a model that does not exist, or that the key may not use, in the same words."""
    return RefusedError(
        HTTPStatus.NOT_FOUND,
        "not-found",
        f"The model {name[:120]} does not exist or your team {key.team_id} does not have "
        "access to it. If you believe this is a mistake, please contact support "
        f"({settings.SUPPORT_EMAIL}).",
        reason,
    )


def unaffordable(refusal: Refusal, key: KeyIdentity) -> RefusedError:
    if refusal == Refusal.KEY_CAP_REACHED:
        return _denied(
            f"What is left of this month's spending cap of {usd(key.terms.monthly_cap_ticks or 0)} "
            f"of the API key {key.redacted} does not pay for this request. You can raise the cap "
            f"on {_page(key)}, or wait for the next month, which begins at 00:00 UTC.",
            "key_cap_reached",
        )
    if refusal == Refusal.NEVER_FUNDED:
        sentence = (
            "Your newly created team doesn't have any credits or licenses yet. "
            f"You can purchase those on {settings.PUBLIC_URL}/team/{key.team_id}/billing/."
        )
    elif refusal == Refusal.INVOICE_OVERDUE:
        sentence = (
            f"Your team {key.team_id} has used all available credits, and nothing more is put on "
            "an invoice because one is overdue. Pay it, or purchase credits, on "
            f"{settings.PUBLIC_URL}/team/{key.team_id}/billing/."
        )
    else:
        sentence = (
            f"Your team {key.team_id} has either used all available credits or reached its "
            "monthly spending limit. To continue making API requests, please purchase more "
            "credits or raise your spending limit."
        )
    # Who has never had credits has none left either, as far as the original's programs can tell.
    reason = Refusal.CREDITS_EXHAUSTED if refusal == Refusal.NEVER_FUNDED else refusal
    return _denied(sentence, reason)


def key_rate_limited(
    exceeded: Exceeded, need: Need, rates: Rates, key: KeyIdentity
) -> RateLimitedError:
    sentence = f"Too many requests for API key {key.redacted}. The key's rate limit is"
    return _rate_limited(sentence, exceeded, need, rates)


def team_rate_limited(
    exceeded: Exceeded, need: Need, rates: Rates, *, team_id: UUID, model: str
) -> RateLimitedError:
    sentence = f"Too many requests for team {team_id} and model {model}. Your team's rate limit is"
    return _rate_limited(sentence, exceeded, need, rates)


def _rate_limited(sentence: str, exceeded: Exceeded, need: Need, rates: Rates) -> RateLimitedError:
    sentence = f"{sentence} - {exceeded.name} (actual/limit): {exceeded.actual}/{exceeded.limit}."
    if exceeded.wait is None:
        sentence += (
            f" The prompt alone has about {need.prompt} tokens, so this request does not fit "
            "however long you wait."
        )
    elif exceeded.actual < exceeded.limit:
        sentence += f" This request may use about {need.tokens} tokens."
    return RateLimitedError(sentence, exceeded, rates)


def _denied(sentence: str, reason: str) -> RefusedError:
    return RefusedError(HTTPStatus.FORBIDDEN, "permission-denied", sentence, reason)


def _page(key: KeyIdentity) -> str:
    return f"{settings.PUBLIC_URL}/team/{key.team_id}/api-keys/{key.id}/"
