"""A team, its admin and a member of it; and a person whose name and address nothing else has."""

import pytest

from accounts import services as accounts
from accounts.models import Team, User
from tests.accounts.erasing import EMAIL, NAME
from tests.factories import NOON, PASSWORD, make_admin, make_member, make_team


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur Labs")


@pytest.fixture
def alice(team: Team) -> User:
    return make_admin(team, name="Alice Moreau")


@pytest.fixture
def bob(team: Team) -> User:
    return make_member(team, name="Bob Tanaka")


@pytest.fixture
def person() -> User:
    return accounts.add_person(email=EMAIL, password=PASSWORD, name=NAME, now=NOON)
