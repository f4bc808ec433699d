"""Deleting an account for who asked support, and what staff see of how a person signs in."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import EmailChange, Invitation, SignIn, User
from audit import services as audit
from tests.accounts.people import last_mail, make_person
from tests.clients import Browser
from tests.factories import NOON, PASSWORD
from tests.support.door import enter

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Browser) -> User:
    """Sign in as support staff who may change people, and are no superusers."""
    sam = make_person("Sam Support", is_staff=True)
    sam.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    enter(client, sam)
    return sam


def page_of(person: User) -> str:
    return reverse("admin:accounts_user_delete_account", args=[person.pk])


def test_support_starts_the_30_days_says_why_and_the_person_is_mailed(
    client: Browser, staff: User
) -> None:
    person = make_person("Alice Larkspur")
    form = {"confirm": person.email, "reason": "Lost her phone and her codes; ticket 17."}

    answer = client.post(page_of(person), form, follow=True)

    assert "Only the person can take the deletion back." in answer.content.decode()
    person.refresh_from_db()
    assert person.is_leaving
    assert last_mail().to == [person.email]
    assert "Support was asked to delete your account" in last_mail().body
    event = audit.log(accounts.personal_team(person)).get(operation="DeleteAccount")
    assert (event.actor_kind, event.actor_label) == ("staff", staff.name)
    assert event.after
    assert event.after["reason"] == "Lost her phone and her codes; ticket 17."


@pytest.mark.parametrize(
    "form", [{"confirm": "nobody@example.test", "reason": "Asked"}, {"reason": "Asked"}, {}]
)
def test_it_needs_the_persons_email_and_a_reason(
    client: Browser, staff: User, form: dict[str, str]
) -> None:
    person = make_person()

    assert client.post(page_of(person), form).status_code == 200
    assert client.post(page_of(person), {"confirm": person.email}).status_code == 200

    person.refresh_from_db()
    assert not person.is_leaving
    assert staff.is_staff


def test_what_blocks_is_shown_and_cannot_be_passed_by(client: Browser, staff: User) -> None:
    person = make_person()
    accounts.create_team(name="Larkspur", owner=person, actor=SYSTEM, now=NOON)

    page = client.get(page_of(person)).content.decode()
    client.post(page_of(person), {"confirm": person.email, "reason": "Asked"})

    assert "Larkspur has no other admin." in page
    assert 'name="confirm"' not in page
    person.refresh_from_db()
    assert not person.is_leaving
    assert staff.is_staff


def test_nobody_but_the_person_can_take_it_back(client: Browser, staff: User) -> None:
    person = make_person()
    client.post(page_of(person), {"confirm": person.email, "reason": "Asked"})
    change = reverse("admin:accounts_user_change", args=[person.pk])

    assertRedirects(client.get(page_of(person)), change)
    client.post(
        change,
        {
            "is_active": "on",
            "deletion_requested_at_0": "",
            "deletion_requested_at_1": "",
            "memberships-TOTAL_FORMS": "0",
            "memberships-INITIAL_FORMS": "0",
        },
    )

    person.refresh_from_db()
    assert person.is_leaving
    assert staff.is_staff


def test_staff_cannot_delete_superusers_nor_without_permission(
    client: Browser, staff: User
) -> None:
    boss, person = make_person(is_staff=True, is_superuser=True), make_person()
    assert client.get(page_of(boss)).status_code == 403

    staff.user_permissions.clear()

    assert client.get(page_of(person)).status_code == 403
    assert client.post(page_of(person), {"confirm": person.email}).status_code == 403


def test_it_asks_staff_for_proof_when_the_last_is_old(client: Browser, staff: User) -> None:
    client.force_login(staff, age=16 * 60)
    session = client.session
    factor = Authenticator.objects.get(user=staff)
    session["otp_device_id"] = f"accounts.factor/{factor.pk}"
    session.save()

    answer = client.get(page_of(make_person()))

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/account")


def test_an_erased_account_and_one_that_never_was_are_not_there(
    client: Browser, staff: User
) -> None:
    person = make_person()
    accounts.request_deletion(user=person, actor=SYSTEM, now=NOON)
    accounts.erase_due(now=NOON + accounts.GRACE)

    assert client.get(page_of(person)).status_code == 404
    assert client.get(page_of(User(email="x"))).status_code == 404
    page = client.get(reverse("admin:accounts_user_change", args=[person.pk]))
    assert "Delete account" not in page.content.decode()
    assert staff.is_staff


def test_staff_see_how_a_person_signs_in_but_no_secret_and_nothing_to_press(
    client: Browser, staff: User
) -> None:
    person = make_person()
    secret = generate_totp_secret()
    TOTP.activate(person, secret)
    stored = Authenticator.objects.get(user=person).data["secret"]

    page = client.get(reverse("admin:accounts_user_change", args=[person.pk])).content.decode()

    assert "Password" in page
    assert "TOTP Authenticator" in page
    assert "Nobody can remove or reset a second factor, staff included." in page
    assert not [word for word in (secret, stored, "argon2") if word in page]
    assert page_of(person) in page
    assert staff.is_staff


def test_what_is_private_to_people_is_not_in_the_admin() -> None:
    for model in (Invitation, SignIn, EmailChange, Authenticator):
        assert not admin.site.is_registered(model), model


@pytest.mark.parametrize("page", ["password_change", "password_change_done"])
def test_the_admin_has_no_page_of_its_own_that_changes_a_password(
    client: Browser, staff: User, page: str
) -> None:
    before = staff.password
    new = "another-plain-sailing-7"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}

    url = reverse(f"admin:{page}")
    for answer in (client.get(url), client.post(url, form)):
        assert answer.headers["Location"] == reverse("account_change_password")
    staff.refresh_from_db()
    assert staff.password == before
