"""Alerts: a mail, once per hour or day, when something costs more than its person wants."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Membership, Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from tests.factories import NOON, make_admin, make_member, make_team
from tests.races import race
from tests.usage.alerting import HOUR, change, set_alert, usd
from tests.usage.requests import make_record
from usage import services as usage
from usage.models import UsageAlertMail
from usage.rules.alerts import days_at, hours_at

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def alice(team: Team) -> User:
    return make_admin(team, name="Alice")


def spend(team: Team, amount: float, *, at: datetime = NOON, **fields: Any) -> None:
    items = (("prompt_text", 1, usd(amount)),)
    usage.record([make_record(team, items=items, at=at, **fields)])


def told(now: datetime) -> list[str]:
    """Run the job of each minute, and say whom it mailed and with which subjects."""
    before = len(mail.outbox)
    usage.send_alerts(now=now)
    return [f"{message.to[0]}: {message.subject}" for message in mail.outbox[before:]]


# --- When it tells


def test_a_day_that_costs_more_is_told_once_with_the_figure_and_the_way_to_it(
    team: Team, alice: User
) -> None:
    set_alert(team, alice)
    spend(team, 50)
    assert told(NOON + MINUTE) == []
    spend(team, 2.1)

    assert told(NOON + 2 * MINUTE) == [
        f"{alice.email}: Larkspur: The team cost more than $50.00 on 1 Mar 2026"
    ]
    body = str(mail.outbox[-1].body)
    assert "The team cost $52.10 on 1 Mar 2026 (UTC), more than $50.00 per day." in body
    assert f"{reverse('usage:explorer', args=[team.pk])}?from=2026-03-01&to=2026-03-01" in body
    spend(team, 100)
    assert told(NOON + 3 * MINUTE) == []


def test_each_hour_and_each_day_is_told_anew(team: Team, alice: User) -> None:
    set_alert(team, alice, 1, per="hour")
    set_alert(team, alice, 3, per="day")
    mails = []
    for hours in range(3):
        spend(team, 2, at=NOON + hours * HOUR)
        words = told(NOON + hours * HOUR + MINUTE)
        mails.append(sorted(one.partition("Larkspur: ")[2] for one in words))

    hour = "The team cost more than $1.00 from {} on 1 Mar 2026"
    assert mails == [
        [hour.format("12:00 to 13:00")],
        [hour.format("13:00 to 14:00"), "The team cost more than $3.00 on 1 Mar 2026"],
        [hour.format("14:00 to 15:00")],
    ]
    spend(team, 4, at=NOON + DAY)
    assert len(told(NOON + DAY + MINUTE)) == 2


def test_a_form_that_is_sent_twice_sets_one_alert_and_one_of_another_team_no_other_s(
    team: Team, alice: User
) -> None:
    first = set_alert(team, alice)
    assert set_alert(team, alice, alert_id=first.pk) == first

    other = make_team()
    theirs = set_alert(other, make_admin(other), alert_id=first.pk)

    assert (theirs.team, theirs.pk == first.pk) == (other, False)


def test_an_alert_sees_only_what_it_watches(team: Team, alice: User) -> None:
    created = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON)
    spend(team, 1, model="atlas-8b", key_id=created.key.pk)
    set_alert(team, alice, 10, watched="api_key", value=str(created.key.pk))
    set_alert(team, alice, 20, watched="model", value="atlas-8b")
    spend(make_team(), 100, model="atlas-8b")
    spend(team, 30, model="wide-70b")
    assert told(NOON + MINUTE) == []

    spend(team, 12, model="wide-70b", key_id=created.key.pk)
    assert ["The API key bot" in one for one in told(NOON + MINUTE)] == [True]
    assert f"api_key={created.key.pk}" in str(mail.outbox[-1].body)
    spend(team, 20, model="atlas-8b")
    assert ["The model atlas-8b" in one for one in told(NOON + MINUTE)] == [True]


def test_what_comes_late_is_told_of_the_day_that_it_belongs_to(team: Team, alice: User) -> None:
    set_alert(team, alice, 5)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    told(midnight + MINUTE)
    spend(team, 6, at=midnight - timedelta(seconds=1))

    [late] = told(midnight + 2 * MINUTE)
    assert late.endswith("on 1 Mar 2026")


def test_a_new_alert_does_not_tell_of_what_was_over(team: Team, alice: User) -> None:
    spend(team, 100, at=NOON - DAY)
    spend(team, 100, at=NOON - 2 * HOUR)
    set_alert(team, alice, 5, per="hour", now=NOON)
    assert told(NOON + MINUTE) == []

    # The day that is not over counts whole.
    set_alert(team, alice, 5, now=NOON)
    assert len(told(NOON + MINUTE)) == 1


def test_an_alert_that_is_raised_tells_again_and_one_that_is_lowered_at_once(
    team: Team, alice: User
) -> None:
    alert = set_alert(team, alice, 10)
    spend(team, 12)
    assert len(told(NOON + MINUTE)) == 1
    change(alert, 20, now=NOON + 2 * MINUTE)
    assert told(NOON + 3 * MINUTE) == []
    spend(team, 10)
    assert len(told(NOON + 4 * MINUTE)) == 1

    change(alert, 15, now=NOON + 5 * MINUTE)
    assert len(told(NOON + 6 * MINUTE)) == 1
    # What changes only who is told tells nothing twice.
    change(alert, 15, to_admins=True, now=NOON + 7 * MINUTE)
    assert told(NOON + 8 * MINUTE) == []


def test_a_key_that_is_deleted_is_watched_to_the_end(team: Team, alice: User) -> None:
    created = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON)
    alert = set_alert(team, alice, 5, watched="api_key", value=str(created.key.pk))
    api_keys.delete(key=created.key, actor=SYSTEM, now=NOON)
    spend(team, 6, key_id=created.key.pk)

    assert len(told(NOON + MINUTE)) == 1
    [shown] = usage.alerts(team)
    assert (shown.name, shown.is_deleted) == ("bot", True)
    change(alert, 7, watched="api_key", value=str(created.key.pk), now=NOON)


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_once(team: Team, alice: User) -> None:
    for amount in range(1, 11):
        set_alert(team, alice, amount)
    spend(team, 20)

    def work() -> None:
        usage.send_alerts(now=NOON + MINUTE)

    assert race(work, work) == [None, None]
    assert len(mail.outbox) == UsageAlertMail.of(team).count() == 10


def test_hours_in_which_nobody_looked_are_told_of_in_one_mail(team: Team, alice: User) -> None:
    set_alert(team, alice, 5, per="hour", now=NOON - 2 * DAY)
    for hours in (30, 3, 2):
        spend(team, 6 + hours, at=NOON - hours * HOUR)

    [late] = told(NOON + MINUTE)
    assert "from 10:00 to 11:00 on 1 Mar 2026" in late
    body = str(mail.outbox[-1].body)
    assert "cost $8.00 from 10:00 to 11:00" in body
    assert "It did so before, too:\n- from 09:00 to 10:00 on 1 Mar 2026: $9.00\n\n" in body
    assert "$36.00" not in body
    assert told(NOON + 2 * MINUTE) == []


@pytest.mark.parametrize("per", ["hour", "day"])
def test_whoever_moves_to_another_zone_is_not_told_again(team: Team, alice: User, per: str) -> None:
    set_alert(team, alice, 5, per=per, now=NOON - 2 * DAY)
    for hours in (3, 2, 1):
        spend(team, 6, at=NOON - hours * HOUR)
        assert len(told(NOON - hours * HOUR + MINUTE)) == (hours == 3 or per == "hour")

    alice.timezone = "Asia/Kolkata"
    alice.save()

    assert told(NOON + MINUTE) == []


# --- Whom it tells


def test_admins_are_told_if_it_says_so_each_once(team: Team, alice: User) -> None:
    bob = make_member(team, extra=[Permission.USAGE_WRITE], name="Bob")
    make_member(team, extra=[Permission.USAGE_READ])
    set_alert(team, bob, 5, to_admins=True)
    spend(team, 6)

    assert [one.partition(":")[0] for one in told(NOON + MINUTE)] == [alice.email, bob.email]
    to_alice, to_bob = (str(message.body) for message in mail.outbox[-2:])
    assert "Bob set this alert for all admins." in to_alice
    assert "You set this alert." in to_bob


@pytest.mark.parametrize("how", ["left", "may not read", "is leaving"])
@pytest.mark.usefixtures("alice")
def test_who_may_not_see_usage_any_more_is_told_nothing(team: Team, how: str) -> None:
    bob = make_member(team, extra=[Permission.USAGE_WRITE], name="Bob")
    set_alert(team, bob, 5, to_admins=True)
    spend(team, 6)
    memberships = Membership.objects.filter(team=team, user=bob)
    if how == "left":
        memberships.delete()
    elif how == "may not read":
        memberships.update(extra_permissions=[])
    else:
        User.objects.filter(pk=bob.pk).update(deletion_requested_at=NOON)

    assert told(NOON + MINUTE) == []
    assert [shown.is_on for shown in usage.alerts(team)] == [False]


# --- Hours and days


@pytest.mark.parametrize(
    ("zone", "now", "begin", "end"),
    [
        ("UTC", "2026-03-01T12:40", "2026-03-01T12:00", "2026-03-01T13:00"),
        ("Asia/Kathmandu", "2026-03-01T12:10", "2026-03-01T11:15", "2026-03-01T12:15"),
        ("America/St_Johns", "2026-03-01T12:40", "2026-03-01T12:30", "2026-03-01T13:30"),
    ],
)
def test_hours_are_those_of_the_zones_clocks(zone: str, now: str, begin: str, end: str) -> None:
    spans = hours_at(moment(now), ZoneInfo(zone))

    assert spans[-3:] == (moment(begin) - HOUR, moment(begin), moment(end))
    assert spans[0] <= moment(now) - DAY < spans[1]


@pytest.mark.parametrize(
    ("now", "before", "begin", "end"),
    [
        # Berlin puts its clocks forward on 29 March, and back on 25 October.
        ("2026-03-29T12:00", "2026-03-27T23:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25T22:30", "2026-10-23T22:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("2026-10-25T23:00", "2026-10-24T22:00", "2026-10-25T23:00", "2026-10-26T23:00"),
    ],
)
def test_days_are_those_of_the_zone_also_of_23_and_25_hours(
    now: str, before: str, begin: str, end: str
) -> None:
    spans = days_at(moment(now), ZoneInfo("Europe/Berlin"))

    assert spans == (moment(before), moment(begin), moment(end))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_day_is_that_of_whoever_set_the_alert(team: Team, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(timezone="Asia/Tokyo")
    set_alert(team, alice, 5)
    spend(team, 3, at=NOON)
    spend(team, 3, at=NOON + 4 * HOUR)  # Tomorrow in Tokyo.
    assert told(NOON + 4 * HOUR) == []

    spend(team, 3, at=NOON + 5 * HOUR)
    [one] = told(NOON + 5 * HOUR)
    assert one.endswith("on 2 Mar 2026")


# --- What it costs


def test_many_alerts_ask_no_more_often_than_few(
    team: Team, alice: User, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    spend(team, 1)
    set_alert(team, alice, 1000)
    with CaptureQueriesContext(connection) as few:
        told(NOON + MINUTE)
    for more in range(20):
        set_alert(team, alice, 1001 + more)

    with django_assert_max_num_queries(len(few)):
        told(NOON + MINUTE)


def test_a_team_that_asks_for_nothing_is_not_looked_at(team: Team, alice: User) -> None:
    set_alert(team, alice, 5)
    spend(team, 4)
    told(NOON + MINUTE)
    with CaptureQueriesContext(connection) as queries:
        told(NOON + 3 * DAY)

    assert len(queries) == 1
