"""What staff see of the audit log: everything, and nothing to press."""

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import User
from audit import services as audit
from tests.factories import NOON, PASSWORD, make_team

pytestmark = pytest.mark.django_db


def enter(client: Client) -> None:
    """Sign in as staff who passed a second factor."""
    staff = User.objects.create_superuser("staff@example.test", PASSWORD)
    factor = Authenticator.objects.create(user=staff, type=Authenticator.Type.TOTP, data={})
    client.force_login(staff)
    session = client.session
    session["otp_device_id"] = f"accounts.factor/{factor.pk}"
    session.save()


def test_staff_look_events_up_and_cannot_touch_them(client: Client) -> None:
    team = make_team()
    audit.record(
        team=team, actor=SYSTEM, operation="RenameTeam", description="Renamed the team", now=NOON
    )
    event = audit.log(team).get()
    enter(client)

    listed = client.get(reverse("admin:audit_auditevent_changelist"), {"q": str(team.pk)})
    shown = client.get(reverse("admin:audit_auditevent_change", args=[event.pk]))

    assert "Renamed the team" in listed.content.decode()
    assert "Renamed the team" in shown.content.decode()
    for page in ("change", "delete"):
        there = reverse(f"admin:audit_auditevent_{page}", args=[event.pk])
        assert client.post(there, {"post": "yes"}).status_code == 403
    assert client.get(reverse("admin:audit_auditevent_add")).status_code == 403
    assert audit.log(team).get() == event
