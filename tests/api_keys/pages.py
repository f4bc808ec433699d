"""What people do on the pages of API keys."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from tests.factories import NOON

PART = {"HX-Request": "true", "HX-Target": "api-keys"}


def make_key(team: Team, owner: User, name: str = "returns-bot", *, minutes: int = 0) -> ApiKey:
    now = NOON + timedelta(minutes=minutes)
    return api_keys.create(team=team, actor=SYSTEM, owner=owner, name=name, now=now).key


def url(team: Team, page: str = "list", key: ApiKey | None = None) -> str:
    return reverse(f"api_keys:{page}", args=[team.pk, key.pk] if key else [team.pk])


def create(client: Client, team: Team, name: str = "returns-bot", **data: str) -> Any:
    return client.post(url(team, "create"), {"name": name, "key_id": str(uuid4())} | data)


def stored(key: ApiKey) -> ApiKey:
    return ApiKey.across_teams.get(pk=key.pk)
