"""Clearing what is limited: counted once, at the right moment, and never in two months."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys import services as api_keys
from api_keys.models import KeyMonth
from api_keys.services import EVERYTHING
from billing import services as billing
from billing.models import Hold
from billing.rules import BillingItem
from gateway import services as gateway
from gateway.models import InferenceModel, RateWindow, TeamLimit
from gateway.rates import Standing
from gateway.rules import read_chat_request
from gateway.services import (
    Admitted,
    Arrival,
    Outcome,
    RateLimitedError,
    RefusedError,
    UncountedError,
    Use,
)
from tests.factories import NOON, make_funded_team, make_user
from tests.gateway.offers import list_short_model

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
ROUNDING = SECOND / 600
MINUTE = timedelta(minutes=1)
PROMPT = 6  # Tokens, as the gateway guesses.


@pytest.fixture(autouse=True)
def model() -> Iterator[InferenceModel]:
    """List a model whose tokens cost ten ticks each, and whose prompts are free."""
    model = list_short_model()
    yield model
    assert list(billing.differences()) == []


@pytest.fixture
def team() -> Team:
    return make_funded_team(ticks=100_000)


def secret_of(team: Team, **limits: Any) -> str:
    terms = replace(EVERYTHING, **limits)
    return api_keys.create(
        team=team, actor=SYSTEM, owner=make_user(), name="Key", terms=terms, now=NOON
    ).secret


def arrival(secret: str, tokens: int = 4) -> Arrival:
    messages = [{"role": "user", "content": "x"}]
    body = {"model": "atlas", "messages": messages, "max_tokens": tokens}
    return Arrival(uuid7(), secret, read_chat_request(body, 100), prompt_tokens=PROMPT)


def clear(
    outcomes: list[Outcome], arrivals: list[Arrival], now: datetime
) -> tuple[list[int], list[Admitted | RefusedError]]:
    return gateway.clear(outcomes, arrivals, offers=gateway.catalog(), now=now)


def ask(secret: str, *, now: datetime = NOON, tokens: int = 4) -> Admitted | RefusedError:
    return clear([], [arrival(secret, tokens)], now)[1][0]


def admit(secret: str, *, now: datetime = NOON, tokens: int = 4) -> Admitted:
    answer = ask(secret, now=now, tokens=tokens)
    assert isinstance(answer, Admitted), answer
    return answer


def limited(answer: Admitted | RefusedError) -> RateLimitedError:
    assert isinstance(answer, RateLimitedError), answer
    return answer


def outcome(admitted: Admitted, tokens: int | None) -> Outcome:
    items = {BillingItem.PROMPT_TEXT: PROMPT, BillingItem.COMPLETION: tokens or 0}
    return Outcome(
        admitted=admitted,
        cluster="near",
        ip="192.0.2.1",
        status=502 if tokens is None else 200,
        is_stream=False,
        first_token_ms=None,
        latency_ms=7,
        quantities=None if tokens is None else items,
    )


def spent(team: Team) -> dict[datetime, int]:
    return {
        datetime.combine(row.month, datetime.min.time(), UTC): row.spent_ticks
        for row in KeyMonth.of(team)
    }


def test_requests_of_one_batch_are_counted_one_after_the_other(team: Team) -> None:
    secret = secret_of(team, requests_per_second=2)

    _, answers = clear([], [arrival(secret) for _ in range(4)], NOON)

    assert [isinstance(answer, Admitted) for answer in answers] == [True, True, False, False]
    wait = timedelta(microseconds=limited(answers[3]).wait or 0)
    assert SECOND <= wait <= SECOND + ROUNDING
    assert limited(ask(secret, now=NOON + wait - timedelta(microseconds=1))).wait == 1
    assert isinstance(ask(secret, now=NOON + wait), Admitted)


def test_a_request_that_asks_again_after_a_lost_answer_is_counted_once(team: Team) -> None:
    secret = secret_of(team, requests_per_minute=2, tokens_per_minute=1000)
    asking = arrival(secret)
    _, first = clear([], [asking], NOON)

    _, again = clear([], [asking, asking], NOON)

    assert again == [first[0], first[0]]
    assert isinstance(first[0], Admitted)
    assert first[0].rates.requests == Standing(2, 1, 60_000_000)
    assert [isinstance(ask(secret), Admitted) for _ in range(2)] == [True, False]


def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_longer_than_a_window(
    team: Team,
) -> None:
    secret = secret_of(team, requests_per_minute=1)
    admit(secret)
    set_back = NOON - timedelta(seconds=50)

    wait = timedelta(microseconds=limited(ask(secret, now=set_back)).wait or 0)

    assert wait <= MINUTE + 60 * ROUNDING
    assert isinstance(ask(secret, now=set_back + wait), Admitted)


def test_an_outcome_that_is_told_again_uses_its_tokens_and_costs_its_ticks_once(
    team: Team,
) -> None:
    secret = secret_of(team, tokens_per_minute=1000, monthly_cap_ticks=1000)
    served, failed = admit(secret), admit(secret)
    outcomes = [outcome(served, 4), outcome(failed, None)]

    for _ in range(3):
        clear(outcomes, [], NOON)

    tokens = admit(secret).rates.tokens
    assert tokens
    assert tokens.remaining == 1000 - (PROMPT + 4) - (PROMPT + 4)
    assert list(spent(team).values()) == [40]


def test_tokens_are_reserved_until_they_are_used_and_then_count_for_a_minute(team: Team) -> None:
    secret = secret_of(team, tokens_per_minute=40)
    served = admit(secret, tokens=20)
    refused = limited(ask(secret, tokens=20))
    later = NOON + timedelta(seconds=30)

    clear([outcome(served, 11)], [], later)

    assert refused.wait == 1_000_000, "only what is in flight is in the way"
    assert "(actual/limit): 26/40. This request may use about 26 tokens." in refused.error
    assert isinstance(ask(secret, now=later, tokens=10), Admitted), "17 used, 16 more fit"
    refused = limited(ask(secret, now=later, tokens=10))
    assert "(actual/limit): 33/40." in refused.error
    assert isinstance(ask(secret, now=later + MINUTE, tokens=10), Admitted)


def ask_uncounted(secret: str) -> Admitted | RefusedError:
    return clear([], [replace(arrival(secret), prompt_tokens=None)], NOON)[1][0]


@pytest.mark.parametrize("tokens", [1000, 10**6], ids=["a large prompt", "a small one"])
def test_a_request_that_comes_too_soon_is_refused_without_its_prompt_being_counted(
    team: Team, tokens: int
) -> None:
    secret = secret_of(team, requests_per_minute=1, tokens_per_minute=tokens)
    admit(secret, tokens=tokens - PROMPT)

    assert "Requests per Minute (actual/limit): 1/1." in limited(ask_uncounted(secret)).error


def test_a_request_that_cannot_be_paid_is_refused_without_its_prompt_being_counted() -> None:
    def reason(ticks: int, **limits: int) -> str:
        team = make_funded_team(ticks=ticks)
        answer = ask_uncounted(secret_of(team, tokens_per_minute=1000, **limits))
        assert isinstance(answer, RefusedError)
        assert isinstance(answer, UncountedError) == (answer.reason == "prompt_not_counted")
        assert not Hold.of(team).exists()
        return answer.reason

    assert reason(1) == "credits_exhausted"
    assert reason(100_000, monthly_cap_ticks=1) == "key_cap_reached"
    assert reason(100_000) == "prompt_not_counted"


def test_what_failed_used_no_tokens_and_gives_back_what_it_reserved(team: Team) -> None:
    secret = secret_of(team, tokens_per_minute=30)
    failed = admit(secret, tokens=20)

    clear([outcome(failed, None)], [], NOON)

    answer = admit(secret, tokens=20)
    assert answer.rates.tokens == Standing(30, 4, 60_000_000)


def test_an_upstream_that_makes_up_numbers_does_not_shut_a_customer_out(team: Team) -> None:
    secret = secret_of(team, tokens_per_minute=10_000)
    served = admit(secret, tokens=20)

    clear([outcome(served, 10**9)], [], NOON)

    assert isinstance(ask(secret), Admitted)


def test_what_a_crash_left_behind_reserves_no_tokens_and_no_cap_once_it_has_lapsed(
    team: Team,
) -> None:
    secret = secret_of(team, tokens_per_minute=30, monthly_cap_ticks=200)
    admit(secret, tokens=20)
    lapsed = NOON + timedelta(seconds=settings.HOLD_SECONDS)

    before, after = ask(secret, tokens=20), ask(secret, now=lapsed, tokens=20)

    assert isinstance(before, RateLimitedError)
    assert isinstance(after, Admitted)
    assert Hold.of(team).filter(state=Hold.State.EXPIRED).count() == 1


def test_holds_of_a_key_count_against_its_cap_before_they_are_charged(team: Team) -> None:
    secret = secret_of(team, monthly_cap_ticks=100)

    _, answers = clear([], [arrival(secret, 6) for _ in range(3)], NOON)

    assert [a.max_tokens for a in answers if isinstance(a, Admitted)] == [6, 4]
    assert [a.reason for a in answers if isinstance(a, RefusedError)] == ["key_cap_reached"]


def test_a_charge_and_a_request_of_the_same_batch_share_the_cap(team: Team) -> None:
    secret = secret_of(team, monthly_cap_ticks=100)
    served = admit(secret, tokens=8)

    _, [answer] = clear([outcome(served, 5)], [arrival(secret, 8)], NOON)

    assert isinstance(answer, Admitted)
    assert answer.max_tokens == 5


def test_a_cap_begins_anew_with_the_utc_month_in_which_a_request_settles(team: Team) -> None:
    secret = secret_of(team, monthly_cap_ticks=100)
    march = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    april = march + SECOND
    clear([outcome(admit(secret, now=march, tokens=6), 6)], [], march)
    over_the_edge = admit(secret, now=march, tokens=4)
    refused = ask(secret, now=march)

    clear([outcome(over_the_edge, 4)], [], april)
    answer = admit(secret, now=april, tokens=10)

    assert isinstance(refused, RefusedError)
    assert refused.reason == "key_cap_reached"
    assert answer.max_tokens == 6
    assert spent(team) == {
        datetime(2026, 3, 1, tzinfo=UTC): 60,
        datetime(2026, 4, 1, tzinfo=UTC): 40,
    }


def test_a_model_and_a_key_are_limited_each_for_itself(team: Team, model: InferenceModel) -> None:
    TeamLimit.across_teams.create(team=team, model=model, requests_per_second=3)
    first, second = secret_of(team, requests_per_second=2), secret_of(team)

    _, answers = clear([], [arrival(s) for s in (first, first, first, second, second)], NOON)

    errors = [answer.error for answer in answers if isinstance(answer, RefusedError)]
    assert [isinstance(answer, Admitted) for answer in answers] == [True, True, False, True, False]
    assert errors[0].endswith("The key's rate limit is - Requests per Second (actual/limit): 2/2.")
    assert errors[1] == (
        f"Too many requests for team {team.pk} and model atlas. "
        "Your team's rate limit is - Requests per Second (actual/limit): 3/3."
    )


def test_a_team_sees_what_it_uses_of_each_model(team: Team, model: InferenceModel) -> None:
    TeamLimit.across_teams.create(
        team=team, model=model, requests_per_second=50, tokens_per_minute=1000
    )
    secret = secret_of(team)
    served = admit(secret)
    admit(secret, tokens=20)
    clear([outcome(served, 4)], [], NOON)

    assert gateway.use_of(team, now=NOON) == {"atlas": Use(2, PROMPT + 4, PROMPT + 20)}
    later = NOON + 2 * SECOND
    assert gateway.use_of(team, now=later) == {"atlas": Use(0, PROMPT + 4, PROMPT + 20)}
    assert gateway.use_of(make_funded_team(), now=NOON) == {}


def test_what_is_not_limited_is_not_written_down(team: Team) -> None:
    served = admit(secret_of(team))

    clear([outcome(served, 4)], [], NOON)

    assert not RateWindow.of(team).exists()
    assert list(spent(team).values()) == [40]


def test_a_batch_costs_the_same_queries_however_many_keys_and_limits_it_has(team: Team) -> None:
    secrets = [
        secret_of(team, requests_per_second=9, tokens_per_minute=900, monthly_cap_ticks=900)
        for _ in range(8)
    ]
    offers = gateway.catalog()

    def queries(*keys: str) -> int:
        """Count what a batch that settles and admits asks, once the keys are known."""
        with CaptureQueriesContext(connection) as captured:
            _, answers = gateway.clear([], [arrival(s) for s in keys], offers=offers, now=NOON)
            admitted = [answer for answer in answers if isinstance(answer, Admitted)]
            gateway.clear([outcome(a, 4) for a in admitted], [], offers=offers, now=NOON)
        assert len(admitted) == len(keys)
        return len(captured)

    queries(*secrets)
    assert queries(secrets[0]) == queries(*secrets)


def test_what_one_team_does_counts_for_no_other(team: Team, model: InferenceModel) -> None:
    other = make_funded_team(ticks=100_000)
    for each in (team, other):
        TeamLimit.across_teams.create(team=each, model=model, requests_per_second=1)

    _, answers = clear([], [arrival(secret_of(each)) for each in (team, other)], NOON)

    assert all(isinstance(answer, Admitted) for answer in answers)
    subjects: list[tuple[UUID, str]] = list(
        RateWindow.across_teams.values_list("team_id", "subject")
    )
    assert sorted(subjects) == sorted((each.pk, "model:atlas") for each in (team, other))
