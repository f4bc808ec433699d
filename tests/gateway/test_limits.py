"""Limits on how often and how much: many at once never pass them, and one alone uses them up."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import openai
import orjson
import pytest
from django.utils import timezone
from openai import OpenAI

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys import services as api_keys
from api_keys.services import EVERYTHING, Terms
from billing import services as billing
from billing.models import Hold
from gateway import services as gateway
from gateway.models import InferenceModel, TeamLimit
from tests.gateway.clients import Got, Task, call_at_once
from tests.gateway.world import FIFTY, MESSAGES, PROMPT_TOKENS, Answer, Caller, World
from tests.servers import until

PROCESSES = 4
# What the gateway thinks that QUESTION has, and what the fake server counts.
GUESSED_TOKENS = 15
TOKENS = PROMPT_TOKENS + 5
# A request is let in a moment after its batch looked at the clock: when it is its turn. So the last
# twentieth of a second is not proven here, but by test_rates, which knows every moment.
SECOND = timedelta(seconds=0.95)


def call(*callers: Caller, calls: int, model: str = "fifty") -> list[Got]:
    """Let processes make so many calls at once, with each of the keys in turn."""
    tasks = []
    for n in range(PROCESSES):
        caller = callers[n % len(callers)]
        mine = [model] * (calls // PROCESSES)
        tasks.append(Task(caller.base_url, caller.secret, mine, dict(FIFTY), (False, True)))
    return call_at_once(*tasks)


def served(answers: Sequence[Got]) -> int:
    assert {got.status for got in answers} <= {200, 429}
    for got in answers:
        if got.status == 429:
            assert orjson.loads(got.body)["reason"] == "rate_limited"
    return [got.status for got in answers].count(200)


def let_in(team: Team) -> list[datetime]:
    """Say when the team's requests were let in."""
    return list(Hold.of(team).order_by("created_at").values_list("created_at", flat=True))


def most_within(moments: list[datetime], length: timedelta) -> int:
    """Say how many there were in the busiest window of this length, wherever it begins."""
    return max(sum(end - length < at <= end for at in moments) for end in moments)


def two_keys(world: World, base_url: str) -> tuple[Caller, Caller]:
    """Make two programs of one team."""
    first = world.caller(base_url=base_url)
    owner = first.key.owner
    assert owner
    made = api_keys.create(
        team=first.team, actor=SYSTEM, owner=owner, name="Other", now=timezone.now()
    )
    return first, Caller(first.base_url, made.secret, made.key)


def agree(team: Team, model: str, **limits: int) -> None:
    found = InferenceModel.objects.get(name=model)
    TeamLimit.across_teams.create(team=team, model=found, **limits)


def limit_headers(answer: Answer) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith(("x-ratelimit", "retry-after"))}


def test_of_many_calls_at_once_exactly_as_many_as_a_minute_may_have_are_served(
    world: World, base_url: str
) -> None:
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, requests_per_minute=7))

    answers = call(caller, calls=40)

    assert served(answers) == 7
    assert world.upstream.count() == 7
    assert caller.spent_ticks() == 7 * 50


def test_no_second_ever_has_more_requests_than_the_key_may_make(
    world: World, base_url: str
) -> None:
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, requests_per_second=5))

    answers = call(caller, calls=40) + call(caller, calls=40)

    moments = let_in(caller.team)
    assert served(answers) == len(moments) >= 5
    assert most_within(moments, SECOND) == 5


def test_the_keys_of_a_team_share_what_the_team_may_ask_of_a_model(
    world: World, base_url: str
) -> None:
    first, second = two_keys(world, base_url)
    agree(first.team, "fifty", requests_per_second=6)

    answers = call(first, second, calls=40)

    moments = let_in(first.team)
    assert served(answers) == len(moments) >= 6
    assert most_within(moments, SECOND) == 6
    assert first.ask("ok").status == 200, "another model has a limit of its own"
    assert world.caller(base_url=base_url).ask("fifty").status == 200, "so has another team"


@pytest.mark.parametrize("whose", ["the key's", "the team's"])
def test_tokens_of_calls_at_once_never_pass_the_limit_and_one_at_a_time_use_it_up(
    world: World, base_url: str, whose: str
) -> None:
    # With both kinds of limits, as each has a window of its own.
    terms = replace(EVERYTHING, requests_per_minute=1000, tokens_per_minute=120)
    caller = world.caller(base_url=base_url, terms=terms if whose == "the key's" else EVERYTHING)
    if whose == "the team's":
        agree(caller.team, "fifty", requests_per_second=1000, tokens_per_minute=120)

    at_once = served(call(caller, calls=40))

    assert 0 < at_once * TOKENS <= 120
    one_at_a_time = 0
    while (answer := caller.ask("fifty", **FIFTY)).status == 200:
        one_at_a_time += 1
    assert answer.refusal() == (429, "rate_limited")
    used = (at_once + one_at_a_time) * TOKENS
    assert 120 - GUESSED_TOKENS <= used <= 120
    assert f"Tokens per Minute (actual/limit): {used}/120." in answer.json["error"]
    assert gateway.use_of(caller.team, now=timezone.now()).get("fifty", gateway.Use()).tokens == (
        used if whose == "the team's" else 0
    )


def test_what_is_in_flight_counts_until_it_is_known_what_it_used(world: World) -> None:
    caller = world.caller(terms=replace(EVERYTHING, tokens_per_minute=100))

    with caller.asking("fifty-gated", max_tokens=70):
        until(lambda: Hold.of(caller.team).exists(), "the first to be let in")
        beside = caller.ask("fifty", **FIFTY)
        world.upstream.open_gate()
    until(lambda: not Hold.of(caller.team).filter(state="live").exists(), "the end of the first")
    after = caller.ask("fifty", **FIFTY)

    assert beside.refusal() == (429, "rate_limited")
    assert beside.headers["retry-after"] == "1"
    assert (
        f"(actual/limit): {GUESSED_TOKENS + 70}/100. This request may use about 20 tokens."
        in (beside.json["error"])
    )
    assert after.status == 200


def test_a_request_that_was_refused_or_failed_for_another_reason_does_not_count(
    world: World,
) -> None:
    caller = world.caller(
        ticks=50, terms=replace(EVERYTHING, requests_per_minute=3, tokens_per_minute=10**6)
    )

    assert caller.ask("grok-none").status == 404
    assert caller.ask("fifty", **FIFTY).status == 200
    for _ in range(4):
        assert caller.ask("fifty", **FIFTY).refusal() == (403, "credits_exhausted")
    world.fund(caller.team, 100)

    assert [caller.ask("fifty", **FIFTY).status for _ in range(3)] == [200, 200, 429]


def test_a_new_limit_or_none_is_in_force_at_the_next_request(world: World, base_url: str) -> None:
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, requests_per_minute=1))
    assert [caller.ask("ok").status for _ in range(2)] == [200, 429]

    def edit(terms: Terms) -> None:
        caller.key.refresh_from_db()
        seen_at, now = caller.key.modified_at, timezone.now()
        api_keys.edit(
            key=caller.key, actor=SYSTEM, name="Tests", terms=terms, seen_at=seen_at, now=now
        )

    edit(replace(EVERYTHING, requests_per_minute=3))
    raised = [caller.ask("ok").status for _ in range(3)]
    edit(EVERYTHING)
    unlimited = [caller.ask("ok") for _ in range(3)]

    assert raised == [200, 200, 429]
    assert [answer.status for answer in unlimited] == [200, 200, 200]
    assert [limit_headers(answer) for answer in unlimited] == [{}] * 3


def test_a_models_limit_follows_the_tier_at_once_and_support_can_agree_on_another(
    world: World,
) -> None:
    caller = world.caller()

    def two_at_once() -> list[Answer]:
        """Ask until two were asked within one second; the first of the two was served."""
        for _ in count():
            answers = [caller.ask("tiered", **FIFTY) for _ in range(2)]
            moments = let_in(caller.team)[-2:]
            if answers[0].status == 200 and (
                answers[1].status == 429 or moments[1] - moments[0] < timedelta(seconds=1)
            ):
                return answers
        raise AssertionError

    refused = two_at_once()[1]
    billing.set_least_tier(team=caller.team, actor=SYSTEM, tier=2, now=timezone.now())
    lifted = two_at_once()[1]
    agree(caller.team, "tiered", requests_per_second=1)
    agreed = two_at_once()[1]

    assert refused.json == {
        "code": "resource-exhausted",
        "error": f"Too many requests for team {caller.team.pk} and model tiered. "
        "Your team's rate limit is - Requests per Second (actual/limit): 1/1.",
        "reason": "rate_limited",
    }
    assert (lifted.status, lifted.headers["x-ratelimit-limit-requests"]) == (200, "500")
    assert agreed.refusal() == (429, "rate_limited")


def test_every_answer_says_how_it_stands_with_the_tightest_limits(world: World) -> None:
    terms = replace(
        EVERYTHING, requests_per_second=500, requests_per_minute=2, tokens_per_minute=1000
    )
    caller = world.caller(terms=terms)

    whole = caller.ask("fifty", **FIFTY)
    stream = caller.ask("fifty", stream=True, **FIFTY)
    refused = caller.ask("fifty", **FIFTY)
    broken = world.caller(terms=terms).ask("error-500")

    reserved = 1000 - GUESSED_TOKENS - 5
    assert limit_headers(whole) == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": str(reserved),
        "x-ratelimit-reset-tokens": "1m0s",
    }
    assert stream.headers["x-ratelimit-remaining-requests"] == "0"
    assert stream.headers["x-ratelimit-remaining-tokens"] == str(reserved - TOKENS)
    assert refused.json["error"] == (
        f"Too many requests for API key {caller.key.redacted}. The key's rate limit is - "
        "Requests per Minute (actual/limit): 2/2."
    )
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-remaining-tokens"] == str(1000 - 2 * TOKENS)
    assert 50 <= int(refused.headers["retry-after"]) <= 61
    wait_ms = int(refused.headers["retry-after-ms"])
    assert int(refused.headers["retry-after"]) - 1 <= wait_ms / 1000
    assert wait_ms / 1000 <= int(refused.headers["retry-after"])
    assert broken.status == 502
    assert broken.headers["x-ratelimit-remaining-requests"] == "1"
    assert limit_headers(world.caller().ask("fifty", **FIFTY)) == {}


def test_a_prompt_that_can_never_fit_is_told_so_and_not_asked_to_wait(world: World) -> None:
    caller = world.caller(terms=replace(EVERYTHING, tokens_per_minute=GUESSED_TOKENS))

    answer = caller.ask("fifty", **FIFTY)

    assert answer.refusal() == (429, "rate_limited")
    assert answer.json["error"].endswith(
        f"Tokens per Minute (actual/limit): 0/{GUESSED_TOKENS}. The prompt alone has about "
        f"{GUESSED_TOKENS} tokens, so this request does not fit however long you wait."
    )
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("hello " * 300, 301), ("7" * 300, 301)],
    ids=["many bytes for a token", "a token for each byte"],
)
def test_a_prompt_reserves_the_tokens_that_it_has_whatever_its_bytes(
    world: World, text: str, tokens: int
) -> None:
    caller = world.caller(terms=replace(EVERYTHING, tokens_per_minute=700))
    ask = {"messages": [{"role": "user", "content": text}], "max_tokens": 5}

    with caller.asking("fifty-gated", **ask), caller.asking("fifty-gated", **ask):
        until(lambda: Hold.of(caller.team).count() == 2, "both to be let in")
        third = caller.ask("fifty", **ask)
        world.upstream.open_gate()

    assert {hold.tokens for hold in Hold.of(caller.team)} == {tokens + 7 + 5}
    assert third.refusal() == (429, "rate_limited")


def test_a_prompt_that_is_nothing_beside_the_limit_is_counted_before_it_is_refused(
    world: World,
) -> None:
    caller = world.caller(terms=replace(EVERYTHING, tokens_per_minute=100_000))
    nearly_all = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 99_500}

    with caller.asking("fifty-gated", **nearly_all):
        until(lambda: Hold.of(caller.team).exists(), "the first to be let in")
        beside = caller.ask("fifty", **FIFTY)
        world.upstream.open_gate()

    assert beside.status == 200


def test_the_openai_client_raises_its_own_error_and_waits_as_long_as_it_is_told(
    world: World, base_url: str
) -> None:
    caller = world.caller(base_url=base_url, terms=replace(EVERYTHING, requests_per_second=1))

    def ask(client: OpenAI, times: int) -> None:
        for _ in range(times):
            client.chat.completions.create(model="ok", messages=MESSAGES)

    with caller.openai as client, pytest.raises(openai.RateLimitError) as refused:
        ask(client, 20)
    with caller.openai.with_options(max_retries=5) as patient:
        ask(patient, 3)

    assert refused.value.response.headers["x-ratelimit-limit-requests"] == "1"
    assert 0 < int(refused.value.response.headers["retry-after-ms"]) <= 1002
    assert most_within(let_in(caller.team), SECOND) == 1
