"""The demo world: made once for a database, and found again by the file with its secrets."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from pytest_django import DjangoDbBlocker, Settings

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from audit import services as audit
from console import demo
from tests.factories import NOON
from tests.usage.requests import counted
from tests.worlds import made_once

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,  # noqa: ARG001 -- the database is to be there
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Build the world once: where its file is, and what was returned."""
    folder = tmp_path_factory.mktemp("demo")
    with override_settings(DATA_DIR=folder):
        for world in made_once(build, django_db_blocker):
            yield folder / "demo.json", world


@pytest.fixture
def world(built: tuple[Path, dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """Find the world as its building has left it, with its file."""
    file, world = built
    shutil.copy(file, tmp_path)
    return world


def build() -> dict[str, Any]:
    return demo.build(now=NOON)


def requests_of(team: Team) -> int:
    start = NOON.replace(year=2025)
    return counted(team, start, NOON)[0]


def test_it_is_made_once_and_found_again(world: dict[str, Any]) -> None:
    larkspur = Team.objects.get(pk=world["team_id"])
    events = len(audit.log(larkspur))

    assert build() == world
    assert len(audit.log(larkspur)) == events
    bob = User.objects.get(email=world["member"]["email"])
    assert larkspur in [membership.team for membership in accounts.teams_of(bob)]


def test_nothing_in_it_lies_in_the_future(world: dict[str, Any]) -> None:
    larkspur = Team.objects.get(pk=world["team_id"])

    later = NOON + timedelta(days=2)
    assert requests_of(larkspur) > 1000
    assert counted(larkspur, NOON, later) == (0, 0)


@pytest.mark.usefixtures("world")
def test_a_file_about_another_database_is_not_believed(tmp_path: Path) -> None:
    foreign = {"team_id": "0" * 32, "api_key": "ck-of-another-database"}
    (tmp_path / "demo.json").write_text(json.dumps(foreign))

    world = build()

    assert User.objects.get(email=world["admin"]["email"]).check_password(
        world["admin"]["password"]
    )
    assert json.loads((tmp_path / "demo.json").read_text())["api_key"] == world["api_key"]


def test_without_its_file_or_its_key_the_world_gets_a_key_but_no_second_history(
    world: dict[str, Any], tmp_path: Path
) -> None:
    larkspur = Team.objects.get(pk=world["team_id"])
    requests = requests_of(larkspur)
    (tmp_path / "demo.json").unlink()

    again = build()

    assert again["team_id"] == world["team_id"]
    [digest] = digests = [api_keys.digest_of(again["api_key"])]
    assert str(api_keys.find(digests, now=NOON)[digest].team_id) == world["team_id"]
    assert requests_of(larkspur) == requests > 0


def test_a_deleted_key_is_replaced(world: dict[str, Any]) -> None:
    digest = api_keys.digest_of(world["api_key"])
    alice = User.objects.get(email=world["admin"]["email"])
    [membership] = [m for m in accounts.teams_of(alice) if str(m.team_id) == world["team_id"]]
    key = api_keys.visible_to(membership).get(pk=api_keys.find([digest], now=NOON)[digest].id)
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    again = build()

    assert api_keys.find([api_keys.digest_of(again["api_key"])], now=NOON)
