"""The mail before a key expires: a week before, once, and only where somebody needs it."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Membership, Team
from api_keys import services as api_keys
from api_keys import tasks
from api_keys.models import ApiKey
from tests.factories import NOON, make_admin, make_member, make_team
from tests.races import race

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def make_key(days: float = 30, team: Team | None = None) -> ApiKey:
    team = team or make_team()
    terms = api_keys.Terms(expires_at=NOON + days * DAY)
    return api_keys.create(
        team=team, actor=SYSTEM, owner=make_member(team), name="bot", terms=terms, now=NOON
    ).key


def told(day: float) -> int:
    """Run the daily task on a day, and count the mails."""
    before = len(mail.outbox)
    with time_machine.travel(NOON + day * DAY, tick=False):
        tasks.remind_of_expiry(timestamp=0)
    return len(mail.outbox) - before


def test_the_owner_is_mailed_seven_days_before_and_not_again() -> None:
    team = make_team("Larkspur")
    key = make_key(30, team)
    make_admin(team)

    assert [told(day) for day in (0, 22, 23, 24, 29, 30, 31)] == [0, 0, 1, 0, 0, 0, 0]

    (message,) = mail.outbox
    assert key.owner
    assert message.to == [key.owner.email]
    assert message.subject == "API key bot expires on 31 Mar 2026"
    assert "Expires: 31 Mar 2026, 12:00 UTC" in str(message.body)
    assert "Last used: never" in str(message.body)
    assert reverse("api_keys:key", args=[team.pk, key.pk]) in str(message.body)


def test_a_worker_that_was_away_tells_later_than_a_week_before() -> None:
    make_key(30)

    assert told(29.9) == 1


def test_a_key_that_gets_a_later_date_is_told_of_again() -> None:
    key = make_key(30)
    assert told(24) == 1
    key.refresh_from_db()
    key.expires_at = NOON + 60 * DAY
    key.save()

    assert [told(day) for day in (25, 52, 53, 54)] == [0, 0, 1, 0]


@pytest.mark.parametrize("days", [1, 3, 6.9, 7, 7.5])
def test_who_makes_a_key_for_about_a_week_knows_when_it_expires(days: float) -> None:
    make_key(days)

    assert told(0) + told(days - 0.5) == 0


def test_a_key_made_on_the_page_for_seven_days_is_not_told_of_the_next_morning(
    client: Client,
) -> None:
    team = make_team()
    with time_machine.travel(NOON, tick=True):
        client.force_login(make_admin(team))
        made = {"name": "bot", "expires": "7", "key_id": str(uuid4())}
        client.post(reverse("api_keys:create", args=[team.pk]), made)

    key = ApiKey.of(team).get()
    assert key.expires_at == key.created_at + 7 * DAY, "the form and the key know one moment"
    assert told(0.8) + told(6) == 0


@pytest.mark.parametrize("end", [api_keys.disable, api_keys.delete])
def test_a_key_that_nobody_uses_is_not_told_of(end: Callable[..., None]) -> None:
    end(key=make_key(30), actor=SYSTEM, now=NOON)

    assert told(24) == 0


def test_a_blocked_key_is_not_told_of() -> None:
    key = make_key(30)
    api_keys.report_leak(key=key, reporter=api_keys.Reporter.STAFF, actor=SYSTEM, now=NOON)
    mail.outbox.clear()

    assert told(24) == 0


def test_admins_are_told_where_the_owner_has_left_and_nobody_where_there_is_none() -> None:
    team = make_team()
    key, admin = make_key(30, team), make_admin(team)
    Membership.objects.filter(user=key.owner).delete()
    alone = make_key(30)
    Membership.objects.filter(user=alone.owner).delete()

    assert told(24) == 1
    assert mail.outbox[0].to == [admin.email]


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_tell_once() -> None:
    make_key(30)
    now = NOON + 24 * DAY

    race(*[lambda: api_keys.remind_of_expiry(now=now)] * 4)

    assert len(mail.outbox) == 1
