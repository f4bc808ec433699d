"""Undoing a change of the email, by the link that the old address is mailed."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.models import EmailChange, User
from audit import services as audit
from tests.accounts.email_changes import EMAIL, NEW, addresses, change, event, mail_to, undo_path
from tests.accounts.people import last_mail, make_person, path_in, sign_in, sign_up, text_of
from tests.clients import Browser
from tests.factories import PASSWORD
from tests.races import race


@pytest.mark.django_db
def test_the_old_address_undoes_it_and_ends_every_session(client: Browser, insider: User) -> None:
    old = insider.email
    thief = Client()
    sign_in(thief, old)
    assert thief.get(EMAIL).status_code == 200
    change(client)
    link = undo_path(next(m for m in mail.outbox if "was changed" in m.subject))
    page = text_of(Client().get(link))
    assert old in page
    assert NEW in page
    insider.refresh_from_db()
    assert insider.email == NEW  # Opening the link is not enough: mail scanners open links.

    page = text_of(Client().post(link))

    assert f"Your email is {old} again" in page
    insider.refresh_from_db()
    assert insider.email == old
    assert addresses(insider) == [(old, True)]
    assert thief.get(EMAIL).status_code == 302
    undone = event(insider, "UndoEmailChange")
    assert (undone.before, undone.after) == ({"email": NEW}, {"email": old})
    assert "was changed back" in mail_to(old).subject
    sign_in(thief, NEW)
    assert SESSION_KEY not in thief.session


@pytest.mark.django_db
def test_the_page_that_undid_it_mails_a_link_for_a_new_password(
    client: Browser, insider: User
) -> None:
    old = insider.email
    change(client)
    owner = Client()
    page = text_of(owner.post(undo_path(mail_to(old))))
    assert f'name="email" value="{old}"' in page

    owner.post(reverse("account_reset_password"), {"email": old})

    assert mail_to(old).subject.startswith("Reset your password")


@pytest.mark.django_db
def test_the_link_undoes_once_and_for_seven_days(client: Browser, insider: User) -> None:
    old = insider.email
    change(client)
    link = undo_path(mail_to(old))

    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
        assert Client().post(link).status_code == 404
    Client().post(link)
    again = Client().post(link)

    assert again.status_code == 404
    assert "This link no longer works" in again.content.decode()
    assert Client().get("/account/email/undo/made-up/").status_code == 404


@pytest.mark.django_db
def test_undoing_undoes_all_that_came_after(client: Browser, insider: User) -> None:
    """Or a thief who changed the address twice would change it back by the second link."""
    old = insider.email
    change(client)
    change(client, "thief@example.test")
    of_thief = undo_path(mail_to(NEW))

    Client().post(undo_path(mail_to(old)))

    assert Client().post(of_thief).status_code == 404
    insider.refresh_from_db()
    assert insider.email == old


@pytest.mark.django_db
def test_undoing_forgets_a_change_that_waits(client: Browser, insider: User) -> None:
    old = insider.email
    change(client)
    client.post(EMAIL, {"email": "thief@example.test"})
    waiting = path_in(mail_to("thief@example.test"))

    Client().post(undo_path(mail_to(old)))

    assert Client().post(waiting).status_code == 404
    assert addresses(insider) == [(old, True)]


@pytest.mark.django_db
def test_a_thief_cannot_block_the_way_back_by_signing_up_with_the_old_address(
    client: Browser, insider: User
) -> None:
    old = insider.email
    change(client)
    sign_up(Client(), old, password="known-to-eve-1")

    Client().post(undo_path(next(m for m in mail.outbox if "was changed" in m.subject)))

    insider.refresh_from_db()
    assert insider.email == old
    owner = Client()
    sign_in(owner, old, PASSWORD)
    assert owner.session[SESSION_KEY] == str(insider.pk)


@pytest.mark.django_db
def test_where_somebody_confirmed_the_old_address_since_support_has_to_help(
    client: Browser, insider: User
) -> None:
    old = insider.email
    change(client)
    link = undo_path(mail_to(old))
    somebody = Client()
    sign_up(somebody, old, password="quite-another-1")
    somebody.post(path_in(last_mail()))

    page = Client().post(link)

    assert page.status_code == 409
    assert "By now another account" in page.content.decode()
    insider.refresh_from_db()
    assert insider.email == NEW


@pytest.mark.django_db
def test_only_the_digest_of_the_link_is_kept(client: Browser, insider: User) -> None:
    change(client)
    token = undo_path(mail_to(insider.email)).split("/")[-2]

    row = EmailChange.objects.get()

    assert token not in str(vars(row))
    assert len(token) >= 43


@pytest.mark.django_db(transaction=True)
def test_undone_twice_at_once_it_is_undone_once() -> None:
    cache.clear()
    person = make_person()
    old = person.email
    browser = Browser()
    browser.force_login(person)
    change(browser)
    link = undo_path(mail_to(old))

    answers = race(*[lambda: Client().post(link).status_code] * 2)

    assert set(answers) <= {200, 404}
    team = accounts.personal_team(person)
    assert [e.operation for e in audit.log(team)].count("UndoEmailChange") == 1
