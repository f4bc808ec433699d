"""Reports of leaked secrets: a key, what GitHub writes about it, and what it is answered."""

import json
from typing import Any

from django.http import HttpResponse

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyLeak
from api_keys.services import CreatedKey
from tests.factories import NOON, make_member, make_team

WHERE = "https://github.com/larkspur/site/blob/main/settings.py"


def make_key(team: Team | None = None, name: str = "returns-bot") -> CreatedKey:
    team = team or make_team()
    owner = make_member(team)
    return api_keys.create(team=team, actor=SYSTEM, owner=owner, name=name, now=NOON)


def match(token: Any, **rest: Any) -> dict[str, Any]:
    return {"token": token, "type": "console_api_key", "source": "commit", "url": WHERE} | rest


def labels(answer: HttpResponse) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [entry["label"] for entry in json.loads(answer.content)]


def stored(created: CreatedKey) -> ApiKey:
    return ApiKey.across_teams.get(pk=created.key.pk)


def leaks() -> list[dict[str, Any]]:
    columns = ("key_id", "redacted", "reporter", "source", "url")
    return list(KeyLeak.across_teams.order_by("pk").values(*columns))
