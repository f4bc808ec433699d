"""Resetting a password: by a mailed link that works once, and tells strangers nothing."""

from datetime import timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import User
from audit import services as audit
from tests.accounts.people import last_mail, make_person, path_in, sign_in, sign_up, text_of
from tests.accounts.social import with_x

RESET = "/accounts/password/reset/"
SENT = "/accounts/password/reset/done/"
LANDING = "/team/default/"
NEW = "quite-another-1"


def set_password(client: Client, link: str, password: str = NEW) -> None:
    form = client.get(link, follow=True)
    client.post(form.request["PATH_INFO"], {"password1": password})


@pytest.mark.django_db
def test_the_mailed_link_sets_the_password_and_signs_in(client: Client) -> None:
    person = make_person()
    elsewhere = Client()
    sign_in(elsewhere, person.email)
    assertRedirects(client.post(RESET, {"email": person.email.upper()}), SENT)

    set_password(client, path_in(last_mail()))

    assert client.session[SESSION_KEY] == str(person.pk)
    # Who was signed in before is not any more.
    assert elsewhere.get(LANDING).headers["Location"].startswith(reverse("account_login"))
    assertRedirects(sign_in(Client(), person.email, NEW), LANDING, fetch_redirect_response=False)
    assert "was changed" in last_mail().subject
    log = audit.log(accounts.personal_team(person))
    assert "ResetPassword" in {event.operation for event in log}


@pytest.mark.django_db
def test_the_link_works_once(client: Client) -> None:
    person = make_person()
    client.post(RESET, {"email": person.email})
    link = path_in(last_mail())
    set_password(client, link)

    page = Client().get(link, follow=True)

    assert "This link no longer works" in page.content.decode()


@pytest.mark.django_db
def test_the_link_works_for_three_hours(client: Client) -> None:
    person = make_person()
    client.post(RESET, {"email": person.email})
    link = path_in(last_mail())

    with time_machine.travel(timezone.now() + timedelta(hours=3, minutes=1)):
        page = client.get(link, follow=True)

    assert "This link no longer works" in page.content.decode()


@pytest.mark.django_db
def test_a_made_up_link_is_refused_whatever_it_says(client: Client) -> None:
    for link in (f"{RESET}key/zz-abc-123/", f"{RESET}key/{make_person().pk.hex}-abc-123/"):
        page = client.get(link, follow=True)

        assert "This link no longer works" in page.content.decode()


@pytest.mark.django_db
def test_an_unknown_address_gets_the_same_answer_and_a_mail_that_says_so(client: Client) -> None:
    person = make_person()

    known = client.post(RESET, {"email": person.email}, follow=True)
    unknown = client.post(RESET, {"email": "nobody@example.test"}, follow=True)

    assert known.redirect_chain == unknown.redirect_chain
    assert text_of(known) == text_of(unknown)
    assert [message.to for message in mail.outbox] == [[person.email], ["nobody@example.test"]]
    assert "There is no account" in str(last_mail().body)


@pytest.mark.django_db
def test_an_account_without_a_password_is_not_given_one(client: Client) -> None:
    person = make_person()
    other = User.objects.create_user(person.email, None)
    EmailAddress.objects.create(user=other, email=person.email, primary=True, verified=True)

    client.post(RESET, {"email": person.email})

    assert len(mail.outbox) == 1
    set_password(client, path_in(last_mail()))
    other.refresh_from_db()
    assert not other.has_usable_password()
    assert client.session[SESSION_KEY] == str(person.pk)


@pytest.mark.django_db
def test_an_account_that_never_confirmed_the_address_has_no_say_in_the_mail(client: Client) -> None:
    user = User.objects.create_user("alice@example.test", None)
    EmailAddress.objects.create(user=user, email=user.email, primary=True)
    with_x(user, name="you, once you open http://evil.test")

    client.post(RESET, {"email": "alice@example.test"})

    assert "evil.test" not in str(last_mail().body)
    EmailAddress.objects.update(verified=True)
    client.post(RESET, {"email": "alice@example.test"})
    assert "X as you" in str(last_mail().body)


@pytest.mark.django_db
def test_the_link_confirms_the_address_it_was_mailed_to(client: Client) -> None:
    sign_up(Client(), "alice@example.test")
    client.post(RESET, {"email": "alice@example.test"})

    set_password(client, path_in(last_mail()))

    assertRedirects(
        sign_in(Client(), "alice@example.test", NEW), LANDING, fetch_redirect_response=False
    )


@pytest.mark.django_db
def test_a_weak_new_password_is_refused_and_the_old_one_stays(client: Client) -> None:
    person = make_person()
    client.post(RESET, {"email": person.email})

    set_password(client, path_in(last_mail()), "short")

    assertRedirects(sign_in(Client(), person.email), LANDING, fetch_redirect_response=False)


@pytest.mark.django_db
def test_mailed_links_never_carry_the_host_that_the_request_claims(
    client: Client, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    person = make_person()
    forged = {"Host": "evil.test", "X-Forwarded-Host": "evil.test"}

    client.post(RESET, {"email": person.email}, headers=forged)
    client.post(RESET, {"email": "nobody@example.test"}, headers=forged)
    for email in (person.email, "bob@example.test"):
        form = {"name": "Bob", "email": email, "password1": NEW}
        client.post(reverse("account_signup"), form, headers=forged)

    assert len(mail.outbox) == 4
    for message in mail.outbox:
        assert isinstance(message, mail.EmailMultiAlternatives)
        for text in (message.subject, message.body, message.alternatives[0][0]):
            assert "evil.test" not in str(text)
        assert settings.PUBLIC_URL in str(message.body)


@pytest.mark.django_db
def test_nobody_fills_a_mailbox_with_links(client: Client) -> None:
    person = make_person()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for number in range(20):
            Client(REMOTE_ADDR=f"203.0.113.{number}").post(RESET, {"email": person.email})
            clock.shift(timedelta(minutes=1))
        answer = client.post(RESET, {"email": person.email})
        assert answer.status_code == 429
        assert "try tomorrow" in answer.content.decode()
        assert len(mail.outbox) == 20
        # Another address is not held up by it, and the next day nobody is.
        client.post(RESET, {"email": "nobody@example.test"})
        clock.shift(timedelta(days=1))
        client.post(RESET, {"email": person.email})

    assert len(mail.outbox) == 22
