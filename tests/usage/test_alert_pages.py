"""Alerts on their page: set, changed and deleted by who may, and explained where they are wrong."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from audit import services as audit
from tests.billing.pages import text as text_of
from tests.factories import NOON, make_admin, make_member, make_team
from tests.usage.alerting import set_alert, usd
from usage import services as usage
from usage.models import UsageAlert

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(team: Team) -> User:
    return make_admin(team, name="Alice")


def page(name: str, team: Team, *args: UUID) -> str:
    return reverse(f"usage:{name}", args=[team.pk, *args])


def form(amount: str = "50", **fields: Any) -> dict[str, Any]:
    usual = {"watched": "", "per": "day", "limit": amount, "id": str(uuid4())}
    return {**usual, **fields}


def test_an_alert_is_set_changed_and_deleted_on_the_page_and_audited(
    client: Client, team: Team, alice: User
) -> None:
    client.force_login(alice)
    api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON)
    assert "No alerts yet" in text_of(client.get(page("alerts", team)))

    data = form("$1,250.50", watched="api_key", key="bot", per="hour")
    words = text_of(client.post(page("create_alert", team), data, follow=True))
    assert "More than $1,250.50 per hour API key bot You Never On" in words
    client.post(page("create_alert", team), data)
    [alert] = UsageAlert.of(team)

    question = {"dialog": "edit", "alert": str(alert.pk)}
    content = client.get(page("alerts", team), question).content.decode()
    assert 'value="1250.50"' in content
    # Both dialogs say whose days they mean.
    assert content.count("Days are those of your time zone, UTC.") == 2
    seen = alert.modified_at.isoformat()
    words = text_of(
        client.post(page("edit_alert", team, alert.pk), form("7", seen_at=seen), follow=True)
    )
    assert "More than $7.00 per day The whole team" in words
    stale = client.post(page("edit_alert", team, alert.pk), form("8", seen_at=seen))
    assert "This alert was changed after this form was opened." in text_of(stale)

    client.post(page("delete_alert", team, alert.pk))
    assert client.post(page("delete_alert", team, alert.pk)).status_code == 404
    changes = [event.operation for event in audit.recent_changes(team, limit=3)]
    assert changes == ["DeleteUsageAlert", "UpdateUsageAlert", "CreateUsageAlert"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"limit": "0"}, "Enter an amount from $0.01 to $100,000,000.00."),
        ({"limit": "9,000,000,000"}, "Enter an amount from $0.01 to $100,000,000.00."),
        ({"limit": "1.234"}, "1.234 is finer than a cent."),
        ({"limit": ""}, "Enter an amount like 25"),
        ({"per": "year"}, "Choose hour or day."),
        ({"watched": "cluster"}, "Choose the team, a key or a model."),
        ({"watched": "api_key"}, "Enter an API key."),
        ({"watched": "api_key", "key": "gone"}, "No key of this team is called “gone”."),
        ({"watched": "api_key", "key": "twin"}, "2 keys are called “twin”. Enter the ID of one."),
        ({"watched": "model", "model": "typo-9b"}, "No request has used the model “typo-9b” yet."),
    ],
)
def test_a_wrong_alert_is_explained_and_not_set(
    client: Client, team: Team, alice: User, fields: dict[str, str], sentence: str
) -> None:
    client.force_login(alice)
    *_, gone = (
        api_keys.create(team=team, actor=SYSTEM, owner=alice, name=name, now=NOON).key
        for name in ("twin", "twin", "gone")
    )
    api_keys.delete(key=gone, actor=SYSTEM, now=NOON)

    answer = client.post(page("create_alert", team), form() | fields)

    assert sentence in text_of(answer)
    assert not UsageAlert.of(team).exists()


def test_a_key_of_another_team_cannot_be_watched(client: Client, team: Team, alice: User) -> None:
    other = make_team()
    theirs = api_keys.create(
        team=other, actor=SYSTEM, owner=make_admin(other), name="theirs", now=NOON
    )
    client.force_login(alice)

    answer = client.post(
        page("create_alert", team), form(watched="api_key", key=str(theirs.key.pk))
    )

    assert "No key of this team is called" in text_of(answer)


def test_another_teams_alert_cannot_be_reached(client: Client, team: Team, alice: User) -> None:
    other = make_team()
    theirs = set_alert(other, make_admin(other))
    client.force_login(alice)

    assert client.post(page("delete_alert", team, theirs.pk)).status_code == 404
    assert client.post(page("edit_alert", team, theirs.pk), form()).status_code == 404


def test_who_may_only_read_sees_the_alerts_without_their_buttons(
    client: Client, team: Team, alice: User
) -> None:
    set_alert(team, alice)
    client.force_login(make_member(team, extra=[Permission.USAGE_READ]))

    answer = client.get(page("alerts", team))

    assert "More than $50.00 per day The whole team Alice" in text_of(answer)
    assert "Set alert" not in text_of(answer)


def test_one_button_sets_an_alert_whether_there_are_some_or_none(
    client: Client, team: Team, alice: User
) -> None:
    client.force_login(alice)

    for _ in range(2):
        # What htmx replaces has none of its own, and leaves the one above it.
        above, alerts = client.get(page("alerts", team)).content.decode().split('id="alerts"')
        opens = 'commandfor="create" command="show-modal"'
        assert (above.count(opens), alerts.count(opens)) == (1, 0)
        set_alert(team, alice)


def test_a_team_has_at_most_fifty(client: Client, team: Team, alice: User) -> None:
    for amount in range(1, 51):
        set_alert(team, alice, amount)
    client.force_login(alice)

    assert "This team has 50 alerts" in text_of(client.post(page("create_alert", team), form()))


def test_alerts_are_in_a_persons_copy_of_their_data_and_go_with_their_team(
    team: Team, alice: User
) -> None:
    set_alert(team, alice)
    [copied] = usage.alerts_of(alice)
    assert (copied["team"], copied["limit_ticks"]) == ("Larkspur", usd(50))

    usage.delete_alerts(make_team(), user=alice)
    assert not UsageAlert.of(team).exists()
