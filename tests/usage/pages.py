"""Pages of the usage explorer as tests ask for them and read them."""

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

from django.test import Client
from django.urls import reverse
from plotly import graph_objects  # type: ignore[import-untyped]

from accounts.actors import Actor
from accounts.models import Team, User
from api_keys import services as api_keys
from tests.factories import NOON, make_team
from tests.usage.requests import make_record
from usage import services as usage

USAGE = {"HX-Request": "true", "HX-Target": "usage"}
KEYS = [UUID(int=number + 1) for number in range(3)]
MODELS, CLUSTERS, IPS = ["atlas-70b", "atlas-8b"], ["fra-1", ""], ["203.0.113.7", "2001:db8::1"]


def usage_url(team: Team) -> str:
    return reverse("usage:explorer", args=[team.pk])


def show(client: Client, team: Team, **query: str) -> str:
    response = client.get(usage_url(team), query)
    assert response.status_code == 200
    return unescape(response.content.decode())


def table(page: str) -> list[list[str]]:
    """Read the cells of the table, row by row, as text."""
    return [
        [
            " ".join(re.sub(r"<[^>]+>", "", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    ]


def figure(page: str) -> dict[str, Any]:
    """Read the chart, and have Plotly check it, for which a page has no time."""
    found = re.search(r'<script id="usage-figure" type="application/json">(.*?)</script>', page)
    assert found
    parsed: dict[str, Any] = json.loads(found[1])
    graph_objects.Figure(parsed)
    return parsed


def create_key(team: Team, owner: User, name: str) -> Any:
    actor = Actor.for_user(owner)
    return api_keys.create(team=team, actor=actor, owner=owner, name=name, now=NOON).key


def shown(page: str) -> list[str]:
    """Read the heads of the table's rows."""
    return [row[0] for row in table(page)[1:-1]]


def cards(page: str) -> dict[str, str]:
    found = re.findall(r"<div><dt>(.*?)</dt><dd[^>]*>(.*?)</dd><dd>(.*?)</dd></div>", page)
    return {name: re.sub(r"<[^>]+>", "", f"{value}|{remark}") for name, value, remark in found}


def read_csv(client: Client, team: Team, **query: str) -> list[dict[str, str]]:
    response = client.get(reverse("usage:table_csv", args=[team.pk]), query)
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def read_json(client: Client, team: Team, **query: str) -> dict[str, Any]:
    response = client.get(reverse("usage:table_json", args=[team.pk]), query)
    assert response.status_code == 200
    parsed: dict[str, Any] = response.json()
    return parsed


def record_mixed(team: Team) -> list[Any]:
    """Record requests of every kind over two days."""
    records = [
        make_record(
            team,
            key_id=KEYS[n % 3],
            model=MODELS[n % 2],
            cluster=CLUSTERS[n % 5 == 0],
            ip=IPS[n % 4 == 0],
            at=NOON - timedelta(hours=3 * n),
            items=[
                ("prompt_text", 100 + n, 10_000_000_000 + n),
                ("cached_prompt_text", 10, 7),
                ("completion", n, 3_000_000_001 * n),
            ],
        )
        for n in range(16)
    ]
    usage.record(records)
    usage.record([make_record(make_team(), items=[("prompt_text", 5, 99_000_000_000)])])
    return records
