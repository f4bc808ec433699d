"""Passkeys and security keys: adding, signing in alone, second step, and what must not pass."""

import json
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import User
from accounts.services.factors import MAX_KEYS
from audit import services as audit
from tests.accounts.authenticators import SecurityKey, add_app, add_key, factor_types
from tests.accounts.people import make_person, sign_in
from tests.clients import Browser

ADD = "/account/security/keys/add/"
DOOR = "/accounts/passkey/"
SECOND_STEP = "/accounts/factor/"
PROVE = "/account/security/prove/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _localhost(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"


def options_in(page: Any) -> dict[str, Any]:
    found = re.search(
        r'<script id="passkey-options" type="application/json">(.*?)</script>',
        page.content.decode(),
    )
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def options_of_door(client: Client) -> dict[str, Any]:
    answer = client.get(DOOR, headers={"Accept": "application/json"})
    return answer.json()["request_options"]  # type: ignore[no-any-return]


def is_verified(client: Client) -> bool:
    """Say whether the session counts as one with a second factor."""
    return "otp_device_id" in client.session


def test_a_key_is_added_with_recovery_codes_mail_and_a_line_in_the_log(
    client: Client, person: User
) -> None:
    client.force_login(person)
    page = client.get(ADD)
    options = options_in(page)
    assert options["publicKey"]["rp"] == {"id": "localhost", "name": "Console"}
    key = SecurityKey(person)

    answer = client.post(
        ADD,
        {
            "name": "  My \t laptop ",
            "passwordless": "on",
            "credential": json.dumps(key.create(options)),
        },
    )

    assertRedirects(answer, "/account/security/codes/", fetch_redirect_response=False)
    assert factor_types(person) == {"webauthn", "recovery_codes"}
    listed = client.get("/account/security/").content.decode()
    assert "My laptop" in listed
    assert "Signs in without a password" in listed
    assert mail.outbox[-1].subject == "A second factor was added to your account at Console"
    assert "Passkey My laptop was added" in mail.outbox[-1].body
    event = next(
        e for e in audit.log(accounts.personal_team(person)) if e.operation == "AddSecondFactor"
    )
    assert (event.before, event.after) == (
        {"second_factors": []},
        {"second_factors": ["Passkey My laptop"]},
    )


def test_a_passkey_signs_in_alone_and_the_session_is_verified(client: Client, person: User) -> None:
    key = add_key(person)

    answer = client.post(
        DOOR, {"credential": json.dumps(key.get(options_of_door(client))), "next": "/account/"}
    )

    assertRedirects(answer, "/account/", fetch_redirect_response=False)
    assert client.session[SESSION_KEY] == str(person.pk)
    assert is_verified(client)
    log = audit.log(accounts.personal_team(person))
    assert log[0].operation == "SignIn"


def test_a_key_is_a_second_step(client: Client, person: User) -> None:
    key = add_key(person)
    sign_in(client, person.email)
    page = client.get(SECOND_STEP)
    assert "Use passkey" in page.content.decode()

    client.post(SECOND_STEP, {"credential": json.dumps(key.get(options_in(page)))})

    assert client.session[SESSION_KEY] == str(person.pk)
    assert is_verified(client)


def test_a_key_proves_who_one_is(person: User) -> None:
    key, browser = add_key(person), Browser()
    browser.force_login(person, age=3600)
    page = browser.get(f"{PROVE}?next=/account/")

    answer = browser.post(
        f"{PROVE}?next=/account/", {"credential": json.dumps(key.get(options_in(page)))}
    )

    assert answer.headers["Location"] == "/account/"
    assert browser.get(ADD).status_code == 200
    assert is_verified(browser)


def test_an_answer_works_once(person: User) -> None:
    key, browser, thief = add_key(person), Browser(), Browser()
    answer = json.dumps(key.get(options_of_door(browser)))
    browser.post(DOOR, {"credential": answer})
    assert SESSION_KEY in browser.session

    browser.post(reverse("account_logout"))
    for client in (browser, thief):
        client.post(DOOR, {"credential": answer})
        assert SESSION_KEY not in client.session
        options_of_door(client)
        client.post(DOOR, {"credential": answer})
        assert SESSION_KEY not in client.session


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "http://localhost.evil.test:8000", "http://evil.test", "null", "file://"],
)
def test_an_answer_given_to_another_site_opens_nothing(
    client: Client, person: User, origin: str
) -> None:
    key = add_key(person)
    key.origin = origin

    client.post(DOOR, {"credential": json.dumps(key.get(options_of_door(client)))})

    assert SESSION_KEY not in client.session


def test_the_host_that_a_request_names_changes_nothing(
    client: Client, settings: Settings, person: User
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    client.force_login(person)

    options = options_in(client.get(ADD, headers={"Host": "evil.test"}))

    assert options["publicKey"]["rp"]["id"] == "localhost"


def test_a_key_that_did_not_see_its_person_does_not_sign_in_alone(
    client: Client, person: User
) -> None:
    key = add_key(person)

    client.post(DOOR, {"credential": json.dumps(key.get(options_of_door(client), verified=False))})

    assert SESSION_KEY not in client.session


def test_an_answer_is_good_for_the_question_it_was_given_to_only(person: User) -> None:
    key, halfway, other = add_key(person), Browser(), make_person()
    add_key(other)
    sign_in(halfway, other.email)
    options = options_in(halfway.get(SECOND_STEP))
    halfway.get(reverse("account_signup"))  # Which forgets the sign-in, and not the question.
    for verified in (True, False):
        answer = json.dumps(key.get(options, verified=verified))
        halfway.post(DOOR, {"credential": answer})
        assert SESSION_KEY not in halfway.session

    stranger = Browser()
    answer = json.dumps(key.get(options_of_door(stranger)))
    sign_in(stranger, person.email)
    stranger.post(SECOND_STEP, {"credential": answer})
    assert SESSION_KEY not in stranger.session

    stale = Browser()
    stale.force_login(person, age=3600)
    options = options_in(stale.get(PROVE))
    session = stale.session
    session["mfa.webauthn.state"] |= {"ceremony": "second-step"}
    session.save()
    stale.post(PROVE, {"credential": json.dumps(key.get(options))})
    assert stale.get(ADD).status_code == 302


def test_a_key_that_was_not_added_for_it_does_not_sign_in_alone(
    client: Client, person: User
) -> None:
    client.force_login(person)
    key = SecurityKey(person)
    credential = json.dumps(key.create(options_in(client.get(ADD))))
    client.post(ADD, {"name": "Blue key", "credential": credential})
    assert "Signs in without a password" not in client.get("/account/security/").content.decode()
    visitor = Browser()

    answer = visitor.post(
        DOOR, {"credential": json.dumps(key.get(options_of_door(visitor)))}, follow=True
    )

    assert SESSION_KEY not in visitor.session
    assert "This passkey is a second step only." in answer.content.decode()
    sign_in(visitor, person.email)
    options = options_in(visitor.get(SECOND_STEP))
    visitor.post(SECOND_STEP, {"credential": json.dumps(key.get(options))})
    assert is_verified(visitor)


def test_a_key_opens_no_other_account(client: Client, person: User) -> None:
    key, other = add_key(person), make_person()
    add_key(other)
    key.user_handle = other.pk.hex.encode()

    client.post(DOOR, {"credential": json.dumps(key.get(options_of_door(client)))})
    assert SESSION_KEY not in client.session

    sign_in(client, other.email)
    page = client.get(SECOND_STEP)
    answer = client.post(SECOND_STEP, {"credential": json.dumps(key.get(options_in(page)))})
    assert "This passkey does not open this account" in answer.content.decode()
    assert SESSION_KEY not in client.session


def test_a_closed_account_stays_closed_to_its_passkey(client: Client, person: User) -> None:
    key = add_key(person)
    person.is_active = False
    person.save()

    client.post(DOOR, {"credential": json.dumps(key.get(options_of_door(client)))})

    assert SESSION_KEY not in client.session


NONSENSE = [
    "",
    "null",
    "[]",
    "{}",
    "7",
    '"text"',
    "not json",
    '{"id": 7}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": null}',
    json.dumps(
        {"id": "AA", "rawId": "AA", "type": "public-key"}
        | {
            "response": dict.fromkeys(
                ["clientDataJSON", "authenticatorData", "signature", "userHandle"], "AA"
            )
        }
    ),
    json.dumps(
        {"id": "AA", "rawId": "AA", "type": "public-key"}
        | {"response": {"clientDataJSON": "AA", "attestationObject": "AA"}}
    ),
    '{"id": "\\u0000", "rawId": "ü", "type": [], "response": [1]}',
    "[" * 2000,
]


@pytest.mark.parametrize("sent", NONSENSE)
def test_nonsense_opens_nothing_and_breaks_nothing(person: User, sent: str) -> None:
    add_key(person)
    visitor, halfway, member, stale = Browser(), Browser(), Browser(), Browser()
    options_of_door(visitor)
    sign_in(halfway, person.email)
    halfway.get(SECOND_STEP)
    member.force_login(person)
    member.get(ADD)
    stale.force_login(person, age=3600)
    stale.get(PROVE)

    assert visitor.post(DOOR, {"credential": sent}).status_code == 302
    assert halfway.post(SECOND_STEP, {"credential": sent}).status_code == 200
    assert member.post(ADD, {"name": "x", "credential": sent}).status_code == 200
    assert stale.post(PROVE, {"credential": sent}).status_code == 200

    assert SESSION_KEY not in visitor.session
    assert SESSION_KEY not in halfway.session
    assert Authenticator.objects.filter(user=person).count() == 1


def test_a_refused_passkey_says_so_at_the_door_and_keeps_where_one_was_going(
    client: Client,
) -> None:
    options_of_door(client)

    answer = client.post(DOOR, {"credential": '{"id": 7}', "next": "/account/"}, follow=True)

    assert answer.redirect_chain[0][0] == "/accounts/login/?next=%2Faccount%2F"
    assert "This passkey does not open this account" in answer.content.decode()
    strange = client.post(DOOR, {"credential": "{}", "next": "https://evil.test/"})
    assert "evil" not in strange.headers["Location"]


def test_keys_are_renamed_and_removed_by_their_person_only(person: User) -> None:
    add_key(person, "Mine")
    mine = Authenticator.objects.get()
    stranger = Browser()
    stranger.force_login(make_person())
    rename, remove = (f"/account/security/keys/{mine.pk}/{verb}/" for verb in ("rename", "remove"))
    stranger.post(rename, {"name": "Theirs"})
    stranger.post(remove)
    assert Authenticator.objects.get().wrap().name == "Mine"

    browser = Browser()
    browser.force_login(person)
    browser.post(rename, {"name": " Blue   key "})
    assert "Blue key" in browser.get(remove).content.decode()
    browser.post(remove)
    browser.post(remove)

    assert not Authenticator.objects.exists()
    operations = [e.operation for e in audit.log(accounts.personal_team(person))]
    assert operations.count("RemoveSecondFactor") == 1
    assert operations.count("RenameSecondFactor") == 1


def test_nobody_has_keys_without_end(client: Client, person: User) -> None:
    for number in range(MAX_KEYS):
        add_key(person, f"Key {number}")
    client.force_login(person)
    options = options_in(client.get(ADD))
    credential = json.dumps(SecurityKey(person).create(options))

    answer = client.post(ADD, {"name": "One more", "credential": credential}, follow=True)

    assert f"There are {MAX_KEYS} passkeys already." in answer.content.decode()
    assert Authenticator.objects.count() == MAX_KEYS


def test_the_second_step_offers_what_the_person_has(client: Client, person: User) -> None:
    add_app(person)
    sign_in(client, person.email)

    page = client.get(SECOND_STEP).content.decode()

    assert "Six digits from your authenticator app" in page
    assert "Use passkey" not in page
    assert "passkeys.js" not in page
