"""Teams with a year of requests, and the questions people ask. Importing sets Django up."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from itertools import count
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import clickhouse_connect
import django
import numpy as np
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils import timezone

django.setup()

from accounts import services as accounts  # noqa: E402 -- the models need the settings
from accounts.actors import Actor  # noqa: E402
from accounts.models import User  # noqa: E402
from api_keys.models import ApiKey  # noqa: E402
from api_keys.rules import EVERYTHING  # noqa: E402
from usage import services as usage  # noqa: E402
from usage.forms import ExplorerForm  # noqa: E402
from usage.rules import Dimension, Granularity, Wanted  # noqa: E402
from usage.services.explore import explore  # noqa: E402

KEYS: Final = 50
MODELS: Final = [f"model-{number}" for number in range(8)]
CLUSTERS: Final = ["fra-1", "iad-1", "sin-1"]
IPS: Final = [f"203.0.{112 + number // 250}.{number % 250 + 1}" for number in range(500)]
IPS_OF_A_KEY: Final = 20
ZONE: Final = "Europe/Berlin"
YEAR: Final = timedelta(days=365)
CHUNK: Final = 200_000
TAB: Final = "\t"
SHARE_WITH_IMAGE: Final = 0.05
SHARE_FAILED: Final = 0.002
# Ticks per token, in the order of the price list.
PRICES: Final = (2_000, 500, 2_500, 10_000, 10_000)
# What people ask, as the page's address says it; {key} is one of the team's own.
QUESTIONS: Final[dict[str, dict[str, str]]] = {
    "this month by day": {"range": "month"},
    "30 days by day and key": {"range": "30d", "group": "api_key"},
    "90 days by day and model, tokens": {"range": "90d", "group": "model", "dimension": "tokens"},
    "12 months by day and key": {"range": "12m", "granularity": "day", "group": "api_key"},
    "12 months by day and address": {"range": "12m", "granularity": "day", "group": "ip"},
    "12 months by week and cluster": {"range": "12m", "granularity": "week", "group": "cluster"},
    "12 months by month and member": {"range": "12m", "granularity": "month", "group": "member"},
    "12 months, one key, by model": {
        "range": "12m",
        "granularity": "day",
        "group": "model",
        "api_key": "{key}",
    },
    "30 days, one model, by address": {"range": "30d", "group": "ip", "model": MODELS[0]},
    "90 days, one address, by token type": {
        "range": "90d",
        "group": "token_type",
        "dimension": "tokens",
        "ip": IPS[9],
    },
    "7 days by hour and model, requests": {
        "range": "7d",
        "granularity": "hour",
        "group": "model",
        "dimension": "requests",
    },
    "24 hours by quarter and key": {"range": "24h", "granularity": "15m", "group": "api_key"},
}

COLUMN_OF: Final = {
    Dimension.API_KEY: "api_key_id",
    Dimension.MODEL: "model",
    Dimension.CLUSTER: "cluster",
    Dimension.IP: "ip",
}
_serial = count(1)
_clickhouse: Any = None

COPIED: Final = (
    "id, team_id, api_key_id, at, model, cluster, ip, status, streamed, first_token_ms,"
    " latency_ms, cost_ticks, prompt_text, cached_prompt_text, prompt_image, completion, reasoning,"
    " prompt_text_ticks, cached_prompt_text_ticks, prompt_image_ticks, completion_ticks,"
    " reasoning_ticks"
)
SUMMED: Final = (
    "sum(cost_ticks), sum(prompt_text), sum(cached_prompt_text), sum(prompt_image),"
    " sum(completion), sum(reasoning)"
)
RAW_TABLE: Final = f"""
    CREATE TABLE events (
        id UUID, team_id UUID, api_key_id LowCardinality(String), at DateTime64(3, 'UTC'),
        model LowCardinality(String), cluster LowCardinality(String), ip LowCardinality(String),
        status UInt16, streamed Bool, first_token_ms UInt32, latency_ms UInt32, cost_ticks Int64,
        {", ".join(f"{name.strip()} Int64" for name in COPIED.split(",")[12:])}
    ) ENGINE = MergeTree ORDER BY (team_id, at)
"""


def prepare() -> None:
    global _clickhouse  # noqa: PLW0603 -- chdb is one per process
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    now = timezone.now()
    usage.make_partitions(first=now - YEAR, last=now)
    _clickhouse = clickhouse_connect.get_client(interface="chdb")
    _clickhouse.command(RAW_TABLE)


def settle() -> None:
    """Have both databases do now what they do in the minutes after so much was loaded."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    _clickhouse.command("OPTIMIZE TABLE events FINAL")


def sum_up() -> float:
    """Make the sums of all requests that were loaded; return the seconds that it took."""
    started = time.perf_counter()
    usage.rebuild(now=timezone.now())
    return time.perf_counter() - started


def lines(team: UUID, keys: Sequence[str], many: int, until: datetime) -> Iterator[bytes]:
    """Write the year's requests, in the order of time, as PostgreSQL and ClickHouse read them.

    Each key has 20 of the 500 addresses and three of the models, and some keys are used a hundred
    times as much as others.
    """
    random = np.random.default_rng(many)
    begin, step = int((until - YEAR).timestamp() * 1000), YEAR / many / timedelta(milliseconds=1)
    for done in range(0, many, CHUNK):
        size = min(CHUNK, many - done)
        at = begin + ((done + np.arange(size)) * step).astype(int)
        key = (len(keys) * random.random(size) ** 1.6).astype(int)
        units = [
            random.integers(1, 3_000, size),
            random.integers(0, 800, size),
            random.integers(1, 800, size) * (random.random(size) < SHARE_WITH_IMAGE),
            random.integers(1, 500, size),
            random.integers(0, 200, size),
        ]
        ticks = [of * price for of, price in zip(units, PRICES, strict=True)]
        columns = zip(
            at.tolist(),
            [
                text.replace("T", " ")
                for text in np.datetime_as_string(at.astype("datetime64[ms]")).tolist()
            ],
            random.integers(0, 2**62, size).tolist(),
            key.tolist(),
            ((key * 7 + random.integers(0, 3, size)) % len(MODELS)).tolist(),
            random.integers(0, len(CLUSTERS), size).tolist(),
            ((key * 9 + random.integers(0, IPS_OF_A_KEY, size)) % len(IPS)).tolist(),
            np.where(random.random(size) < SHARE_FAILED, 502, 200).tolist(),
            *(column.tolist() for column in (sum(ticks), *units, *ticks)),
            strict=True,
        )
        yield "".join(
            f"{_uuid7(ms, rest)}\t{team}\t{keys[key]}\t{at}\t{MODELS[model]}\t{CLUSTERS[cluster]}"
            f"\t{IPS[ip]}\t{status}\ttrue\t240\t900\t{TAB.join(map(str, numbers))}\n"
            for ms, at, rest, key, model, cluster, ip, status, *numbers in columns
        ).encode()


def _uuid7(ms: int, rest: int) -> str:
    text = f"{ms:012x}7{rest:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-8{text[16:19]}-{text[19:29]}00"


class Team:
    """A team of three people with a year of requests, as its admin sees it."""

    def __init__(self, many: int) -> None:
        now = timezone.now()
        admin = User.objects.create_user(f"admin-{next(_serial)}@example.test", timezone=ZONE)
        self.team = accounts.create_team(
            name="Bench", owner=admin, actor=Actor.for_user(admin), now=now
        )
        owners = [admin] + [
            User.objects.create_user(f"owner-{next(_serial)}@example.test", timezone=ZONE)
            for _ in range(2)
        ]
        made = ApiKey.across_teams.bulk_create(
            ApiKey(
                team=self.team,
                name=f"key-{number:02}",
                digest=sha256(f"{self.team.pk} {number}".encode()).hexdigest(),
                redacted=f"ck-…{number:04}",
                owner=owners[number % len(owners)],
                created_at=now,
                modified_at=now,
                acls=list(EVERYTHING.acls),
            )
            for number in range(KEYS)
        )
        self.keys = [str(key.pk) for key in made]
        self.load_seconds = self._load(many, now)
        self.client = Client()
        self.client.force_login(admin)
        self.admin = admin

    def _load(self, many: int, now: datetime) -> float:
        """Load the requests into PostgreSQL; return the seconds that it took."""
        seconds = 0.0
        for block in lines(self.team.pk, self.keys, many, now):
            started = time.perf_counter()
            with (
                connection.cursor() as cursor,
                cursor.copy(f"COPY usage_usageevent ({COPIED}) FROM STDIN") as copy,
            ):
                copy.write(block)
            seconds += time.perf_counter() - started
            _clickhouse.raw_insert(
                "events", [c.strip() for c in COPIED.split(",")], block, fmt="TSV"
            )
        return seconds

    def ask(self, question: dict[str, str]) -> float:
        """Ask for the whole page; return milliseconds."""
        url = (
            f"{reverse('usage:explorer', args=[self.team.pk])}?{urlencode(self._filled(question))}"
        )
        started = time.perf_counter()
        answer = self.client.get(url)
        seconds = time.perf_counter() - started
        if answer.status_code != HTTPStatus.OK:
            raise RuntimeError(f"{url} was answered with {answer.status_code}.")
        return seconds * 1000

    def totals(self, question: dict[str, str]) -> set[tuple[int, int]]:
        """Ask everyone for the number of requests and their cost; they are to be the same."""
        wanted = self._wanted(question)
        report = explore(self.team, wanted, now=timezone.now())
        raw = [self._raw_postgres(wanted), self._raw_clickhouse(wanted)]
        return {(report.total.requests, report.total.cost_ticks)} | {
            (sum(row[2] for row in rows), sum(row[3] for row in rows)) for rows in raw
        }

    def ask_postgres(self, question: dict[str, str]) -> float:
        return _timed(self._raw_postgres, self._wanted(question))

    def ask_clickhouse(self, question: dict[str, str]) -> float:
        return _timed(self._raw_clickhouse, self._wanted(question))

    def _filled(self, question: dict[str, str]) -> dict[str, str]:
        return {name: value.format(key=self.keys[9]) for name, value in question.items()}

    def _wanted(self, question: dict[str, str]) -> Wanted:
        form = ExplorerForm(
            QueryDict(urlencode(self._filled(question))),
            zone=self.admin.zone,
            now=timezone.now(),
        )
        if not form.is_valid():
            raise RuntimeError(f"{question} is refused: {form.errors}")
        return form.wanted

    def _raw_postgres(self, wanted: Wanted) -> list[tuple[Any, ...]]:
        unit = wanted.granularity.value
        span = (
            "date_bin('15 minutes', at, 'epoch')"
            if wanted.granularity is Granularity.QUARTER
            else f"date_trunc('{unit}', at, '{ZONE}')"
        )
        with connection.cursor() as cursor:
            cursor.execute(self._raw(wanted, span, "usage_usageevent", "%s"), self._bounds(wanted))
            return cursor.fetchall()

    def _raw_clickhouse(self, wanted: Wanted) -> list[tuple[Any, ...]]:
        unit = wanted.granularity.value
        span = f"toStartOfInterval(at, INTERVAL 1 {unit}, '{ZONE}')"
        if wanted.granularity is Granularity.QUARTER:
            span = "toStartOfInterval(at, INTERVAL 15 minute)"
        values = [f"'{value}'" for value in self._bounds(wanted)]
        sql = self._raw(wanted, span, "events", "%s") % tuple(values)
        return list(_clickhouse.query(sql).result_rows)

    def _raw(self, wanted: Wanted, span: str, table: str, value: str) -> str:
        dimension = wanted.group.dimension if wanted.group else None
        group = COLUMN_OF[dimension] if dimension else "1"
        conditions = [f"team_id = {value}", f"at >= {value}", f"at < {value}"] + [
            f"{COLUMN_OF[Dimension(choice.field.value)]} = {value}"
            for choice in wanted.filters.choices
        ]
        return (
            f"SELECT {span} AS span, {group} AS grp, count(*), {SUMMED} FROM {table}"  # noqa: S608
            f" WHERE {' AND '.join(conditions)} GROUP BY 1, 2"
        )

    def _bounds(self, wanted: Wanted) -> list[str]:
        bounds = (wanted.range.begin, wanted.range.end)
        chosen = [choice.values[0] for choice in wanted.filters.choices]
        return [str(self.team.pk), *(f"{at:%Y-%m-%d %H:%M:%S}" for at in bounds), *chosen]


def _timed(ask: Callable[[Wanted], object], wanted: Wanted) -> float:
    started = time.perf_counter()
    ask(wanted)
    return (time.perf_counter() - started) * 1000
