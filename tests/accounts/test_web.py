"""Where requests come from, in one spelling, and what stored permissions are worth."""

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import Settings

from accounts.actors import UNKNOWN_IP
from accounts.models import Membership
from accounts.rules import MEMBER_PERMISSIONS, Permission
from accounts.web import actor_of, client_ip
from tests.accounts.people import make_person
from tests.factories import make_member, make_team


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("", UNKNOWN_IP),
        ("unknown", UNKNOWN_IP),
        ("203.0.113.7:52110", UNKNOWN_IP),
    ],
)
def test_an_address_has_one_spelling(written: str, meant: str, settings: Settings) -> None:
    assert client_ip(written, "") == meant

    settings.TRUSTED_PROXIES = 1
    assert client_ip("192.0.2.1", f"198.51.100.1, {written or '?'}") == meant


def test_what_a_client_claims_to_come_from_is_believed_as_far_as_own_proxies_wrote_it(
    settings: Settings,
) -> None:
    claimed = "198.51.100.1, 203.0.113.7"

    assert client_ip("192.0.2.1", claimed) == "192.0.2.1"
    settings.TRUSTED_PROXIES = 1
    assert client_ip("192.0.2.1", claimed) == "203.0.113.7"
    settings.TRUSTED_PROXIES = 3
    assert client_ip("192.0.2.1", claimed) == "192.0.2.1"


@pytest.mark.django_db
@pytest.mark.parametrize(("address", "kept"), [("", None), ("fe80::1%eth0", "fe80::1")])
def test_the_log_keeps_no_address_where_none_is_known(address: str, kept: str | None) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=address)

    assert actor_of(request, make_person()).ip == kept


@pytest.mark.django_db
def test_a_sign_in_from_an_address_with_a_zone_works() -> None:
    person, client = make_person(), Client(REMOTE_ADDR="fe80::1%eth0")
    client.force_login(person)

    assert client.get(reverse("accounts:new_team")).status_code == 200
    assert client.get(reverse("default_team"), follow=True).status_code == 200


@pytest.mark.django_db
def test_a_stored_permission_that_no_version_knows_gives_nothing_and_breaks_nothing(
    client: Client,
) -> None:
    team = make_team()
    member = make_member(team, extra=[Permission.USAGE_READ])
    membership = Membership.objects.get(user=member, team=team)
    membership.extra_permissions = ["usage:read", "weather:read", ""]
    membership.save()
    client.force_login(member)

    assert membership.permissions == MEMBER_PERMISSIONS | {Permission.USAGE_READ}
    assert client.get(reverse("home", args=[team.pk])).status_code == 200
