"""What staff see of keys: which there are, and nothing to press."""

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from tests.factories import NOON, PASSWORD, make_admin, make_team

pytestmark = pytest.mark.django_db


def enter(client: Client) -> None:
    """Sign in as staff who passed a second factor."""
    staff = User.objects.create_superuser("staff@example.test", PASSWORD)
    factor = Authenticator.objects.create(user=staff, type=Authenticator.Type.TOTP, data={})
    client.force_login(staff)
    session = client.session
    session["otp_device_id"] = f"accounts.factor/{factor.pk}"
    session.save()


def make_key() -> ApiKey:
    team = make_team()
    return api_keys.create(
        team=team, actor=SYSTEM, owner=make_admin(team), name="returns-bot", now=NOON
    ).key


def test_staff_see_keys_but_not_their_digests(client: Client) -> None:
    key = make_key()
    enter(client)

    listed = client.get(reverse("admin:api_keys_apikey_changelist"), {"q": "returns"})
    shown = client.get(reverse("admin:api_keys_apikey_change", args=[key.pk]))

    for page in (listed.content.decode(), shown.content.decode()):
        assert "returns-bot" in page
        assert key.redacted in page
        assert key.digest not in page


def test_staff_cannot_change_keys_here(client: Client) -> None:
    key = make_key()
    enter(client)

    for page in ("change", "delete"):
        there = reverse(f"admin:api_keys_apikey_{page}", args=[key.pk])
        assert client.post(there, {"name": "other", "post": "yes"}).status_code == 403
    assert client.get(reverse("admin:api_keys_apikey_add")).status_code == 403
    assert ApiKey.across_teams.get().name == "returns-bot"
