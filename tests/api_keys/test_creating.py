"""Creating a key on the page: its secret is shown once, and what is wrong is said in the form."""

from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from tests.api_keys.pages import PART, create, url
from tests.factories import NOON

pytestmark = pytest.mark.django_db


def test_the_secret_of_a_new_key_is_shown_with_what_to_do_with_it(
    client: Client, team: Team, bob: User
) -> None:
    client.force_login(bob)

    response = create(client, team)

    created = response.context["created"]
    page = response.content.decode()
    assert created.key.owner == bob
    assert api_keys.find([api_keys.digest_of(created.secret)], now=NOON)
    assert f"<code>{created.secret}</code>" in page
    assert f'data-copy="{created.secret}"' in page
    assert "base_url=&quot;http://localhost:8000/v1&quot;" in page
    assert "I have stored it" in page
    assert "no-store" in response.headers["Cache-Control"]


def test_htmx_gets_the_secret_in_the_part_it_replaces(
    client: Client, team: Team, alice: User
) -> None:
    client.force_login(alice)

    response = client.post(
        url(team, "create"), {"name": "returns-bot", "key_id": str(uuid4())}, headers=PART
    )

    page = response.content.decode()
    assert page.strip().startswith('<div id="api-keys"')
    assert response.context["created"].secret in page


def test_the_same_form_sent_twice_makes_one_key_and_shows_its_secret_once(
    client: Client, team: Team, alice: User
) -> None:
    client.force_login(alice)
    key_id = str(uuid4())
    secret = create(client, team, key_id=key_id).context["created"].secret

    again = client.post(url(team, "create"), {"name": "returns-bot", "key_id": key_id})
    landing = client.get(again.headers["Location"])

    assert again.status_code == 302
    assert "was already sent" in landing.content.decode()
    assert secret not in landing.content.decode()
    assert ApiKey.of(team).count() == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "Enter a name."),
        ("  ", "Enter a name."),
        ("x" * 81, "this one has 81"),
        ("x" * 100_000, "this one has 100000"),
        ("a\nb", "U+000A"),
        ("a\u202eb", "U+202E"),
        ("a\x00b", "Null characters"),
    ],
)
def test_a_bad_name_comes_back_in_the_form_with_the_reason(
    client: Client, team: Team, alice: User, name: str, reason: str
) -> None:
    client.force_login(alice)

    response = create(client, team, name)

    assert reason in response.content.decode()
    assert not ApiKey.of(team).exists()


def test_a_form_that_comes_back_keeps_its_key_id(client: Client, team: Team, alice: User) -> None:
    client.force_login(alice)
    key_id = str(uuid4())

    response = create(client, team, "", key_id=key_id)

    assert key_id in response.content.decode()


def test_a_form_without_a_key_id_makes_nothing(client: Client, team: Team, alice: User) -> None:
    client.force_login(alice)

    response = create(client, team, key_id="7")

    assert response.status_code == 200
    assert not ApiKey.of(team).exists()


def test_a_name_is_shown_as_text(client: Client, team: Team, alice: User) -> None:
    client.force_login(alice)

    page = create(client, team, "<script>alert(1)</script>\"'").content.decode()

    assert "<script>alert" not in page


def test_the_python_example_is_python() -> None:
    compile(api_keys.python_example("http://localhost:8000/v1"), "example", "exec")
