"""What pages of usage say while ClickHouse is away."""

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Team
from tests.factories import NOON, make_admin, make_team
from tests.usage.pages import USAGE
from tests.usage.requests import make_record
from tests.usage.stores.conftest import AWAY
from usage import services as usage
from usage.models import UsageFeed

pytestmark = pytest.mark.django_db

SORRY = "Usage cannot be read at the moment"


@pytest.fixture
def team(client: Client, settings: Settings) -> Team:
    """Make a team with usage in a store that has been fed, so that it has to be asked."""
    settings.CLICKHOUSE = AWAY
    UsageFeed.objects.create(store="clickhouse", fed_seq=1)
    team = make_team()
    usage.record([make_record(team, at=NOON)])
    client.force_login(make_admin(team))
    return team


@pytest.mark.parametrize("page", ["usage/", "usage/table.csv", "usage/table.json"])
def test_the_explorer_and_its_files_say_that_usage_cannot_be_read(
    client: Client, team: Team, page: str
) -> None:
    answer = client.get(f"/team/{team.pk}/{page}")

    assert answer.status_code == 503
    assert SORRY in answer.content.decode()


def test_a_change_of_a_control_is_answered_with_the_controls_and_what_is_amiss(
    client: Client, team: Team
) -> None:
    answer = client.get(f"/team/{team.pk}/usage/?dimension=tokens", headers=USAGE)

    part = answer.content.decode().strip()
    assert answer.status_code == 503
    assert part.startswith('<div id="usage"')
    assert SORRY in part
    assert '<option value="tokens" selected>' in part


@pytest.mark.parametrize(
    "page", ["", "usage/requests/", "usage/alerts/", "usage/values/?field=model"]
)
def test_other_pages_and_what_there_is_to_filter_by_do_not_need_it(
    client: Client, team: Team, page: str
) -> None:
    assert client.get(f"/team/{team.pk}/{page}").status_code == 200
