"""A world to try the console in: people, teams, and 90 days of usage, made through the services.

What is seen afterwards is what these people would see: every number was charged, and every line
of the audit log belongs to something that was done.
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from billing import services as billing
from billing.services import BillingItem, Card, GrantKind
from console import demo_codes, demo_details, demo_keys
from gateway import services as gateway
from gateway.rules import ChatRequest
from gateway.services import Admitted, Arrival, Catalog, Outcome

DAYS: Final = 90
HOURS_AT_ONCE: Final = 3
TEST_CARD: Final = Card(number="4242424242424242", expiry_month=12, expiry_year=2099, cvc="123")
CLUSTERS: Final = ("us-east-1", "eu-west-1", "us-central-1")

# Name, context length, and USD per million prompt, cached prompt and completion tokens: the public
# price list of August 2026, below the long-context threshold.
MODELS: Final[tuple[tuple[str, int, str, str, str], ...]] = (
    ("grok-4.7", 500_000, "2.00", "0.50", "6.00"),
    ("grok-4.6", 500_000, "2.00", "0.50", "6.00"),
    ("grok-4.5", 500_000, "2.00", "0.30", "6.00"),
    ("grok-4.3", 1_000_000, "1.25", "0.20", "2.50"),
    ("grok-build-0.1", 256_000, "1.00", "0.20", "2.00"),
    ("grok-4-1-fast", 2_000_000, "0.20", "0.05", "0.50"),
    ("grok-code-fast-1", 256_000, "0.20", "0.02", "1.50"),
    ("grok-3-mini", 131_072, "0.30", "0.075", "0.50"),
)
# Requests per second and tokens per minute by tier, likewise; a model without is not limited.
OF_LARGE: Final = (
    (150, 172, 208, 312, 500),
    (50_000_000, 53_000_000, 60_000_000, 74_000_000, 100_000_000),
)
OF_OTHERS: Final = (
    (37, 50, 75, 125, 208),
    (10_000_000, 15_000_000, 25_000_000, 45_000_000, 85_000_000),
)
LIMITS: Final = {
    "grok-4.7": OF_LARGE,
    "grok-4.6": OF_LARGE,
    "grok-4.5": OF_LARGE,
    "grok-4.3": OF_OTHERS,
    "grok-build-0.1": OF_OTHERS,
    "grok-4-1-fast": OF_OTHERS,
    "grok-code-fast-1": OF_OTHERS,
}


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


def build(*, now: datetime, hours_at_once: int = HOURS_AT_ONCE) -> dict[str, Any]:
    """Make the demo world, once; return how to get into it.

    So many hours of usage are served in one batch: fewer look more alive, more are made sooner.
    Shapes: `url`, `admin`, `member`, `stranger`, `staff` (each `email` and `password`), `team_id`,
    `api_key`. The secrets are kept in `DATA_DIR/demo.json`, for the owner of the machine alone.
    """
    kept = settings.DATA_DIR / "demo.json"
    if (world := _made_before(kept)) is not None:
        return {"url": settings.PUBLIC_URL, **world}
    start = now - timedelta(days=DAYS)
    password = f"demo-{secrets.token_hex(5)}"
    people = {
        "alice": _person("Alice Moreau", "alice@larkspur.example", password, start),
        "bob": _person("Bob Tanaka", "bob@larkspur.example", password, start),
        "dina": _person("Dina Ferro", "dina@larkspur.example", password, start),
        "charlie": _person("Charlie Okafor", "charlie@juniper.example", password, start),
        "sam": _person("Sam Support", "sam@console.example", password, start, is_staff=True),
    }
    _list_models(start)
    larkspur = _team("Larkspur Labs", people["alice"], start)
    juniper = _team("Juniper", people["charlie"], start)
    if larkspur not in [membership.team for membership in accounts.teams_of(people["bob"])]:
        accounts.add_member(
            team=larkspur,
            user=people["bob"],
            role=Membership.Role.MEMBER,
            extra_permissions=[Permission.USAGE_READ],
            actor=_acting(people["alice"]),
            now=start,
        )
        _fill(larkspur, people, now)
    demo_details.save(larkspur, by=people["alice"], now=start)
    # The processor is asked outside of any transaction, so these stand alone; each happens once.
    for day, usd in ((0, 100), (24, 100), (49, 100), (74, 250)):
        _buy(larkspur, people["alice"], usd, key=day, now=start + timedelta(days=day, hours=9))
    _buy(juniper, people["charlie"], 25, key=60, now=start + timedelta(days=60))
    gateway.agree(
        team=larkspur,
        actor=replace(_acting(people["sam"]), kind=ActorKind.STAFF),
        model_name="grok-4.6",
        requests_per_second=400,
        tokens_per_minute=None,
        now=start + timedelta(days=75),
    )
    with transaction.atomic():
        # Once it has keys it has lived: only the file was lost, or the key deleted.
        if api_keys.names(larkspur):
            secret = _another_key(larkspur, people["alice"], now)
        else:
            secret = _live(larkspur, juniper, people, start=start, now=now, hours=hours_at_once)
        world = {
            "admin": {"email": people["alice"].email, "password": password},
            "member": {"email": people["bob"].email, "password": password},
            "stranger": {"email": people["charlie"].email, "password": password},
            "staff": {"email": people["sam"].email, "password": password},
            "team_id": str(larkspur.pk),
            "api_key": secret,
        }
        _keep(kept, world)
    return {"url": settings.PUBLIC_URL, **world}


def _made_before(path: Path) -> dict[str, Any] | None:
    """Read how to get into the demo world, if it is the one in this database."""
    if not path.exists():
        return None
    world: dict[str, Any] = json.loads(path.read_text())
    digest = api_keys.digest_of(world["api_key"])
    key = api_keys.find([digest], now=timezone.now()).get(digest)
    return world if key and str(key.team_id) == world["team_id"] else None


def _another_key(team: Team, owner: User, now: datetime) -> str:
    made = api_keys.create(team=team, actor=_acting(owner), owner=owner, name="demo", now=now)
    return made.secret


def _keep(path: Path, world: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(world, indent=2))


def _person(name: str, email: str, password: str, now: datetime, *, is_staff: bool = False) -> User:
    person = User.objects.filter(email=email).first()
    if person is None:
        return accounts.add_person(
            email=email,
            password=password,
            name=name,
            is_staff=is_staff,
            is_superuser=is_staff,  # The admin shows others only what a superuser gave them.
            now=now,
        )
    # Left by a run that was interrupted before it could say the password.
    person.set_password(password)
    person.save(update_fields=["password"])
    return person


def _team(name: str, owner: User, now: datetime) -> Team:
    for membership in accounts.teams_of(owner):
        if membership.team.name == name:
            return membership.team
    return accounts.create_team(name=name, owner=owner, actor=_acting(owner), now=now)


def _fill(team: Team, people: dict[str, User], now: datetime) -> None:
    """Let a third person in, who sees what is spent, and have a fourth invited."""
    alice = people["alice"]
    accounts.add_member(
        team=team,
        user=people["dina"],
        role=Membership.Role.MEMBER,
        extra_permissions=[Permission.BILLING_READ, Permission.USAGE_READ, Permission.AUDIT_READ],
        actor=_acting(alice),
        now=now - timedelta(days=40),
    )
    accounts.invite(
        team=team,
        emails=["erin@larkspur.example"],
        role=Membership.Role.MEMBER,
        extra_permissions=[Permission.USAGE_READ],
        actor=_acting(alice),
        now=now - timedelta(days=2),
    )
    for name, ago in (("bob", timedelta(hours=3)), ("dina", timedelta(days=6))):
        members = Membership.objects.filter(team=team, user=people[name])
        members.update(last_seen_at=now - ago)


def _acting(user: User) -> Actor:
    return Actor.for_user(user, ip="203.0.113.24", user_agent="Mozilla/5.0 (demo)")


def _list_models(now: datetime) -> None:
    """Put the price list up: one USD per million tokens is 10,000 ticks per token."""
    for name, context_length, *usd in MODELS:
        prompt, cached, completion = (int(Decimal(price) * 10_000) for price in usd)
        requests_per_second, tokens_per_minute = LIMITS.get(name, ((), ()))
        gateway.offer_in_sandbox(
            name=name,
            context_length=context_length,
            max_output_tokens=8_192,
            prices={
                BillingItem.PROMPT_TEXT: prompt,
                BillingItem.CACHED_PROMPT_TEXT: cached,
                BillingItem.PROMPT_IMAGE: prompt,
                BillingItem.COMPLETION: completion,
                BillingItem.REASONING: completion,
            },
            clusters=CLUSTERS,
            requests_per_second=requests_per_second,
            tokens_per_minute=tokens_per_minute,
            now=now,
        )


def _buy(team: Team, buyer: User, usd: int, *, key: int, now: datetime) -> None:
    actor = _acting(buyer)
    purchase = billing.begin(
        team=team,
        actor=actor,
        amount_cents=usd * 100,
        idempotency_key=f"demo:{key}",
        now=now,
    )
    billing.pay(purchase=purchase, actor=actor, card=TEST_CARD, now=now + timedelta(minutes=2))


def _live(
    larkspur: Team,
    juniper: Team,
    people: dict[str, User],
    *,
    start: datetime,
    now: datetime,
    hours: int,
) -> str:
    """Let the teams live through the days; return the secret of a key that works."""
    billing.grant(
        team=larkspur,
        actor=SYSTEM,
        kind=GrantKind.FREE,
        amount_ticks=50 * billing.TICKS_PER_USD,
        label="Welcome credits",
        idempotency_key="demo:welcome",
        expires_at=start + timedelta(days=180),
        now=start,
    )
    keys = {}
    for number, program in enumerate(PROGRAMS):
        owner = people[program.owner]
        keys[program] = api_keys.create(
            team=larkspur,
            actor=_acting(owner),
            owner=owner,
            name=program.key,
            now=start + timedelta(hours=10, minutes=7 * number),
        )
    charlies = api_keys.create(
        team=juniper,
        actor=_acting(people["charlie"]),
        owner=people["charlie"],
        name="prototype",
        now=start + timedelta(days=60, hours=1),
    )
    serve = partial(
        _serve,
        offers=gateway.catalog(),
        chance=Random(7),  # noqa: S311 -- believable, and the same every time
        hours=hours,
    )
    begin = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=12)
    programs = [(program, keys[program].secret) for program in PROGRAMS]
    end_of_notebook = begin + timedelta(days=DAYS - 9)
    serve(begin, end_of_notebook, programs)
    notebook, _ = programs.pop()
    api_keys.disable(key=keys[notebook].key, actor=_acting(people["bob"]), now=end_of_notebook)
    yesterday = now - timedelta(days=1)
    serve(end_of_notebook, yesterday, programs)
    demo_codes.redeem(larkspur, by=people["alice"], support=people["sam"], now=yesterday)
    serve(yesterday, now, programs)
    side_project = Program(
        "prototype", "charlie", ("grok-4.3",), "eu-west-1", ("198.51.100.200",), 2, 24_000, 1_400
    )
    serve(now - timedelta(days=25), now, [(side_project, charlies.secret)])
    by_name = {program.key: keys[program].key for program in PROGRAMS}
    return demo_keys.limit(by_name, people, now=now)


def _serve(
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
        asking = _asking(moment, (until - moment) / timedelta(hours=1), programs, chance)
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
    by_day = 1.6 if 7 <= moment.hour < 21 else 0.4  # noqa: PLR2004 -- working hours
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
    return Arrival(uuid7(), secret, chat)


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
