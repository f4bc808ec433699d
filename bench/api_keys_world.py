"""Teams with many keys, and how long their pages take. Importing this sets Django up."""

import time
from datetime import timedelta
from hashlib import sha256
from http import HTTPStatus
from itertools import count

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

django.setup()

from accounts import services as accounts  # noqa: E402 -- the models need the settings
from accounts.actors import Actor  # noqa: E402
from accounts.models import Membership, User  # noqa: E402
from api_keys.models import ApiKey, KeyMonth  # noqa: E402
from api_keys.rules import EVERYTHING, TICKS_PER_USD  # noqa: E402
from audit.models import AuditEvent  # noqa: E402

OWNERS = 20
BATCH = 5_000
_serial = count(1)


def prepare() -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)


class Team:
    """A team of 20 people with so many keys, as its admin sees them."""

    def __init__(self, keys: int) -> None:
        now = timezone.now()
        admin = User.objects.create_user(f"admin-{next(_serial)}@example.test")
        self.team = accounts.create_team(
            name="Bench", owner=admin, actor=Actor.for_user(admin), now=now
        )
        owners = [
            User.objects.create_user(f"owner-{next(_serial)}@example.test", name=f"Owner {n}")
            for n in range(OWNERS)
        ]
        Membership.objects.bulk_create(
            Membership(team=self.team, user=owner, joined_at=now) for owner in owners
        )
        self.owner = owners[0]
        for start in range(0, keys, BATCH):
            self._make(range(start, min(start + BATCH, keys)), owners)
        self.key = ApiKey.of(self.team).order_by("pk")[keys // 2]
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.client = Client()
        self.client.force_login(admin)

    def _make(self, numbers: range, owners: list[User]) -> None:
        now = timezone.now()
        keys = ApiKey.across_teams.bulk_create(
            ApiKey(
                team=self.team,
                name=f"key-{number:07}",
                digest=sha256(f"{self.team.pk} {number}".encode()).hexdigest(),
                redacted=f"ck-…{number % 10_000:04}",
                owner=owners[number % OWNERS],
                created_at=now - timedelta(minutes=number),
                modified_at=now,
                acls=list(EVERYTHING.acls),
                expires_at=now + timedelta(days=number % 400 - 40) if number % 3 else None,
                last_used_at=now - timedelta(seconds=number * 7919 % 10**7),
                last_used_ip="203.0.113.24",
            )
            for number in numbers
        )
        month = now.date().replace(day=1)
        KeyMonth.across_teams.bulk_create(
            KeyMonth(
                team=self.team,
                key=key,
                month=month,
                spent_ticks=number * 7919 % 1000 * TICKS_PER_USD,
            )
            for number, key in zip(numbers, keys, strict=True)
        )
        AuditEvent.across_teams.bulk_create(
            AuditEvent(
                team=self.team,
                happened_at=key.created_at,
                operation="CreateApiKey",
                description=f"Created the API key {key.name}",
                actor_kind="system",
                actor_label="Bench",
                target_type="API key",
                target_id=str(key.pk),
                target_label=key.name,
                outcome="done",
                is_change=True,
            )
            for key in keys
        )

    def ask(self, query: str | None) -> tuple[float, int]:
        """Ask for the list, or without a query for a key's page; return seconds and queries."""
        if query is None:
            url = reverse("api_keys:key", args=[self.team.pk, self.key.pk])
        else:
            url = reverse("api_keys:list", args=[self.team.pk])
            url += query.format(owner=self.owner.pk)
        with CaptureQueriesContext(connection) as queries:
            started = time.perf_counter()
            answer = self.client.get(url)
            seconds = time.perf_counter() - started
        if answer.status_code != HTTPStatus.OK:
            raise RuntimeError(f"{url} was answered with {answer.status_code}.")
        return seconds, len(queries)
