"""The page of one key: all there is to know of it, to whoever may, and nobody else."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM, Actor
from accounts.models import Team, User
from accounts.rules import Permission
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyLeak, KeyMonth, RetiredSecret
from api_keys.rules import TICKS_PER_USD, Terms
from audit import services as audit
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = pytest.mark.django_db

PART = {"HX-Request": "true", "HX-Target": "api-key"}
TERMS = Terms(
    acls=("api-key:endpoint:chat", "api-key:model:atlas-8b", "api-key:model:atlas-70b"),
    requests_per_second=20,
    requests_per_minute=600,
    tokens_per_minute=2_000_000,
    networks=("203.0.113.0/24", "198.51.100.8/32"),
    monthly_cap_ticks=25 * TICKS_PER_USD,
)


@pytest.fixture
def team() -> Team:
    return make_team()


@pytest.fixture
def bob(team: Team) -> User:
    """Make the member who owns the key."""
    return make_member(team, name="Bob Tanaka")


@pytest.fixture
def key(team: Team, bob: User) -> ApiKey:
    actor = Actor.for_user(bob)
    return api_keys.create(
        team=team, actor=actor, owner=bob, name="returns-bot", terms=TERMS, now=NOON
    ).key


def url(key: ApiKey, page: str = "key") -> str:
    return reverse(f"api_keys:{page}", args=[key.team_id, key.pk])


def test_the_page_says_all_there_is_to_know(client: Client, key: ApiKey, team: Team) -> None:
    api_keys.touch({(key.pk, "203.0.113.24"): NOON})
    for month, dollars in ((1, 4), (2, 7)):
        KeyMonth.across_teams.create(
            team=team,
            key=key,
            month=date(2026, month, 1),
            spent_ticks=dollars * TICKS_PER_USD,
        )
    client.force_login(make_admin(team))

    page = client.get(url(key)).content.decode()

    for words in (
        "returns-bot", str(key.pk), key.redacted, "Bob Tanaka", "Active", "203.0.113.24",
        "Chat", "atlas-8b, atlas-70b", "20 per second, 600 per minute", "2,000,000 per minute",
        "203.0.113.0/24, 198.51.100.8", "of at most $25.00", "February 2026", "$7.00",
        "January 2026", "$4.00", "Created the API key returns-bot",
    ):  # fmt: skip
        assert words in page, words
    assert "None" not in page


def test_a_key_without_limits_says_so(client: Client, team: Team) -> None:
    alice = make_admin(team)
    key = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON).key
    client.force_login(alice)

    page = client.get(url(key)).content.decode()

    assert page.count("As many as the team") == 2
    assert "<dd>All</dd>" in page
    assert "<dd>Any</dd>" in page
    assert "have not cost anything yet" in page


def test_many_old_secrets_and_leaks_are_cut_and_counted_and_what_still_works_is_shown(
    client: Client, key: ApiKey, bob: User, team: Team
) -> None:
    living = make_many_retired(key, timezone.now())[0]
    KeyLeak.across_teams.bulk_create(
        KeyLeak(
            team=team, key=key, redacted="ck-…leak", reporter="github",
            url=f"https://git.test/{number}", reported_at=NOON + timedelta(minutes=number),
        )
        for number in range(23)
    )  # fmt: skip
    client.force_login(bob)

    page = client.get(url(key)).content.decode()

    assert "These are 20 of 22: the ones that still work, and then the latest." in page
    assert "These are the latest 20 of 23." in page
    assert living.redacted in page
    assert page.count("End now") == 1
    assert "https://git.test/22<" in page
    assert "https://git.test/2<" not in page


def test_few_old_secrets_and_leaks_are_all_there_is(client: Client, key: ApiKey, bob: User) -> None:
    actor = Actor.for_user(bob)
    api_keys.rotate(key=key, actor=actor, grace=timedelta(0), rotation=0, now=NOON)
    api_keys.report_leak(key=key, reporter=api_keys.Reporter.STAFF, actor=SYSTEM, now=NOON)
    client.force_login(bob)

    page = client.get(url(key)).content.decode()

    assert "Old secrets" in page
    assert "Found in public" in page
    assert "These are" not in page


def make_many_retired(key: ApiKey, now: datetime) -> list[RetiredSecret]:
    """Retire 22 secrets, of which only the first still works."""
    return RetiredSecret.across_teams.bulk_create(
        RetiredSecret(
            team=key.team,
            key=key,
            digest=f"{number:064x}",
            redacted=f"ck-…{number:04}",
            retired_at=now - timedelta(days=1) + timedelta(minutes=number),
            expires_at=now + timedelta(days=1) if number == 0 else now - timedelta(hours=1),
        )
        for number in range(22)
    )


def test_an_owner_sees_the_page_and_a_colleague_and_a_stranger_do_not(
    client: Client, key: ApiKey, bob: User, team: Team
) -> None:
    client.force_login(bob)
    for_bob = client.get(url(key))
    client.force_login(make_member(team))
    for_colleague = client.get(url(key))
    client.force_login(make_admin(make_team()))
    for_stranger = client.get(url(key))

    assert for_bob.status_code == 200
    assert (for_colleague.status_code, for_stranger.status_code) == (404, 404)


def test_a_key_of_another_team_is_not_found_under_ones_own(client: Client, key: ApiKey) -> None:
    client.force_login(make_admin(team := make_team()))

    assert client.get(reverse("api_keys:key", args=[team.pk, key.pk])).status_code == 404


def test_only_who_may_read_the_audit_log_sees_what_was_changed(
    client: Client, key: ApiKey, bob: User, team: Team
) -> None:
    client.force_login(bob)
    without = client.get(url(key)).content.decode()
    team.memberships.filter(user=bob).update(extra_permissions=[Permission.AUDIT_READ])
    with_it = client.get(url(key)).content.decode()

    assert "Created the API key" not in without
    assert "Created the API key" in with_it


def test_events_of_other_keys_are_not_shown(client: Client, key: ApiKey, team: Team) -> None:
    alice = make_admin(team)
    api_keys.create(team=team, actor=SYSTEM, owner=alice, name="other", now=NOON)
    client.force_login(alice)

    assert "the API key other" not in client.get(url(key)).content.decode()


@pytest.mark.parametrize("dialog", ["edit", "rotate", "delete"])
def test_dialogs_open_by_their_address(client: Client, key: ApiKey, bob: User, dialog: str) -> None:
    client.force_login(bob)

    page = client.get(url(key), {"dialog": dialog}).content.decode()
    part = client.get(url(key), {"dialog": dialog}, headers=PART).content.decode()

    for shown in (page, part):
        assert f'<dialog id="{dialog}" aria-labelledby="{dialog}-title" open' in shown
        assert f"/{dialog}/?back=key" in shown
    assert part.strip().startswith('<div id="api-key"')


@pytest.mark.parametrize(
    ("action", "form", "words"),
    [
        ("disable", {}, "returns-bot is disabled."),
        ("enable", {}, "returns-bot is enabled."),
        ("delete", {"confirm": "returns-bot"}, "returns-bot is deleted."),
    ],
)
def test_buttons_lead_back_to_the_page(
    client: Client, key: ApiKey, bob: User, action: str, form: dict[str, str], words: str
) -> None:
    client.force_login(bob)

    answer = client.post(url(key, action) + "?back=key", form)
    page = client.get(answer.headers["Location"]).content.decode()

    assert answer.headers["Location"] == url(key)
    assert words in page


def test_a_name_that_was_not_typed_comes_back_on_the_page(
    client: Client, key: ApiKey, bob: User
) -> None:
    client.force_login(bob)

    answer = client.post(url(key, "delete") + "?back=key", {"confirm": "x"}, headers=PART)

    assert answer.content.decode().strip().startswith('<div id="api-key"')
    assert "“x” is not the key" in answer.content.decode()


def test_a_deleted_key_can_be_looked_at_and_not_changed(
    client: Client, key: ApiKey, bob: User
) -> None:
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)
    client.force_login(bob)

    page = client.get(url(key), {"dialog": "edit"}).content.decode()

    assert "Deleted" in page
    assert '<dialog id="edit"' not in page
    assert "Rotate secret" not in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"blocked_at": NOON}, "its secret leaked. Rotate it."),
        ({"expires_at": NOON}, "it has expired. Edit it"),
    ],
)
def test_enabling_what_is_stopped_for_another_reason_says_so(
    client: Client, key: ApiKey, bob: User, state: dict[str, Any], words: str
) -> None:
    ApiKey.of(key.team).update(disabled_at=NOON, **state)
    client.force_login(bob)

    page = client.post(url(key, "enable") + "?back=key", follow=True).content.decode()

    stored = ApiKey.of(key.team).get()
    assert words in page
    assert stored.disabled_at is None
    assert stored.status != ApiKey.Status.ACTIVE
    event = audit.log(key.team).get(operation="EnableApiKey")
    assert [state and state["disabled"] for state in (event.before, event.after)] == [True, False]


def test_the_switch_for_mails_is_the_admins(client: Client, bob: User, team: Team) -> None:
    settings_url = reverse("api_keys:settings", args=[team.pk])
    client.force_login(bob)
    refused = client.post(settings_url)
    for_bob = client.get(reverse("api_keys:list", args=[team.pk])).content.decode()
    client.force_login(make_admin(team))
    off = client.post(settings_url, follow=True).content.decode()
    on = client.post(settings_url, {"mails_new_countries": "on"}, follow=True).content.decode()

    assert refused.status_code == 403
    assert settings_url not in for_bob
    assert "Nobody is mailed about new countries any more." in off
    assert "Owners are mailed when a key is first used from a new country." in on


def test_a_long_life_costs_no_more_queries_than_a_short_one(
    client: Client,
    key: ApiKey,
    bob: User,
    team: Team,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client.force_login(make_admin(team))
    api_keys.touch({(key.pk, "203.0.113.24"): NOON})
    client.get(url(key))
    with CaptureQueriesContext(connection) as short:
        client.get(url(key))

    for n in range(9):
        now = NOON + timedelta(days=n + 1)
        api_keys.touch({(key.pk, f"203.0.113.{n}"): now})
        api_keys.disable(key=key, actor=SYSTEM, now=now)
        api_keys.enable(key=key, actor=Actor.for_user(bob), now=now)
        KeyMonth.across_teams.create(
            team=team, key=key, month=date(2026, n + 1, 1), spent_ticks=TICKS_PER_USD
        )

    with django_assert_num_queries(len(short)):
        client.get(url(key))
