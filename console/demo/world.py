"""Who is in the demo world, and what happens to them."""

import json
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from billing import services as billing
from billing.services import GrantKind
from console.demo import buying, codes, details, keys, price_list, traffic
from gateway import services as gateway

DAYS: Final = 90
# So many hours of usage are served in one batch: fewer look more alive, more are made sooner. What
# is seen of the days before the last are mostly their sums.
HOURS_AT_ONCE: Final = 12
HOURS_AT_ONCE_LATELY: Final = 3


def build(*, now: datetime) -> dict[str, Any]:
    """Make the demo world, once; return how to get into it.

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
    price_list.put_up(start)
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
    details.save(larkspur, by=people["alice"], now=start)
    # The processor is asked outside of any transaction, so these stand alone; each happens once.
    for day, usd in ((0, 100), (24, 100), (49, 100), (74, 250)):
        bought_at = start + timedelta(days=day, hours=9)
        buying.buy(larkspur, by=_acting(people["alice"]), usd=usd, key=day, now=bought_at)
    later = start + timedelta(days=60)
    buying.buy(juniper, by=_acting(people["charlie"]), usd=25, key=60, now=later)
    buying.announce_transfer(larkspur, by=_acting(people["alice"]), now=now - timedelta(hours=5))
    gateway.agree(
        team=larkspur,
        actor=replace(_acting(people["sam"]), kind=ActorKind.STAFF),
        model_name="grok-4.6",
        requests_per_second=400,
        tokens_per_minute=None,
        now=start + timedelta(days=75),
    )
    # Not in one transaction: its thousands of ended holds would be read again by each request.
    # Once it has keys it has lived: only the file was lost, or the key deleted.
    if api_keys.names(larkspur):
        secret = _another_key(larkspur, people["alice"], now)
    else:
        secret = _live(larkspur, juniper, people, start=start, now=now)
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


def _live(
    larkspur: Team, juniper: Team, people: dict[str, User], *, start: datetime, now: datetime
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
    made = {}
    for number, program in enumerate(traffic.PROGRAMS):
        owner = people[program.owner]
        made[program] = api_keys.create(
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
        traffic.serve,
        offers=gateway.catalog(),
        chance=Random(7),  # noqa: S311 -- believable, and the same every time
        hours=HOURS_AT_ONCE,
    )
    begin = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=12)
    programs = [(program, made[program].secret) for program in traffic.PROGRAMS]
    end_of_notebook = begin + timedelta(days=DAYS - 9)
    serve(begin, end_of_notebook, programs)
    notebook, _ = programs.pop()
    api_keys.disable(key=made[notebook].key, actor=_acting(people["bob"]), now=end_of_notebook)
    yesterday = now - timedelta(days=1)
    serve(end_of_notebook, yesterday, programs)
    codes.redeem(larkspur, by=people["alice"], support=people["sam"], now=yesterday)
    serve(yesterday, now, programs, hours=HOURS_AT_ONCE_LATELY)
    side_project = traffic.Program(
        "prototype", "charlie", ("grok-4.3",), "eu-west-1", ("198.51.100.200",), 2, 24_000, 1_400
    )
    serve(now - timedelta(days=25), now, [(side_project, charlies.secret)])
    by_name = {program.key: made[program].key for program in traffic.PROGRAMS}
    return keys.limit(by_name, people, now=now)
