"""What pages of usage say while ClickHouse is away."""

import pytest
from django.test import Client
from pytest_django import Settings

from tests.factories import NOON, make_admin, make_team
from tests.usage.requests import make_record
from tests.usage.stores.conftest import AWAY
from usage import services as usage
from usage.models import UsageFeed

pytestmark = pytest.mark.django_db


def test_the_explorer_says_that_usage_cannot_be_read_and_other_pages_go_on(
    client: Client, settings: Settings
) -> None:
    settings.CLICKHOUSE = AWAY
    UsageFeed.objects.create(store="clickhouse", fed_seq=1)
    team = make_team()
    usage.record([make_record(team, at=NOON)])
    client.force_login(make_admin(team))

    for page in ("usage/", "usage/table.csv", "usage/table.json"):
        answer = client.get(f"/team/{team.pk}/{page}")
        assert answer.status_code == 503, page
        assert "Usage cannot be read at the moment" in answer.content.decode()
    for page in ("", "usage/requests/", "usage/alerts/"):
        assert client.get(f"/team/{team.pk}/{page}").status_code == 200, page
