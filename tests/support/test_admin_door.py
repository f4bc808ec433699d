"""The door of /admin/: staff with a second factor, through the console's own sign-in."""

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import Team, User
from audit import services as audit
from tests.accounts.people import make_person
from tests.support.door import enter

pytestmark = pytest.mark.django_db
# What the page sends for the list of memberships, which nobody edits.
NO_MEMBERSHIPS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


@pytest.mark.parametrize("page", ["/admin/", "/admin/accounts/user/"])
def test_visitors_are_led_through_the_consoles_sign_in_and_back(client: Client, page: str) -> None:
    answer = client.get(page, follow=True)

    assert answer.redirect_chain[-1][0] == f"{reverse('account_login')}?next={page}"


def test_the_admin_has_no_sign_in_form_of_its_own(client: Client) -> None:
    staff = make_person(is_staff=True)

    client.post("/admin/login/", {"username": staff.email, "password": "plain-sailing-42"})

    assert SESSION_KEY not in client.session


def test_customers_are_turned_away(client: Client) -> None:
    client.force_login(make_person())

    answer = client.get("/admin/", follow=True)

    assert answer.status_code == 403
    assert "The admin is for support staff." in answer.content.decode()


def test_staff_with_a_password_alone_are_turned_away(client: Client) -> None:
    client.force_login(make_person(is_staff=True))

    answer = client.get("/admin/", follow=True)

    assert answer.status_code == 403
    assert "second factor" in answer.content.decode()


def test_staff_who_passed_a_factor_come_in(client: Client) -> None:
    enter(client, make_person(is_staff=True))

    assert client.get("/admin/").status_code == 200
    assertRedirects(client.get("/admin/login/"), "/admin/")


def test_with_debug_staff_without_a_factor_may_try_it_but_not_pass_by_one_they_have(
    client: Client, settings: Settings
) -> None:
    settings.DEBUG = True
    staff = make_person(is_staff=True)
    client.force_login(staff)
    assert client.get("/admin/").status_code == 200

    Authenticator.objects.create(user=staff, type=Authenticator.Type.TOTP, data={})

    assert client.get("/admin/", follow=True).status_code == 403


def test_signing_out_of_the_admin_needs_a_post_and_ends_the_session(client: Client) -> None:
    enter(client, make_person(is_staff=True))
    assert client.get("/admin/logout/").status_code == 405

    client.post("/admin/logout/")

    assert SESSION_KEY not in client.session


def test_nobody_can_touch_factors_sessions_or_ways_to_sign_in_of_others() -> None:
    listed = {model._meta.app_label for model in admin.site._registry}

    assert not listed & {"account", "mfa", "socialaccount", "usersessions"}


@pytest.mark.parametrize("model", [User, Team])
def test_people_and_teams_can_be_found_and_opened(
    client: Client, model: type[User] | type[Team]
) -> None:
    staff = make_person("Sam Support", is_staff=True, is_superuser=True)
    enter(client, staff)
    row = model._default_manager.get()

    pages = f"/admin/accounts/{model.__name__.lower()}/"

    assert "Sam Support" in client.get(f"{pages}?q={staff.email}").content.decode()
    page = client.get(f"{pages}{row.pk}/change/")

    assert page.status_code == 200
    assert "argon2" not in page.content.decode()
    assert client.get(f"{pages}add/").status_code == 403
    assert client.get(f"{pages}{row.pk}/delete/").status_code == 403


def test_staff_can_close_an_account_but_make_nobody_staff(client: Client) -> None:
    staff, person = make_person(is_staff=True), make_person()
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    enter(client, staff)
    form = {"is_staff": "on", "is_superuser": "on", **NO_MEMBERSHIPS}

    client.post(f"/admin/accounts/user/{person.pk}/change/", form)

    person.refresh_from_db()
    assert (person.is_active, person.is_staff, person.is_superuser) == (False, False, False)


def test_the_log_of_a_person_tells_what_staff_changed_about_them(client: Client) -> None:
    boss, person = make_person("Sam", is_staff=True, is_superuser=True), make_person()
    enter(client, boss)
    permission = Permission.objects.get(codename="view_team")
    form = {"is_staff": "on", "user_permissions": [permission.pk], **NO_MEMBERSHIPS}

    for _ in range(2):
        client.post(f"/admin/accounts/user/{person.pk}/change/", form)

    log = audit.log(accounts.personal_team(person))
    [event] = [event for event in log if event.operation == "UpdatePerson"]
    assert (event.actor_kind, event.actor_label) == ("staff", "Sam")
    assert event.before == {"is_active": True, "is_staff": False, "user_permissions": []}
    assert event.after == {
        "is_active": False,
        "is_staff": True,
        "user_permissions": ["accounts.view_team"],
    }


def test_staff_cannot_close_the_account_of_a_superuser(client: Client) -> None:
    staff = make_person(is_staff=True)
    boss = make_person(is_staff=True, is_superuser=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    enter(client, staff)

    client.post(f"/admin/accounts/user/{boss.pk}/change/", NO_MEMBERSHIPS)

    boss.refresh_from_db()
    assert boss.is_active
