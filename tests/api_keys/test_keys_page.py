"""The page of API keys: what each person sees on it, and what its buttons do."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from api_keys.views import PAGE_SIZE
from audit import services as audit
from tests.api_keys.pages import PART, create, make_key, stored, url
from tests.factories import NOON, make_admin, make_member, make_team, make_user

pytestmark = pytest.mark.django_db

# --- Seeing -----------------------------------------------------------------------------------


def test_a_key_is_listed_with_what_tells_it_apart(client: Client, team: Team, alice: User) -> None:
    key = make_key(team, alice)
    api_keys.touch({(key.pk, "203.0.113.24"): NOON})
    client.force_login(alice)

    page = client.get(url(team)).content.decode()

    for words in ("returns-bot", key.redacted, str(key.pk), "Alice Moreau", "Active"):
        assert words in page
    assert "203.0.113.24" in page


def test_an_admin_sees_every_key_and_a_member_their_own(
    client: Client, team: Team, alice: User, bob: User
) -> None:
    make_key(team, alice, "of-alice")
    make_key(team, bob, "of-bob")

    client.force_login(alice)
    for_alice = client.get(url(team)).content.decode()
    client.force_login(bob)
    for_bob = client.get(url(team)).content.decode()

    assert "of-alice" in for_alice
    assert "of-bob" in for_alice
    assert "of-alice" not in for_bob
    assert "of-bob" in for_bob


def test_a_team_without_keys_is_told_what_they_are_for(
    client: Client, team: Team, alice: User
) -> None:
    client.force_login(alice)

    page = client.get(url(team)).content.decode()

    assert "No API keys yet" in page
    assert "<table" not in page


def test_a_stranger_finds_no_page_and_no_button(client: Client, team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client.force_login(make_user())

    assert client.get(url(team)).status_code == 404
    assert create(client, team).status_code == 404
    for action in ("disable", "enable", "delete"):
        response = client.post(url(team, action, key), {"confirm": "returns-bot"})
        assert response.status_code == 404
    assert stored(key).status == ApiKey.Status.ACTIVE


def test_a_key_of_another_team_cannot_be_reached_through_ones_own(
    client: Client, team: Team, alice: User
) -> None:
    key = make_key(other := make_team(), make_admin(other))
    client.force_login(alice)

    for action in ("disable", "enable", "delete"):
        response = client.post(url(team, action, key), {"confirm": "returns-bot"})
        assert response.status_code == 404
    assert '<dialog id="delete"' not in ask_to_delete(client, team, key)


def test_a_member_cannot_touch_a_colleagues_key(
    client: Client, team: Team, alice: User, bob: User
) -> None:
    key = make_key(team, alice)
    client.force_login(bob)

    for action in ("disable", "enable", "delete"):
        response = client.post(url(team, action, key), {"confirm": "returns-bot"})
        assert response.status_code == 404
    assert '<dialog id="delete"' not in ask_to_delete(client, team, key)
    assert stored(key).status == ApiKey.Status.ACTIVE


def test_buttons_are_not_links(client: Client, team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client.force_login(alice)

    assert client.get(url(team, "create")).status_code == 405
    for action in ("disable", "enable", "delete"):
        assert client.get(url(team, action, key)).status_code == 405
    assert not audit.log(team).exclude(operation="CreateApiKey").exists()


def test_many_keys_are_shown_in_pages(client: Client, team: Team, alice: User) -> None:
    for serial in range(PAGE_SIZE + 1):
        make_key(team, alice, f"key-{serial:02}", minutes=serial)
    client.force_login(alice)

    first = client.get(url(team))
    second = client.get(first.context["pager"].older)

    assert [key.name for key in first.context["page"]][:2] == ["key-50", "key-49"]
    assert [key.name for key in second.context["page"]] == ["key-00"]
    assert second.context["pager"].text == "51 to 51 of 51"
    assert not second.context["pager"].older


def test_many_keys_cost_no_more_queries_than_one(
    client: Client, team: Team, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_key(team, alice)
    client.force_login(alice)
    client.get(url(team))
    with CaptureQueriesContext(connection) as one:
        client.get(url(team))

    for _ in range(20):
        make_key(team, make_member(team))

    with django_assert_num_queries(len(one)):
        client.get(url(team))


def test_a_post_from_elsewhere_is_refused(team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    assert create(client, team).status_code == 403
    for action in ("disable", "enable", "delete"):
        response = client.post(url(team, action, key), {"confirm": "returns-bot"})
        assert response.status_code == 403
    assert list(ApiKey.of(team)) == [key]
    assert stored(key).status == ApiKey.Status.ACTIVE


def test_every_form_on_the_page_carries_its_token(team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    token = client.get(url(team)).context["csrf_token"]

    response = client.post(url(team, "disable", key), {"csrfmiddlewaretoken": str(token)})

    assert response.status_code == 302
    assert stored(key).status == ApiKey.Status.DISABLED


# --- Disabling, enabling, deleting ------------------------------------------------------------


def ask_to_delete(client: Client, team: Team, key: ApiKey) -> str:
    response = client.get(url(team), {"dialog": "delete", "key": str(key.pk)})
    return response.content.decode()


def test_a_member_disables_and_enables_their_own_key(client: Client, team: Team, bob: User) -> None:
    key = make_key(team, bob)
    client.force_login(bob)

    disabled = client.post(url(team, "disable", key), follow=True)
    status = stored(key).status
    enabled = client.post(url(team, "enable", key), follow=True)

    assert disabled.redirect_chain == [(url(team), 302)]
    assert "returns-bot is disabled" in disabled.content.decode()
    assert status == ApiKey.Status.DISABLED
    assert "returns-bot is enabled" in enabled.content.decode()
    assert stored(key).status == ApiKey.Status.ACTIVE


def test_after_a_button_htmx_gets_only_its_part(client: Client, team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client.force_login(alice)

    response = client.post(url(team, "disable", key), headers=PART, follow=True)

    assert response.content.decode().strip().startswith('<div id="api-keys"')
    assert "Disabled" in response.content.decode()


def test_a_button_leads_back_to_the_page_it_was_on(client: Client, team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client.force_login(alice)

    there = client.post(url(team, "disable", key) + "?page=2")
    nowhere = client.post(url(team, "disable", key) + "?page=//evil.test")

    assert there.headers["Location"] == url(team) + "?page=2"
    assert nowhere.headers["Location"] == url(team)


def test_deleting_asks_first(client: Client, team: Team, alice: User) -> None:
    key = make_key(team, alice)
    client.force_login(alice)

    page = ask_to_delete(client, team, key)

    assert "Delete returns-bot" in page
    assert "Type <code>returns-bot</code> to confirm" in page
    assert stored(key).status == ApiKey.Status.ACTIVE


@pytest.mark.parametrize("nonsense", ["", "x", "00000000-0000-0000-0000-000000000000", "\x00"])
def test_nothing_is_asked_about_a_key_that_is_not_there(
    client: Client, team: Team, alice: User, nonsense: str
) -> None:
    client.force_login(alice)

    page = client.get(url(team), {"dialog": "delete", "key": nonsense})

    assert page.status_code == 200
    assert '<dialog id="delete"' not in page.content.decode()


@pytest.mark.parametrize("typed", ["", "returns", "RETURNS-BOT", "returns-bot\x00"])
def test_a_key_is_not_deleted_without_its_name(
    client: Client, team: Team, alice: User, typed: str
) -> None:
    key = make_key(team, alice)
    client.force_login(alice)

    response = client.post(url(team, "delete", key), {"confirm": typed})

    assert response.status_code == 200
    assert '<dialog id="delete"' in response.content.decode()
    assert stored(key).status == ApiKey.Status.ACTIVE


@pytest.mark.parametrize("name", ["returns-bot", "a  b", "<b>&amp;\"'", "🔑"])
def test_a_key_is_deleted_by_its_name(client: Client, team: Team, alice: User, name: str) -> None:
    key = make_key(team, alice, name)
    client.force_login(alice)

    response = client.post(url(team, "delete", key), {"confirm": f" {key.name} "}, follow=True)

    assert "is deleted" in response.content.decode()
    assert "No API keys yet" in response.content.decode()
    assert stored(key).status == ApiKey.Status.DELETED


def test_a_double_click_on_delete_ends_like_a_single_one(
    client: Client, team: Team, alice: User
) -> None:
    key = make_key(team, alice)
    client.force_login(alice)
    client.post(url(team, "delete", key), {"confirm": "returns-bot"})

    again = client.post(url(team, "delete", key), {"confirm": "returns-bot"}, follow=True)

    assert again.status_code == 200
    assert audit.log(team).filter(operation="DeleteApiKey").count() == 1


@pytest.mark.parametrize("action", ["disable", "enable"])
def test_a_button_on_a_page_older_than_the_deletion_says_so(
    client: Client, team: Team, alice: User, action: str
) -> None:
    key = make_key(team, alice)
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)
    client.force_login(alice)

    response = client.post(url(team, action, key), follow=True)

    assert "was deleted and stays deleted" in response.content.decode()


def test_changes_are_recorded_with_the_person_and_their_address(
    client: Client, team: Team, bob: User
) -> None:
    key = make_key(team, bob)
    client.force_login(bob)

    client.post(
        url(team, "disable", key), headers={"User-Agent": "Firefox 148"}, REMOTE_ADDR="192.0.2.140"
    )

    event = audit.log(team).get(operation="DisableApiKey")
    assert (event.user, event.ip, event.user_agent) == (bob, "192.0.2.140", "Firefox 148")
