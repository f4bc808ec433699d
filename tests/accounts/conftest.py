"""A team, its admin and a member of it; a person of their own, signed in or not; and an X."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from accounts import services as accounts
from accounts.models import Team, User
from tests.accounts.erasing import EMAIL, NAME
from tests.accounts.proving import HOUR
from tests.accounts.social import jack, x_settings
from tests.clients import Browser
from tests.factories import NOON, PASSWORD, make_admin, make_member, make_team
from tests.providers.oauth import OAuthServer, oauth_server


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
    """Be somebody whose name and address nothing else has."""
    return accounts.add_person(email=EMAIL, password=PASSWORD, name=NAME, now=NOON)


@pytest.fixture
def insider(client: Browser, person: User) -> User:
    """Be the same person, signed in to `client`."""
    client.force_login(person)
    return person


@pytest.fixture
def own(person: User) -> Team:
    """Be the team that the person has alone."""
    return accounts.personal_team(person)


@pytest.fixture
def browser(person: User) -> Browser:
    """Open a browser in which the person has just signed in."""
    browser = Browser()
    browser.force_login(person)
    return browser


@pytest.fixture
def stale(person: User) -> Browser:
    """Open a browser in which the person signed in an hour ago."""
    browser = Browser()
    browser.force_login(person, age=HOUR)
    return browser


@pytest.fixture
def x(settings: Settings) -> Iterator[OAuthServer]:
    """Be an X that people sign in by, and in which Jack has confirmed his address."""
    with oauth_server() as server:
        server.people = jack(confirmed_email="Jack@example.test")
        settings.SOCIALACCOUNT_PROVIDERS = x_settings(server)
        yield server
