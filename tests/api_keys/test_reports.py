"""Reports of leaked secrets: what others wrote is kept with care, and only GitHub is heard."""

import json

import pytest
from django.core import mail
from django.test import Client

from api_keys import services as api_keys
from tests.api_keys.github import PATH, KeyList, Scanner, post
from tests.api_keys.reports import leaks, make_key, match, stored

pytestmark = pytest.mark.django_db

# --- What others wrote


@pytest.mark.parametrize(
    ("url", "kept", "is_link"),
    [
        ("javascript:alert(1)", "javascript:alert(1)", False),
        ("HTTPS://github.com/x", "HTTPS://github.com/x", False),
        ("https://github.com/ä b", "https://github.com/%C3%A4%20b", True),
        ("https://x.test/\u202e\n\u0000", "https://x.test/%E2%80%AE%0A%00", True),
        ("https://x.test/" + "é" * 2000, ("https://x.test/" + "%C3%A9" * 2000)[:1000], True),
        ("  https://x.test/<b>  ", "https://x.test/%3Cb%3E", True),
    ],
)
def test_an_address_is_kept_so_that_it_can_be_shown(
    client: Client,
    scanner: Scanner,
    url: str,
    kept: str,
    is_link: bool,  # noqa: FBT001
) -> None:
    created = make_key()

    scanner.send(client, [match(created.secret, url=url, source="com\u0000mit" + "é" * 90)])

    (leak,) = api_keys.leaks_of(created.key)
    assert (leak.url, bool(leak.link)) == (kept, is_link)
    assert leak.source == ("commit" + "é" * 90)[:60]


def test_a_secret_in_the_address_is_not_kept(client: Client, scanner: Scanner) -> None:
    created, other = make_key(), make_key()
    url = f"https://x.test/?key={created.secret}&other={other.secret}9"

    scanner.send(client, [match(created.secret, url=url, source=created.secret)])

    (leak,) = leaks()
    for text in (leak["url"], leak["source"], str(mail.outbox[0].body)):
        assert created.secret[3:20] not in text
        assert other.secret[3:20] not in text


# --- Who is not GitHub


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_is_heard(client: Client, method: str) -> None:
    assert getattr(client, method)(PATH).status_code == 405


def test_forgeries_change_nothing(client: Client, scanner: Scanner) -> None:
    created = make_key()
    body = json.dumps([match(created.secret)]).encode()
    good = scanner.sign(body)
    stranger = Scanner(scanner.id)

    answers = [
        client.post(PATH, body, content_type="application/json"),
        post(client, body, scanner.id, ""),
        post(client, body, "", good),
        post(client, body, scanner.id, "?"),
        post(client, body, scanner.id, stranger.sign(body)),
        post(client, body, "scanner-2", good),
        post(client, body + b" ", scanner.id, good),
        # The same JSON in other bytes.
        post(client, json.dumps(json.loads(body), indent=1).encode(), scanner.id, good),
    ]

    for answer in answers:
        assert answer.status_code == 400
        assert set(answer.json()) == {"error"}  # type: ignore[attr-defined]
    assert not stored(created).blocked_at
    assert post(client, body, scanner.id, good).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b'"x"',
        b"null",
        b"7",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
    ids=repr,
)
def test_what_is_signed_but_no_list_is_refused(
    client: Client, scanner: Scanner, body: bytes
) -> None:
    answer = scanner.send(client, body)

    assert answer.status_code == 400
    assert json.loads(answer.content)["error"].startswith("The body is not")


def test_a_report_that_is_too_long_is_refused_unread(client: Client, scanner: Scanner) -> None:
    answer = scanner.send(client, b" " * (2 * 2**20 + 1))

    assert answer.status_code == 413
    assert scanner.send(client, b"[]" + b" " * (2 * 2**20 - 2)).status_code == 200


def test_without_githubs_keys_the_answer_asks_to_come_again(
    client: Client, scanner: Scanner, key_list: KeyList
) -> None:
    key_list.status = 500

    answer = scanner.send(client, [match(make_key().secret)])

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"


def test_a_list_that_cannot_be_had_is_logged_once_and_not_with_each_request(
    client: Client, scanner: Scanner, key_list: KeyList, caplog: pytest.LogCaptureFixture
) -> None:
    key_list.status = 500

    for _ in range(5):
        assert scanner.send(client, []).status_code == 503

    errors = [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    assert [record.name for record in errors] == ["api_keys.services.github"]


def test_no_cookie_is_set_and_a_csrf_check_does_not_stand_in_the_way(scanner: Scanner) -> None:
    strict = Client(enforce_csrf_checks=True)

    answer = scanner.send(strict, [])

    assert answer.status_code == 200
    assert not answer.cookies
