"""The programs of the demo world, and what they ask for from day to day."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from random import Random
from statistics import fmean
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from api_keys import services as api_keys
from billing.services import BillingItem
from gateway import services as gateway
from gateway.rules import ChatRequest
from gateway.services import Admitted, Arrival, Catalog, Outcome

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Program:
    """Something that uses a key: how often, of what, from where."""

    key: str
    owner: str
    models: tuple[str, ...]
    cluster: str
    ips: tuple[str, ...]
    per_day: float
    prompt_tokens: int
    completion_tokens: int
    works_weekends: bool = True


PROGRAMS: Final = (
    Program(
        "web-production", "alice", ("grok-4.6", "grok-4.7"), "us-east-1",
        ("203.0.113.24", "203.0.113.25"), 26, 42_000, 1_700,
    ),
    Program(
        "support-agent", "alice", ("grok-4.5",), "eu-west-1", ("198.51.100.8",), 14, 64_000, 1_500,
    ),
    Program(
        "search-ranking", "bob", ("grok-4-1-fast",), "us-east-1", ("203.0.113.71",),
        20, 110_000, 90,
    ),
    Program(
        "ci-runner", "bob", ("grok-code-fast-1", "grok-build-0.1"), "us-central-1",
        ("192.0.2.140", "192.0.2.141"), 12, 90_000, 5_400, works_weekends=False,
    ),
    Program(
        "bob-notebook", "bob", ("grok-3-mini",), "eu-west-1", ("198.51.100.77",), 3, 12_000, 2_900,
    ),
)  # fmt: skip


def serve(
    begin: datetime,
    end: datetime,
    programs: Sequence[tuple[Program, str]],
    *,
    offers: Catalog,
    chance: Random,
    hours: int,
) -> None:
    """Serve what the programs ask for, a few hours in a batch, as the gateway does."""
    used: dict[tuple[UUID, str], datetime] = {}
    moment = begin
    while moment < end:
        until = min(moment + timedelta(hours=hours), end)
        asking = _asking(moment, (until - moment) / HOUR, programs, chance)
        asked = [(program, _arrival(program, secret, chance)) for program, secret in asking]
        if asked:
            arrived = moment + (until - moment) * chance.random()
            arrivals = [arrival for _, arrival in asked]
            _, answers = gateway.clear([], arrivals, offers=offers, now=arrived)
            outcomes = [
                _outcome(program, answer, chance)
                for (program, _), answer in zip(asked, answers, strict=True)
                if isinstance(answer, Admitted)
            ]
            gateway.clear(outcomes, [], offers=offers, now=arrived + timedelta(seconds=9))
            used |= {(o.admitted.key.id, o.ip): arrived for o in outcomes}
        moment = until
    api_keys.touch(used)


def _asking(
    moment: datetime, hours: float, programs: Sequence[tuple[Program, str]], chance: Random
) -> Iterator[tuple[Program, str]]:
    """Say who asks in these hours: more by day than by night, more with every week."""
    each_hour = [(moment + n * HOUR).hour for n in range(ceil(hours))]
    by_day = fmean(1.6 if 7 <= hour < 21 else 0.4 for hour in each_hour)  # noqa: PLR2004 -- working hours
    for program, secret in programs:
        if moment.weekday() >= 5 and not program.works_weekends:  # noqa: PLR2004 -- a weekend
            continue
        rate = program.per_day * hours / 24 * by_day * (0.6 if moment.weekday() >= 5 else 1.0)  # noqa: PLR2004
        for _ in range(int(rate * chance.uniform(0.5, 1.5) + chance.random())):
            yield program, secret


def _arrival(program: Program, secret: str, chance: Random) -> Arrival:
    prompt = round(program.prompt_tokens * chance.lognormvariate(0, 0.5))
    chat = ChatRequest(
        body={},
        model=chance.choice(program.models),
        max_tokens=program.completion_tokens * 4,
        max_tokens_field="max_tokens",
        choices=1,
        is_stream=chance.random() < 0.7,  # noqa: PLR2004 -- most programs stream
        wants_usage=True,
        prompt_tokens_bound=prompt,
        image_tokens_bound=0,
    )
    return Arrival(uuid7(), secret, chat, prompt_tokens=prompt)


def _outcome(program: Program, admitted: Admitted, chance: Random) -> Outcome:
    prompt = round(program.prompt_tokens * chance.uniform(0.3, 0.9))
    cached = round(prompt * chance.choice((0, 0, 0.4, 0.8)))
    completion = round(program.completion_tokens * chance.lognormvariate(0, 0.4))
    first = round(chance.lognormvariate(5.4, 0.4))
    has_failed = chance.random() < 0.004  # noqa: PLR2004 -- servers do, now and then
    return Outcome(
        admitted=admitted,
        cluster=program.cluster,
        ip=chance.choice(program.ips),
        status=503 if has_failed else 200,
        is_stream=True,
        first_token_ms=None if has_failed else first,
        latency_ms=first + completion * 9,
        quantities=None
        if has_failed
        else {
            BillingItem.PROMPT_TEXT: prompt - cached,
            BillingItem.CACHED_PROMPT_TEXT: cached,
            BillingItem.COMPLETION: min(completion, admitted.max_tokens),
        },
    )
