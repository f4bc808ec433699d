"""A team with an admin who is signed in, at a time that stands still."""

from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts.models import Team
from tests.factories import NOON, make_admin, make_team, sign_in_staff


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur Labs")


@pytest.fixture
def alice(team: Team, client: Client) -> Client:
    """Sign the team's admin in."""
    client.force_login(make_admin(team, name="Alice"))
    return client


@pytest.fixture
def staff(client: Client) -> Client:
    return sign_in_staff(client)
