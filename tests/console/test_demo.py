"""The demo world: made once for a database, and found again by the file with its secrets."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from audit import services as audit
from console import demo
from tests.factories import NOON
from usage import services as usage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def build() -> dict[str, Any]:
    return demo.build(now=NOON)


def requests_of(team: Team) -> int:
    start = NOON.replace(year=2025)
    return usage.requests_between(team, since=start, until=NOON).requests


def test_it_is_made_once_and_found_again() -> None:
    world = build()
    larkspur = Team.objects.get(pk=world["team_id"])
    events = len(audit.log(larkspur))

    assert build() == world
    assert len(audit.log(larkspur)) == events
    bob = User.objects.get(email=world["member"]["email"])
    assert larkspur in [membership.team for membership in accounts.teams_of(bob)]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DEBUG", False, "passwords are printed, so it needs DEBUG=True"),
        ("PAYMENTS", "stripe", "pay with test cards, so it needs PAYMENTS=sandbox"),
    ],
)
def test_it_is_refused_where_it_would_do_harm(
    settings: Settings, name: str, value: object, reason: str
) -> None:
    settings.DEBUG = True
    setattr(settings, name, value)

    with pytest.raises(CommandError, match=reason):
        call_command("demo")

    assert not Team.objects.exists()


def test_nothing_in_it_lies_in_the_future() -> None:
    larkspur = Team.objects.get(pk=build()["team_id"])

    later = NOON + timedelta(days=2)
    assert requests_of(larkspur) > 1000
    assert usage.requests_between(larkspur, since=NOON, until=later).requests == 0


def test_a_file_about_another_database_is_not_believed(tmp_path: Path) -> None:
    foreign = {"team_id": "0" * 32, "api_key": "ck-of-another-database"}
    (tmp_path / "demo.json").write_text(json.dumps(foreign))

    world = build()

    assert User.objects.get(email=world["admin"]["email"]).check_password(
        world["admin"]["password"]
    )
    assert json.loads((tmp_path / "demo.json").read_text())["api_key"] == world["api_key"]


def test_without_its_file_or_its_key_the_world_gets_a_key_but_no_second_history(
    tmp_path: Path,
) -> None:
    world = build()
    larkspur = Team.objects.get(pk=world["team_id"])
    requests = requests_of(larkspur)
    (tmp_path / "demo.json").unlink()

    again = build()

    assert again["team_id"] == world["team_id"]
    [digest] = digests = [api_keys.digest_of(again["api_key"])]
    assert str(api_keys.find(digests, now=NOON)[digest].team_id) == world["team_id"]
    assert requests_of(larkspur) == requests > 0


def test_a_deleted_key_is_replaced() -> None:
    world = build()
    digest = api_keys.digest_of(world["api_key"])
    alice = User.objects.get(email=world["admin"]["email"])
    [membership] = [m for m in accounts.teams_of(alice) if str(m.team_id) == world["team_id"]]
    key = api_keys.visible_to(membership).get(pk=api_keys.find([digest], now=NOON)[digest].id)
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    again = build()

    assert api_keys.find([api_keys.digest_of(again["api_key"])], now=NOON)
