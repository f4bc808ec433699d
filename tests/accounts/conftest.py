"""A team, its admin and a member of it."""

import pytest

from accounts.models import Team, User
from tests.factories import make_admin, make_member, make_team


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur Labs")


@pytest.fixture
def alice(team: Team) -> User:
    return make_admin(team, name="Alice Moreau")


@pytest.fixture
def bob(team: Team) -> User:
    return make_member(team, name="Bob Tanaka")
