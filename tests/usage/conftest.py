"""A team with an admin who is signed in, and a noon that lasts."""

import pytest
import time_machine
from django.test import Client

from accounts.models import Team, User
from tests.factories import NOON, make_admin, make_team


@pytest.fixture
def at_noon() -> object:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur")


@pytest.fixture
def alice(client: Client, team: Team) -> User:
    """Make an admin of the team, signed in."""
    alice = make_admin(team, "Alice")
    client.force_login(alice)
    return alice
