"""The page of sessions: where one is signed in, since when and last, and ending it."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services as accounts
from accounts import tasks
from accounts.models import User
from audit import services as audit
from tests.accounts.people import make_person, sign_in
from tests.factories import NOON

PAGE = "/account/sessions/"
END_OTHERS = "/account/sessions/end/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)

pytestmark = pytest.mark.django_db


def browse(person: User, user_agent: str = FIREFOX, ip: str = "81.2.69.142") -> Client:
    """Sign in from somewhere."""
    client = Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=ip)
    sign_in(client, person.email)
    return client


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_each_session_says_where_it_is_and_which_one_this_is(person: User) -> None:
    browse(person, IPHONE, "8.8.8.8")
    here = browse(person)

    page = here.get(PAGE).content.decode()

    assert "Firefox on Linux <span" in page
    assert page.count("This one") == 1
    assert "Safari on iOS" in page
    for place in ("United Kingdom", "United States", "81.2.69.142", "8.8.8.8"):
        assert place in page
    assert page.index("Firefox on Linux") < page.index("Safari on iOS")


def test_one_session_is_ended_and_the_others_stay(person: User) -> None:
    lost, kept, here = browse(person, IPHONE), browse(person), browse(person)
    row = UserSession.objects.get(session_key=lost.session.session_key)

    answer = here.post(f"/account/sessions/{row.pk}/end/", follow=True)

    assert "The session of Safari on iOS has ended." in answer.content.decode()
    assert not is_in(lost)
    assert is_in(kept)
    event = audit.log(accounts.personal_team(person))[0]
    assert event.operation == "EndSession"
    assert event.before == {"sessions": ["Safari on iOS, United Kingdom, 81.2.69.142"]}
    again = here.post(f"/account/sessions/{row.pk}/end/", follow=True)
    assert "That session had already ended." in again.content.decode()


def test_all_others_are_ended_at_once(person: User) -> None:
    others, here = [browse(person), browse(person, IPHONE)], browse(person)

    answer = here.post(END_OTHERS, follow=True)

    assert "2 other sessions ended." in answer.content.decode()
    assert not any(map(is_in, others))
    assert is_in(here)
    assert UserSession.objects.count() == Session.objects.filter(pk=_key(here)).count() == 1
    assert "There was no other session." in here.post(END_OTHERS, follow=True).content.decode()


def test_ending_asks_for_no_proof_but_for_a_form_of_ours(person: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)

    assert strict.get(END_OTHERS).status_code == 405
    assert strict.post(END_OTHERS).status_code == 403


def test_nobody_ends_sessions_of_others(person: User) -> None:
    victim, stranger = browse(person), browse(make_person())
    row = UserSession.objects.get(session_key=_key(victim))

    stranger.post(f"/account/sessions/{row.pk}/end/")
    stranger.post(END_OTHERS)

    assert is_in(victim)


def test_sessions_that_are_over_are_not_listed(person: User) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        expired = browse(person, IPHONE, "8.8.8.8")
        clock.shift(timedelta(days=15))
        here = browse(person)
        UserSession.objects.create(
            user=person, session_key=_key(expired), ip="8.8.8.8", user_agent=IPHONE
        )

        assert "8.8.8.8" not in here.get(PAGE).content.decode()


def test_a_changed_password_ends_the_others_and_they_are_not_listed(person: User) -> None:
    other, here = browse(person, IPHONE, "8.8.8.8"), browse(person)
    form = {
        "oldpassword": "plain-sailing-42",
        "password1": "lanterns-over-the-quay",
        "password2": "lanterns-over-the-quay",
    }

    here.post(reverse("account_change_password"), form)

    assert not is_in(other)
    assert is_in(here)
    page = here.get(PAGE).content.decode()
    assert "8.8.8.8" not in page
    assert "Firefox on Linux <span" in page


def test_a_long_list_costs_no_more_queries_than_a_short_one(
    person: User, django_assert_num_queries: Any
) -> None:
    here = browse(person)
    here.get(PAGE)
    with CaptureQueriesContext(connection) as short:
        here.get(PAGE)
    count = len(short)
    for number in range(8):
        browse(person, ip=f"8.8.8.{number}")

    with django_assert_num_queries(count):
        here.get(PAGE)


# --- Last seen


def test_a_session_is_noted_at_most_every_five_minutes(
    person: User,
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        client = browse(person)
        row = UserSession.objects.get()
        writes = []
        for _ in range(13):
            clock.shift(timedelta(minutes=1))
            with CaptureQueriesContext(connection) as queries:
                client.get("/account/")
            writes.append(any('UPDATE "usersessions' in query["sql"] for query in queries))

        row.refresh_from_db()

    assert [number + 1 for number, wrote in enumerate(writes) if wrote] == [5, 10]
    assert row.last_seen_at == NOON + timedelta(minutes=10)


def test_a_session_that_moves_says_where_it_is_now(person: User) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        client = browse(person)
        clock.shift(timedelta(minutes=6))
        client.get("/account/", REMOTE_ADDR="8.8.8.8")

        assert "United States" in client.get(PAGE).content.decode()


def test_what_is_left_of_ended_sessions_is_deleted_each_day(person: User) -> None:
    gone, here = browse(person), browse(person)
    Session.objects.filter(pk=_key(gone)).delete()

    tasks.clear_sessions(timestamp=0)

    assert [row.session_key for row in UserSession.objects.all()] == [_key(here)]


def _key(client: Client) -> str:
    return str(client.cookies["sessionid"].value)
