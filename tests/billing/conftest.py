"""A team with an admin who is signed in, at a time that stands still."""

from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.models import Team, User
from tests.factories import NOON, PASSWORD, make_admin, make_team


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
    """Sign in as staff who passed a second factor."""
    user = User.objects.create_superuser("sam@example.test", PASSWORD, name="Sam Support")
    factor = Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client.force_login(user)
    session = client.session
    session["otp_device_id"] = f"accounts.factor/{factor.pk}"
    session.save()
    return client
