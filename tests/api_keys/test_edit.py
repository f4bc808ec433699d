"""Terms of a key as people choose them: in the form that makes it, and in the one that edits it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import rules
from api_keys import services as api_keys
from api_keys.models import ApiKey
from api_keys.rules import TICKS_PER_USD, Terms
from audit import services as audit
from billing.services import BillingItem
from gateway import services as gateway
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = pytest.mark.django_db

EVERYTHING = {"expires": "", "endpoints": "all", "models": "all"}
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def team() -> Team:
    return make_team()


@pytest.fixture
def alice(team: Team) -> User:
    """Make the admin, who lives east of UTC."""
    alice = make_admin(team, "Alice Moreau")
    alice.timezone = "Europe/Tallinn"
    alice.save()
    return alice


@pytest.fixture
def key(team: Team, alice: User) -> ApiKey:
    return api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON).key


@pytest.fixture
def browser(alice: User) -> Any:
    with time_machine.travel(LATER, tick=False):
        browser = Browser()
        browser.force_login(alice)
        yield browser


@pytest.fixture
def models() -> None:
    for name in ("atlas-8b", "atlas-70b"):
        gateway.offer_in_sandbox(
            name=name,
            context_length=4096,
            max_output_tokens=1024,
            prices=dict.fromkeys(BillingItem, 1),
            clusters=["us-east-1"],
            now=NOON,
        )


def stored(key: ApiKey) -> ApiKey:
    return ApiKey.across_teams.select_related("team").get(pk=key.pk)


def create(browser: Client, team: Team, **data: Any) -> Any:
    form = {"name": "bot", "key_id": str(uuid4())} | EVERYTHING | data
    return browser.post(reverse("api_keys:create", args=[team.pk]), form)


def edit(browser: Client, key: ApiKey, *, follow: bool = True, **data: Any) -> Any:
    seen_at = stored(key).modified_at.isoformat()
    form = {"name": key.name, "seen_at": seen_at} | EVERYTHING | data
    return browser.post(reverse("api_keys:edit", args=[key.team_id, key.pk]), form, follow=follow)


def change(key: ApiKey, name: str = "bot", **terms: Any) -> bool:
    return api_keys.edit(
        key=key,
        actor=SYSTEM,
        name=name,
        terms=Terms(**{"acls": rules.EVERYTHING.acls} | terms),
        seen_at=stored(key).modified_at,
        now=LATER,
    )


# --- The service


def test_a_key_is_edited_and_what_changed_is_recorded(key: ApiKey) -> None:
    change(key, "robot", requests_per_minute=600, networks=("203.0.113.0/24",))

    edited = stored(key)
    assert (edited.name, edited.requests_per_minute) == ("robot", 600)
    assert (edited.networks, edited.modified_at) == (["203.0.113.0/24"], LATER)
    event = audit.log(key.team).get(operation="UpdateApiKey")
    assert event.before == {"name": "bot", "requests_per_minute": None, "networks": []}
    assert event.after == {
        "name": "robot",
        "requests_per_minute": 600,
        "networks": ["203.0.113.0/24"],
    }


def test_an_edit_that_changes_nothing_is_not_recorded(key: ApiKey) -> None:
    assert change(key) is False

    assert stored(key).modified_at == NOON
    assert not audit.log(key.team).filter(operation="UpdateApiKey").exists()


def test_an_edit_does_not_overwrite_one_that_it_did_not_see(key: ApiKey) -> None:
    change(key, requests_per_minute=600)

    with pytest.raises(api_keys.KeyChangedError, match="changed after this form was opened"):
        api_keys.edit(
            key=key,
            actor=SYSTEM,
            name="bot",
            terms=rules.EVERYTHING,
            seen_at=NOON,
            now=LATER,
        )

    assert stored(key).requests_per_minute == 600


def test_an_edit_of_its_state_counts_as_a_change(key: ApiKey) -> None:
    api_keys.disable(key=key, actor=SYSTEM, now=LATER)

    with pytest.raises(api_keys.KeyChangedError):
        api_keys.edit(
            key=key,
            actor=SYSTEM,
            name="robot",
            terms=rules.EVERYTHING,
            seen_at=NOON,
            now=LATER,
        )


def test_another_expiry_is_told_of_anew(key: ApiKey) -> None:
    change(key, expires_at=LATER + timedelta(days=5))
    ApiKey.of(key.team).update(expiry_told_at=LATER)
    kept = stored(key)

    change(kept, "robot", expires_at=kept.expires_at)
    told = stored(key).expiry_told_at
    change(kept, "robot", expires_at=LATER + timedelta(days=9))

    assert told == LATER
    assert stored(key).expiry_told_at is None


def test_an_expiry_in_the_past_is_refused_unless_it_is_the_old_one(key: ApiKey) -> None:
    with pytest.raises(api_keys.TermsError, match="not passed yet"):
        change(key, expires_at=NOON)
    ApiKey.of(key.team).update(expires_at=NOON)

    assert change(key, "robot", expires_at=NOON) is True


def test_a_deleted_key_is_not_edited(key: ApiKey) -> None:
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    with pytest.raises(api_keys.KeyDeletedError):
        change(key, "robot")


# --- The forms


@pytest.mark.usefixtures("models")
def test_a_key_is_made_with_the_terms_that_were_chosen(browser: Browser, team: Team) -> None:
    create(
        browser,
        team,
        expires="90",
        endpoints="some",
        endpoint_names=["chat", "chat"],
        models="some",
        model_names=["atlas-8b", "atlas-70b", "atlas-8b"],
        requests_per_second=" 20 ",
        requests_per_minute="1,000",
        tokens_per_minute="2,000,000",
        networks="203.0.113.0/24, 198.51.100.8",
        monthly_cap="1,025.50",
    )

    assert Terms.of(ApiKey.of(team).get()) == Terms(
        acls=("api-key:endpoint:chat", "api-key:model:atlas-8b", "api-key:model:atlas-70b"),
        expires_at=LATER + timedelta(days=90),
        requests_per_second=20,
        requests_per_minute=1_000,
        tokens_per_minute=2_000_000,
        networks=("203.0.113.0/24", "198.51.100.8/32"),
        monthly_cap_ticks=10_255 * TICKS_PER_USD // 10,
    )
    event = audit.log(team).get(operation="CreateApiKey")
    assert event.after
    assert event.after["monthly_cap_ticks"] == 10_255 * TICKS_PER_USD // 10
    assert event.after["networks"] == ["203.0.113.0/24", "198.51.100.8/32"]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    "chosen",
    [
        {"endpoints": "some"},
        {"models": "some"},
        {"endpoints": "", "models": ""},
        {"endpoints": "some", "models": "some", "model_names": ["atlas-8b"]},
    ],
)
def test_a_key_for_which_nothing_was_chosen_may_do_nothing_and_that_is_said(
    browser: Browser, team: Team, chosen: dict[str, Any]
) -> None:
    form = browser.get(reverse("api_keys:list", args=[team.pk])).content.decode()
    made = create(browser, team, **chosen).content.decode()
    key = ApiKey.of(team).get()
    page = browser.get(reverse("api_keys:key", args=[team.pk, key.pk])).content.decode()
    edited = edit(browser, key, name="robot", **chosen).content.decode()

    assert "the key may do nothing" in form
    assert "may do nothing so far" in made
    assert "This key may do nothing" in page
    assert "robot may do nothing: it needs an endpoint and a model." in edited
    assert not rules.acl_allows(key.acls, endpoint="chat", model="atlas-8b")


@pytest.mark.usefixtures("models")
def test_the_form_comes_with_what_the_key_is_like(browser: Browser, key: ApiKey) -> None:
    change(
        key,
        acls=("api-key:endpoint:*", "api-key:model:atlas-8b", "api-key:model:gone"),
        requests_per_minute=1_000,
        networks=("203.0.113.0/24", "198.51.100.8/32"),
        monthly_cap_ticks=25 * TICKS_PER_USD,
        expires_at=datetime(2026, 5, 1, 23, 30, tzinfo=UTC),
    )
    url = reverse("api_keys:key", args=[key.team_id, key.pk])

    form = browser.get(url, {"dialog": "edit"}).context["edit_form"]

    values = {field.name: field.value() for field in form}
    assert values["name"] == "bot"
    assert (values["endpoints"], values["endpoint_names"]) == ("all", [])
    assert (values["models"], values["model_names"]) == ("some", ["atlas-8b", "gone"])
    assert values["requests_per_minute"] == "1,000"
    assert values["networks"] == "203.0.113.0/24, 198.51.100.8"
    assert values["monthly_cap"] == "25.00"
    assert (values["expires"], str(values["expires_on"])) == ("date", "2026-05-02")
    assert [name for name, _ in form.fields["model_names"].choices] == [
        "atlas-70b",
        "atlas-8b",
        "gone",
    ]


@pytest.mark.usefixtures("models")
def test_a_form_that_is_sent_back_as_it_came_changes_nothing(browser: Browser, key: ApiKey) -> None:
    change(
        key,
        acls=("api-key:endpoint:chat", "api-key:model:gone"),
        networks=("2001:db8::/32",),
        monthly_cap_ticks=TICKS_PER_USD // 100,
        expires_at=datetime(2026, 5, 1, 23, 30, tzinfo=UTC),
        tokens_per_minute=10**9,
    )
    url = reverse("api_keys:key", args=[key.team_id, key.pk])
    form = browser.get(url, {"dialog": "edit"}).context["edit_form"]
    sent = {field.name: field.value() for field in form if field.value() is not None}

    page = edit(browser, key, **sent).content.decode()

    assert "bot is as it was." in page
    assert audit.log(key.team).filter(operation="UpdateApiKey").count() == 1


def test_an_own_day_ends_with_the_persons_day(browser: Browser, key: ApiKey) -> None:
    edit(browser, key, expires="date", expires_on="2026-05-02")

    tallinn = ZoneInfo("Europe/Tallinn")
    assert stored(key).expires_at == datetime(2026, 5, 2, 23, 59, 59, tzinfo=tallinn)


def test_an_expired_key_can_be_renamed_and_let_go_on(browser: Browser, key: ApiKey) -> None:
    ApiKey.of(key.team).update(expires_at=NOON)

    edit(browser, key, name="robot", expires="date", expires_on="2026-03-01")
    renamed = stored(key)
    edit(browser, key, name="robot", expires="7")

    assert (renamed.name, renamed.expires_at) == ("robot", NOON)
    assert stored(key).expires_at == LATER + timedelta(days=7)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"name": ""}, "Enter a name."),
        ({"expires": "date"}, "Choose a day."),
        ({"expires": "date", "expires_on": "2026-02-28"}, "This day is over."),
        ({"expires": "date", "expires_on": "3000-01-01"}, "up to 31 Dec 2999"),
        ({"expires": "date", "expires_on": "soon"}, "Write a day like"),
        ({"expires": "-5"}, "Select a valid choice"),
        ({"endpoints": "none"}, "Select a valid choice"),
        ({"endpoints": "some", "endpoint_names": ["*"]}, "Select a valid choice"),
        ({"models": "some", "model_names": ["never-heard-of"]}, "Select a valid choice"),
        ({"requests_per_second": "0"}, "from 1 to 1,000,000"),
        ({"requests_per_minute": "-1"}, "from 1 to 1,000,000"),
        ({"requests_per_minute": "many"}, "from 1 to 1,000,000, or nothing."),
        ({"requests_per_minute": "1,5"}, "from 1 to 1,000,000, or nothing."),
        ({"requests_per_minute": "1 2 3"}, "from 1 to 1,000,000, or nothing."),
        ({"requests_per_minute": "1.000"}, "from 1 to 1,000,000, or nothing."),
        ({"requests_per_minute": "1_0"}, "from 1 to 1,000,000, or nothing."),
        ({"requests_per_minute": "1000,000"}, "from 1 to 1,000,000, or nothing."),
        ({"requests_per_minute": "\u0661\u0662"}, "from 1 to 1,000,000, or nothing."),
        ({"tokens_per_minute": "9" * 30}, "from 1 to 1,000,000,000,000"),
        ({"tokens_per_minute": "9" * 9_999}, "from 1 to 1,000,000,000,000, or"),
        ({"networks": "198.51.100.300"}, "198.51.100.300 is not an IP address or range."),
        ({"networks": "x" * 10_001}, "at most 10000 characters"),
        ({"monthly_cap": "0"}, "more than $0"),
        ({"monthly_cap": "-1"}, "-1 is less than $0.00."),
        ({"monthly_cap": "99999999"}, "up to $10,000,000"),
        ({"monthly_cap": "1.005"}, "1.005 is finer than a cent."),
        ({"monthly_cap": "1,00"}, "“1,00” is not an amount. Enter one like 25"),
        ({"monthly_cap": "1e5"}, "“1e5” is not an amount. Enter one like 25"),
        ({"monthly_cap": "1_0"}, "“1_0” is not an amount. Enter one like 25"),
        ({"monthly_cap": "NaN"}, "“NaN” is not an amount. Enter one like 25"),
    ],
)
def test_what_makes_no_sense_comes_back_with_the_reason(
    browser: Browser, team: Team, key: ApiKey, data: dict[str, Any], reason: str
) -> None:
    made = create(browser, team, **data)
    edited = edit(browser, key, **data)

    assert reason in made.content.decode()
    assert reason in edited.content.decode()
    assert '<dialog id="edit" aria-labelledby="edit-title" open' in edited.content.decode()
    assert list(ApiKey.of(team)) == [key]
    assert not audit.log(team).filter(operation="UpdateApiKey").exists()


def test_a_stale_form_says_so_and_overwrites_nothing(browser: Browser, key: ApiKey) -> None:
    change(key, requests_per_minute=600)

    page = edit(browser, key, seen_at=NOON.isoformat(), name="robot").content.decode()

    assert "was changed after this form was opened" in page
    assert (stored(key).name, stored(key).requests_per_minute) == ("bot", 600)


def test_a_double_click_on_save_ends_like_a_single_one(browser: Browser, key: ApiKey) -> None:
    first = edit(browser, key, name="robot").content.decode()
    second = edit(browser, key, name="robot", seen_at=NOON.isoformat()).content.decode()

    assert "robot is changed" in first
    assert "robot is as it was" in second
    assert audit.log(key.team).filter(operation="UpdateApiKey").count() == 1


def test_a_form_older_than_the_deletion_says_so(browser: Browser, key: ApiKey) -> None:
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    page = edit(browser, key, name="robot").content.decode()

    assert "was deleted and stays deleted" in page


def test_a_colleague_cannot_edit_the_key(key: ApiKey, team: Team, client: Client) -> None:
    client.force_login(make_member(team))

    assert edit(client, key, name="robot").status_code == 404
    assert stored(key).name == "bot"
