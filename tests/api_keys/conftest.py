"""What the tests of API keys share."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from pytest_django import Settings

from accounts.models import Team, User
from tests.api_keys.github import KeyList, Scanner, serving
from tests.factories import make_admin, make_member, make_team


@pytest.fixture
def team() -> Team:
    return make_team()


@pytest.fixture
def alice(team: Team) -> User:
    """Make the admin."""
    return make_admin(team, "Alice Moreau")


@pytest.fixture
def bob(team: Team) -> User:
    """Make the member, whose name comes after Alice's however it is written."""
    return make_member(team, name="bob tanaka")


@pytest.fixture
def key_list(settings: Settings, db: None) -> Iterator[KeyList]:  # noqa: ARG001 -- the cache is in it
    """Serve GitHub's list of keys, which is empty so far."""
    with serving() as listed:
        settings.GITHUB_SECRET_SCANNING_KEYS_URL = listed.url
        cache.clear()
        yield listed


@pytest.fixture
def scanner(key_list: KeyList) -> Scanner:
    """Sign with a key that is on the list."""
    signing = Scanner()
    key_list.keys[signing.id] = signing.pem
    return signing
