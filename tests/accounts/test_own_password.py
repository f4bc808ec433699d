"""An account's own password: changed, set where there was none, and in the mails about it."""

import pytest
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts.models import User
from tests.accounts.people import last_mail, make_person, sign_in, sign_up, text_of
from tests.accounts.social import (
    X,
    address_in,
    agree,
    event,
    jack,
    ways,
    without_password,
)
from tests.clients import Browser
from tests.factories import PASSWORD
from tests.providers.oauth import OAuthServer

METHODS = "/account/methods/"
ADD = "/account/methods/add/"
NEW = "quite-another-1"


@pytest.mark.django_db
def test_the_password_is_changed_by_who_knows_it_and_ends_the_other_sessions(
    client: Browser, insider: User
) -> None:
    elsewhere = Browser()
    elsewhere.force_login(insider)

    answer = client.post("/account/password/", {"oldpassword": PASSWORD, "password1": NEW})

    assertRedirects(answer, METHODS)
    assert client.get(METHODS).status_code == 200
    assert elsewhere.get(METHODS).status_code == 302
    by_password = Client()
    sign_in(by_password, insider.email, NEW)
    assert by_password.session[SESSION_KEY] == str(insider.pk)
    changed = event(insider, "ChangePassword")
    assert changed.before != changed.after
    assert NEW not in str(changed.after)
    assert any("was changed" in message.subject for message in mail.outbox)


@pytest.mark.django_db
def test_a_wrong_current_password_changes_nothing(client: Browser, insider: User) -> None:
    page = client.post("/account/password/", {"oldpassword": "wrong", "password1": NEW})

    assert "This is not the current password." in page.content.decode()
    insider.refresh_from_db()
    assert insider.check_password(PASSWORD)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_an_account_without_a_password_sets_one(client: Browser) -> None:
    user = without_password()
    client.force_login(user)
    assertRedirects(client.get("/account/password/"), "/account/password/set/")

    answer = client.post("/account/password/set/", {"password1": NEW})

    assertRedirects(answer, METHODS)
    assert ways(User.objects.get()) == ["Password", "X as @jack"]
    assert event(user, "SetPassword").before == {"sign_in_methods": ["X as @jack"]}
    assert "has a password now" in last_mail().subject
    by_password = Client()
    sign_in(by_password, user.email, NEW)
    assert by_password.session[SESSION_KEY] == str(user.pk)
    assertRedirects(client.get("/account/password/set/"), "/account/password/")


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_second_password_for_one_address_is_refused(client: Browser) -> None:
    person = make_person()
    user = without_password(person.email)
    client.force_login(user)

    page = client.post("/account/password/set/", {"password1": NEW})

    assert f"Another account with the email {person.email} has a password" in text_of(page)
    assert not User.objects.get(pk=user.pk).has_usable_password()
    assert User.objects.get(pk=person.pk).check_password(PASSWORD)
    assert mail.outbox == []


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_who_signed_up_with_the_address_and_never_confirmed_it_stands_in_nobodys_way(
    client: Browser,
) -> None:
    user = without_password()
    sign_up(Client(), user.email, password="known-to-eve-1")
    client.force_login(user)

    assertRedirects(client.post("/account/password/set/", {"password1": NEW}), METHODS)

    eve = Client()
    sign_in(eve, user.email, "known-to-eve-1")
    assert SESSION_KEY not in eve.session


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.usefixtures("x")
def test_setting_a_password_needs_a_recent_proof_and_keeps_none_in_the_session(method: str) -> None:
    late = Browser()
    late.force_login(without_password(), age=16 * 60)

    answer = getattr(late, method)("/account/password/set/", {"password1": NEW})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert NEW not in str(dict(late.session))
    assert not User.objects.get().has_usable_password()


# --- Mails


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_reset_for_an_account_without_a_password_says_how_it_signs_in(client: Client) -> None:
    user = without_password()

    client.post(reverse("account_reset_password"), {"email": user.email})

    body = str(last_mail().body)
    assert "There is an account without a password. Sign in to it with X as @jack" in body


@pytest.mark.django_db
def test_a_mail_says_which_of_two_accounts_with_one_address_it_is_about(
    client: Browser, insider: User, x: OAuthServer
) -> None:
    other = without_password(insider.email)
    client.post("/account/password/", {"oldpassword": PASSWORD, "password1": NEW})
    about_password = last_mail()
    client.force_login(other)
    x.people = jack(id="8", username="second")
    client.get(agree(address_in(client.post(ADD, {"provider": X}))))
    about_x = last_mail()

    assert about_password.to == about_x.to == [insider.email]
    for message, says in (
        (about_password, "signs in with a password."),
        (about_x, "signs in with X as @jack or X as @second."),
    ):
        assert isinstance(message, mail.EmailMultiAlternatives)
        assert says in str(message.body)
        assert says in str(message.alternatives[0][0])


@pytest.mark.django_db
def test_the_forms_that_take_the_own_password_count_wrong_ones_together(insider: User) -> None:
    found, stale = Browser(), Browser()
    found.force_login(insider)
    stale.force_login(insider, age=3600)
    for number in range(3):
        found.post("/account/password/", {"oldpassword": f"guess {number}", "password1": NEW})
        stale.post("/account/security/prove/", {"password": f"guess, too {number}"})

    page = found.post("/account/password/", {"oldpassword": PASSWORD, "password1": NEW})

    assert "Too many wrong passwords. Try again in five minutes." in page.content.decode()
    insider.refresh_from_db()
    assert insider.check_password(PASSWORD)
