"""Mail about money: at parts of the spending limit, once a month each."""

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import Team, User
from accounts.one_by_one import SomeFailedError
from accounts.rules import Permission
from audit.models import AuditEvent
from billing import services as billing
from billing.models import BillingAccount, BillingDetails, Notice
from billing.rules import ticks_from_usd, usd_from_ticks
from tests.billing.news import NEXT_MONTH, STAFF, ask, set_limit, subjects, told, usd
from tests.billing.pages import page, text
from tests.factories import NOON, make_admin, make_funded_team, make_member, make_team
from tests.races import race

pytestmark = pytest.mark.django_db


def write_to(team: Team, email: str) -> BillingDetails:
    return BillingDetails.across_teams.create(
        team=team,
        name=team.name,
        email=email,
        line1="1 Quay",
        city="Bergen",
        country="NO",
        changed_at=NOON,
    )


@pytest.fixture
def team() -> Team:
    team = make_team("Larkspur")
    make_admin(team, name="Alice")
    set_limit(team, 100)
    return team


# --- Parts of the limit


def test_a_mail_comes_at_50_80_and_100_percent_and_no_other(team: Team) -> None:
    mails = []
    for _ in range(10):
        ask(team, 10)
        mails.append(subjects())

    assert mails == [
        [], [], [], [],
        ["Larkspur has used 50% of its spending limit"],
        [], [],
        ["Larkspur has used 80% of its spending limit"],
        [],
        ["Larkspur has used 100% of its spending limit"],
    ]  # fmt: skip


def test_one_tick_below_a_part_is_not_that_part(team: Team) -> None:
    ask(team, 49.9999999999)
    assert subjects() == []

    ask(team, 0.0000000001)
    assert subjects() == ["Larkspur has used 50% of its spending limit"]


def test_the_mail_says_what_is_used_what_is_left_and_where_to_change_it(team: Team) -> None:
    ask(team, 50.25)

    (message,) = told()

    body = str(message.body)
    assert "On the March invoice: $50.25" in body
    assert "Spending limit: $100.00 per month" in body
    assert "The limit begins anew on 1 April, 00:00 UTC." in body
    assert reverse("billing:credits", args=[team.pk]) in body


def test_what_credits_paid_for_is_no_part_of_the_limit(team: Team) -> None:
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=billing.GrantKind.FREE,
        amount_ticks=usd(500),
        label="Welcome",
        idempotency_key="w",
        now=NOON,
    )

    ask(team, 500)

    assert subjects() == []


def test_parts_that_are_passed_at_once_are_one_mail_and_are_not_told_again(team: Team) -> None:
    ask(team, 85)

    assert subjects() == ["Larkspur has used 85% of its spending limit"]
    assert subjects() == []
    numbers: list[int] = list(Notice.of(team).order_by("number").values_list("number", flat=True))
    assert numbers == [50, 80]


def test_a_raised_limit_tells_again_in_the_next_month_only(team: Team) -> None:
    ask(team, 50)
    assert len(told()) == 1
    set_limit(team, 200)

    ask(team, 60)  # $110 of $200: half of it, again.
    assert subjects() == []

    ask(team, 100, NEXT_MONTH)
    assert subjects(NEXT_MONTH) == ["Larkspur has used 50% of its spending limit"]


def test_a_month_that_is_over_is_no_news(team: Team) -> None:
    ask(team, 100)
    ask(team, 1)

    assert subjects(NEXT_MONTH) == []


def test_a_lowered_limit_tells_at_once(team: Team) -> None:
    ask(team, 40)
    assert subjects() == []

    billing.set_hard_limit(team=team, actor=STAFF, limit_ticks=usd(20), now=NOON)

    assert subjects() == ["Larkspur has used 100% of its spending limit"]


def test_without_a_limit_there_is_no_part_of_it() -> None:
    team = make_funded_team(usd="10")

    ask(team, 4)

    assert told() == []


def test_the_highest_limit_that_staff_can_set_is_counted_without_overflow(team: Team) -> None:
    most = ticks_from_usd(usd_from_ticks(usd(900_000_000)))
    billing.set_hard_limit(team=team, actor=STAFF, limit_ticks=most, now=NOON)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=most, now=NOON)

    ask(team, 450_000_000)

    assert subjects() == ["Larkspur has used 50% of its spending limit"]


# --- Who is told


def test_the_billing_email_is_told_and_without_one_all_who_may_change_billing(team: Team) -> None:
    carol = make_member(team, extra=[Permission.BILLING_WRITE])
    make_member(team, extra=[Permission.BILLING_READ])
    alice = User.objects.get(name="Alice")
    gone = make_admin(team)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    ask(team, 50)

    assert [message.to for message in told()] == [[alice.email], [carol.email]]

    write_to(team, "bills@larkspur.test")
    ask(team, 30)
    (message,) = told()
    assert message.to == ["bills@larkspur.test"]
    assert "about the account" not in str(message.body), "it is nobody's account"


def test_a_closed_team_is_told_nothing(team: Team) -> None:
    ask(team, 50)
    Team.objects.filter(pk=team.pk).update(closed_at=NOON)

    assert told() == []


# --- However often the job runs


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_tell_once(team: Team) -> None:
    ask(team, 100)
    ask(team, 1)

    results = race(*[lambda: billing.send_notices(now=NOON)] * 4)

    assert results == [None] * 4
    assert sorted(message.subject for message in mail.outbox) == [
        "Larkspur has used 100% of its spending limit",
        "Requests of Larkspur are refused",
    ]


def test_a_team_that_cannot_be_told_keeps_no_other_waiting(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_team("Juniper")
    make_admin(other)
    set_limit(other, 100)
    for each in (team, other):
        ask(each, 50)
    broken, whole = sorted([team, other], key=lambda each: each.pk)
    # No mail can be sent to an address with a line break.
    details = write_to(broken, "bills\n@larkspur.test")

    with pytest.raises(SomeFailedError, match="1 could not be done"):
        told()

    assert [m.subject for m in mail.outbox] == [f"{whole.name} has used 50% of its spending limit"]
    assert str(broken.pk) in caplog.text
    details.delete()
    assert len(told()) == 1, "and it is told as soon as that is possible"


def test_looking_for_news_is_one_query_however_many_teams_have_none(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        each = make_team()
        set_limit(each, 100)
        ask(each, 10)

    with django_assert_num_queries(1):
        billing.send_notices(now=NOON)


# --- Choosing the parts


def test_the_parts_are_chosen_in_their_dialog(client: Client, team: Team) -> None:
    client.force_login(User.objects.get(name="Alice"))

    response = client.post(page("alerts", team), {"percents": "90 %, 25;25"}, follow=True)

    words = text(response)
    assert "Alerts changed." in words
    assert "Mail comes at 25% and 90% of the limit, and when requests begin to be refused" in words
    event = AuditEvent.of(team).get(operation="SetLimitAlerts")
    assert event.description == "Asked for mail at 25% and 90% of the spending limit"
    assert event.before == {"alert_percents": [50, 80, 100]}
    assert event.after == {"alert_percents": [25, 90]}
    with time_machine.travel(NOON, tick=False):
        ask(team, 25)
    assert subjects() == ["Larkspur has used 25% of its spending limit"]


def test_none_leaves_the_mail_about_refusals(client: Client, team: Team) -> None:
    client.force_login(User.objects.get(name="Alice"))

    response = client.post(page("alerts", team), {"percents": " "}, follow=True)

    assert "A mail comes when requests begin to be refused, once a month." in text(response)
    ask(team, 100)
    ask(team, 1)
    assert subjects() == ["Requests of Larkspur are refused"]


def test_saving_the_same_parts_again_is_not_audited(client: Client, team: Team) -> None:
    client.force_login(User.objects.get(name="Alice"))

    for _ in range(2):
        client.post(page("alerts", team), {"percents": "10, 20"})
    client.post(page("alerts", team), {"percents": "20, 10, 10"})

    assert AuditEvent.of(team).filter(operation="SetLimitAlerts").count() == 1


@pytest.mark.parametrize(
    ("percents", "sentence"),
    [
        ("0", "0% is not a part of the limit. Choose from 1 to 100."),
        ("50, 101", "101% is not a part of the limit. Choose from 1 to 100."),
        ("1 2 3 4 5 6", "These are 6 percentages. Choose up to 5 of them."),
        ("half", "half is not a whole number."),
        ("-5", "-5 is not a whole number."),
        ("12.5", "12.5 is not a whole number."),
        ("½", "½ is not a whole number."),
        ("9" * 50, "is not a whole number."),
        ("1, " * 50, "at most 60 characters"),
    ],
)
def test_wrong_parts_are_explained_in_the_dialog(
    client: Client, team: Team, percents: str, sentence: str
) -> None:
    client.force_login(User.objects.get(name="Alice"))

    response = client.post(page("alerts", team), {"percents": percents})

    html = response.content.decode()
    assert sentence in text(response)
    assert '<dialog id="alerts-edit" aria-labelledby="alerts-edit-title" open' in html
    assert BillingAccount.of(team).get().alert_percents == [50, 80, 100]


def test_whoever_may_only_read_sees_the_parts_and_no_button(client: Client, team: Team) -> None:
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))

    response = client.get(page("credits", team))

    assert "Mail comes at 50%, 80% and 100% of the limit" in text(response)
    assert "Change alerts" not in text(response)
    assert client.post(page("alerts", team), {"percents": "1"}).status_code == 403
