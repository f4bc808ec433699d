"""Changing the email: asked for, confirmed by the new address, told to the old one."""

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import User
from tests.accounts.email_changes import EMAIL, NEW, addresses, change, event, mail_to
from tests.accounts.people import last_mail, make_person, path_in, sign_in, sign_up, text_of
from tests.accounts.social import X, with_x
from tests.clients import Browser
from tests.factories import PASSWORD


@pytest.mark.django_db
def test_nothing_changes_until_the_new_address_confirms(client: Browser, insider: User) -> None:
    old = insider.email

    assertRedirects(client.post(EMAIL, {"email": NEW.upper()}), EMAIL)

    insider.refresh_from_db()
    assert insider.email == old
    assert [message.to for message in mail.outbox] == [[old], [NEW]]
    assert "wants their account" in str(last_mail().body)
    assert f"Waiting for {NEW}" in text_of(client.get(EMAIL))
    signed_in = Client()
    sign_in(signed_in, old)
    assert signed_in.session[SESSION_KEY] == str(insider.pk)
    signed_in = Client()
    sign_in(signed_in, NEW)
    assert SESSION_KEY not in signed_in.session


@pytest.mark.django_db
def test_the_link_puts_the_new_address_in_the_place_of_the_old_one(
    client: Browser, insider: User
) -> None:
    old = insider.email
    client.post(EMAIL, {"email": NEW})
    link = path_in(last_mail())
    assert "wants their account" in text_of(Client().get(link))
    assert old not in text_of(Client().get(link))

    assertRedirects(client.post(link), "/team/default/", fetch_redirect_response=False)

    insider.refresh_from_db()
    assert insider.email == NEW
    assert addresses(insider) == [(NEW, True)]
    changed = event(insider, "ChangeEmail")
    assert (changed.before, changed.after) == ({"email": old}, {"email": NEW})
    told = mail_to(old)
    assert f"from {old} to {NEW}" in str(told.body)
    assert client.session[SESSION_KEY] == str(insider.pk)
    signed_in = Client()
    sign_in(signed_in, NEW)
    assert signed_in.session[SESSION_KEY] == str(insider.pk)
    assert Client().post(link).status_code == 404


@pytest.mark.django_db
def test_the_old_address_is_told_as_soon_as_a_change_is_asked_for(
    client: Browser, insider: User
) -> None:
    client.post(EMAIL, {"email": NEW})

    told = mail_to(insider.email)
    assert "asked to change the email" in told.subject
    assert f"from {insider.email} to {NEW}" in str(told.body)
    assert "calls the change off" in str(told.body)


@pytest.mark.django_db
def test_a_new_password_calls_off_a_change_that_a_thief_asked_for(insider: User) -> None:
    old, thief, owner = insider.email, Browser(), Client()
    thief.force_login(insider)
    thief.post(EMAIL, {"email": NEW})
    link = path_in(mail_to(NEW))
    owner.post(reverse("account_reset_password"), {"email": old})
    form = owner.get(path_in(mail_to(old)), follow=True)

    owner.post(form.request["PATH_INFO"], {"password1": "kangaroo-violin-basalt"})

    assert owner.session[SESSION_KEY] == str(insider.pk)
    assert Client().post(link).status_code == 404
    insider.refresh_from_db()
    assert insider.email == old
    assert addresses(insider) == [(old, True)]
    assert event(insider, "CancelEmailChange").before["waits_for_confirmation"] == NEW


@pytest.mark.django_db
def test_whatever_puts_a_thief_out_calls_off_the_change_that_the_thief_asked_for(
    client: Browser, insider: User, settings: Settings
) -> None:
    app = {"name": "X", "client_id": "x", "secret": "x"}
    settings.SOCIALACCOUNT_PROVIDERS = {X: {"APPS": [app]}}
    with_x(insider)
    new = {"oldpassword": PASSWORD, "password1": "kangaroo-violin-basalt"}
    for path, form in (
        ("/account/sessions/end/", {}),
        ("/account/password/", new),
        ("/account/methods/remove/", {"method": "password"}),
        ("/account/password/set/", {"password1": PASSWORD}),
    ):
        client.post(EMAIL, {"email": NEW})
        assert (NEW, False) in addresses(insider)

        client.post(path, form)

        assert addresses(insider) == [(insider.email, True)], path


@pytest.mark.django_db
def test_a_change_that_is_called_off_while_its_link_is_followed_does_not_happen(
    insider: User,
) -> None:
    actor = Actor.for_user(insider)
    address = accounts.ask_for_email(user=insider, email=NEW, actor=actor, now=timezone.now())
    accounts.forget_pending_email(user=insider, actor=actor, now=timezone.now())

    with pytest.raises(accounts.ChangeForgottenError):
        accounts.change_email(address=address, actor=actor, now=timezone.now())

    assert addresses(insider) == [(insider.email, True)]


@pytest.mark.django_db
def test_in_another_browser_the_link_changes_nothing_before_a_sign_in_to_the_account(
    client: Browser, insider: User
) -> None:
    old = insider.email
    client.post(EMAIL, {"email": NEW})
    link = path_in(last_mail())
    elsewhere = Browser()
    elsewhere.force_login(make_person("Bob"))

    page = text_of(elsewhere.post(link))

    assert "Is this account yours?" in page
    assert addresses(insider) == [(old, True), (NEW, False)]
    assertRedirects(elsewhere.post(link, {"answer": "mine"}), reverse("account_login"))
    assert SESSION_KEY not in elsewhere.session
    assertRedirects(sign_in(elsewhere, old), link)
    elsewhere.post(link)
    assert addresses(insider) == [(NEW, True)]


@pytest.mark.django_db
def test_whoever_reads_the_new_address_and_did_not_ask_calls_the_change_off(
    client: Browser, insider: User
) -> None:
    client.post(EMAIL, {"email": NEW})
    link = path_in(last_mail())

    page = text_of(Client().post(link, {"answer": "not_mine"}))

    assert f"does not get the email <strong>{NEW}</strong>" in page
    assert addresses(insider) == [(insider.email, True)]
    assert event(insider, "CancelEmailChange").actor_kind == "system"
    assert User.objects.get(pk=insider.pk).is_active
    assert client.post(link).status_code == 404


@pytest.mark.django_db
def test_the_form_answers_alike_whoever_has_the_address(client: Browser) -> None:
    other, free = make_person(), Browser()
    for browser in (client, free):
        browser.force_login(make_person())
    free.get(EMAIL)
    client.get(EMAIL)

    with CaptureQueriesContext(connection) as of_unknown:
        unknown = free.post(EMAIL, {"email": NEW})
    with CaptureQueriesContext(connection) as of_known:
        known = client.post(EMAIL, {"email": other.email})

    assert (known.status_code, known.headers["Location"]) == (302, unknown.headers["Location"])
    # As much work, too, so as much time.
    assert len(of_known) == len(of_unknown)
    said = [text_of(browser.get(EMAIL)) for browser in (client, free)]
    own = [User.objects.get(pk=browser.session[SESSION_KEY]).email for browser in (client, free)]
    assert other.email in said[0]
    assert NEW in said[1]
    plain = [
        text.replace(asked, "asked").replace(email, "own")
        for text, asked, email in zip(said, (other.email, NEW), own, strict=True)
    ]
    assert re.sub(r"/team/[-0-9a-f]+/", "", plain[0]) == re.sub(r"/team/[-0-9a-f]+/", "", plain[1])


@pytest.mark.django_db
def test_an_address_with_a_password_is_refused_only_to_who_reads_its_mail(
    client: Browser, insider: User
) -> None:
    old, other = insider.email, make_person()
    client.post(EMAIL, {"email": other.email})

    page = text_of(client.post(path_in(mail_to(other.email)), follow=True))

    assert f"Another account with the email {other.email} has a password" in page
    insider.refresh_from_db()
    assert insider.email == old
    assert f"Waiting for {other.email}" in text_of(client.get(EMAIL))


@pytest.mark.django_db
def test_two_accounts_may_share_an_address_while_one_has_a_password(client: Browser) -> None:
    other = make_person()
    user = User.objects.create_user("jack@example.test", None, name="Jack")
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    client.force_login(user)

    change(client, other.email)

    user.refresh_from_db()
    assert user.email == other.email
    signed_in = Client()
    sign_in(signed_in, other.email)
    assert signed_in.session[SESSION_KEY] == str(other.pk)


@pytest.mark.django_db
def test_who_signed_up_with_the_new_address_and_never_confirmed_it_stands_in_nobodys_way(
    client: Browser, insider: User
) -> None:
    sign_up(Client(), NEW, password="known-to-eve-1")
    change(client)

    insider.refresh_from_db()
    assert insider.email == NEW
    eve = Client()
    sign_in(eve, NEW, "known-to-eve-1")
    assert SESSION_KEY not in eve.session


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["", "x", "alice@", "alice@example", "a b@example.test"])
@pytest.mark.usefixtures("insider")
def test_what_is_no_address_is_refused(client: Browser, email: str) -> None:
    page = client.post(EMAIL, {"email": email})

    assert page.status_code == 200
    assert 'class="error"' in page.content.decode()
    assert mail.outbox == []


@pytest.mark.django_db
def test_the_address_that_one_has_is_refused(client: Browser, insider: User) -> None:
    page = client.post(EMAIL, {"email": insider.email.upper()})

    assert f"{insider.email} is the email of this account already." in page.content.decode()


@pytest.mark.django_db
def test_asking_again_replaces_what_was_asked_before(client: Browser, insider: User) -> None:
    client.post(EMAIL, {"email": NEW})
    first = path_in(last_mail())
    client.post(EMAIL, {"email": "other@example.test"})

    assert Client().post(first).status_code == 404
    assert [email for email, verified in addresses(insider) if not verified] == [
        "other@example.test"
    ]


@pytest.mark.django_db
def test_it_can_be_called_off_and_then_the_link_is_dead(client: Browser, insider: User) -> None:
    client.post(EMAIL, {"email": NEW})
    link = path_in(last_mail())

    assertRedirects(client.post("/account/email/keep/"), EMAIL)

    assert Client().post(link).status_code == 404
    assert addresses(insider) == [(insider.email, True)]
    assert "Waiting" not in text_of(client.get(EMAIL))
    assertRedirects(client.post("/account/email/keep/"), EMAIL)


@pytest.mark.django_db
@pytest.mark.usefixtures("insider")
def test_the_link_is_sent_again_but_not_within_three_minutes(client: Browser) -> None:
    client.post(EMAIL, {"email": NEW})

    page = client.post("/account/email/link/", follow=True)
    assert "less than three minutes ago" in page.content.decode()
    assert [m.to for m in mail.outbox].count([NEW]) == 1

    with time_machine.travel(timezone.now() + timedelta(minutes=4)):
        page = client.post("/account/email/link/", follow=True)
    assert f"We have mailed a link to {NEW}." in page.content.decode()
    assert [m.to for m in mail.outbox].count([NEW]) == 2


@pytest.mark.django_db
def test_changing_needs_a_recent_proof_and_a_form_of_ours(insider: User) -> None:
    late = Browser()
    late.force_login(insider, age=16 * 60)
    strict = Browser(enforce_csrf_checks=True)
    strict.force_login(insider)

    answer = late.post(EMAIL, {"email": NEW})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert strict.post(EMAIL, {"email": NEW}).status_code == 403
    assert addresses(insider) == [(insider.email, True)]


@pytest.mark.django_db
@pytest.mark.usefixtures("insider")
def test_no_mailed_link_carries_the_host_that_the_request_claims(
    client: Browser, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    client.post(EMAIL, {"email": NEW}, headers={"Host": "evil.test"})
    client.post(path_in(last_mail()), headers={"Host": "evil.test"})

    assert len(mail.outbox) == 3
    for message in mail.outbox:
        assert isinstance(message, mail.EmailMultiAlternatives)
        for text in (message.subject, message.body, message.alternatives[0][0]):
            assert "evil.test" not in str(text)
        assert settings.PUBLIC_URL in str(message.body)
