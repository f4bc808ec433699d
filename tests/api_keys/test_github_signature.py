"""GitHub's signature and its list of keys: the published vectors, forgeries, and a list that ails.

Both vectors are from GitHub's documentation of its partner program, with keys that sign tests only.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.cache import cache
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings

from api_keys import services as api_keys
from api_keys.services import BadSignatureError, KeysUnavailableError
from tests.api_keys.github import KeyList, Scanner, tampered
from tests.factories import NOON
from tests.races import race
from tests.servers import until

START_OF_A_KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQg"
VECTORS = {
    "with a source": (
        "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d",
        "AEsz9ugWDj5jK5ELBK42ynytbo38gPHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==",
        b'[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]',
        (
            "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6"
            "WJY="
        ),
    ),
    "without a source": (
        "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a",
        "AE9MJJHnMfn2+H4xL4YaPDA4RpJqUqkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==",
        b'[{"token":"some_token","type":"some_type","url":"some_url"}]',
        (
            "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNk"
            "rKc="
        ),
    ),
}
BODY = b'[{"token":"x"}]'


def pem_of(rest: str) -> str:
    text = START_OF_A_KEY + rest
    return f"-----BEGIN PUBLIC KEY-----\n{text[:64]}\n{text[64:]}\n-----END PUBLIC KEY-----\n"


def check(scanner: Scanner, body: bytes = BODY, *, key_id: str = "", now: datetime = NOON) -> None:
    api_keys.verify_github(
        body=body, key_id=key_id or scanner.id, signature=scanner.sign(body), now=now
    )


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("is_current", [True, False])
def test_the_published_reports_verify_also_by_a_key_that_was_replaced(
    key_list: KeyList,
    vector: str,
    is_current: bool,  # noqa: FBT001
) -> None:
    key_id, rest, body, signature = VECTORS[vector]
    key_list.keys[key_id] = pem_of(rest)
    key_list.is_current = is_current

    api_keys.verify_github(body=body, key_id=key_id, signature=signature, now=NOON)

    for other in (body + b" ", body.replace(b"some_url", b"evil_url"), b""):
        with pytest.raises(BadSignatureError, match="does not fit the body"):
            api_keys.verify_github(body=other, key_id=key_id, signature=signature, now=NOON)
    with pytest.raises(BadSignatureError, match="does not fit the body"):
        api_keys.verify_github(body=body, key_id=key_id, signature=tampered(signature), now=NOON)


def test_the_key_of_one_vector_does_not_verify_the_other(key_list: KeyList) -> None:
    (one, first, _, _), (_, _, body, signature) = VECTORS.values()
    key_list.keys[one] = pem_of(first)

    with pytest.raises(BadSignatureError, match="does not fit the body"):
        api_keys.verify_github(body=body, key_id=one, signature=signature, now=NOON)


@pytest.mark.parametrize(
    ("key_id", "signature", "reason"),
    [
        ("", "MEUC", "headers Github-Public-Key-Identifier and"),
        ("scanner-1", "", "headers Github-Public-Key-Identifier and"),
        ("scanner-1", "no base64!", "not in base64"),
        ("scanner-1", "é", "not in base64"),
        ("scanner-1", "MEUC", "does not fit"),
        ("scanner-1", "A" * 260, "too long"),
        ("k" * 129, "MEUC", "too long"),
        ("nobody", "MEUC", "lists no key nobody"),
    ],
)
@pytest.mark.usefixtures("scanner")
def test_what_is_no_signature_is_refused_with_the_reason(
    key_id: str, signature: str, reason: str
) -> None:
    with pytest.raises(BadSignatureError, match=reason):
        api_keys.verify_github(body=BODY, key_id=key_id, signature=signature, now=NOON)


def test_a_listed_key_of_another_kind_verifies_nothing(key_list: KeyList) -> None:
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other_curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    no_curve = rsa.generate_private_key(65537, 2048).public_key()
    key_list.keys["curve"] = other_curve.public_bytes(*form).decode()
    key_list.keys["rsa"] = no_curve.public_bytes(*form).decode()
    key_list.keys["noise"] = "no PEM"

    for key_id in key_list.keys:
        with pytest.raises(BadSignatureError, match="not on the curve P-256"):
            check(Scanner(), key_id=key_id)


def outcome(act: Callable[[], None]) -> Exception | None:
    try:
        act()
    except Exception as error:  # noqa: BLE001 -- the test looks at it
        return error
    return None


# --- How often GitHub is asked


def test_the_list_is_asked_for_once_in_half_an_hour(key_list: KeyList, scanner: Scanner) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for minutes in (0, 1, 29):
            clock.move_to(NOON + timedelta(minutes=minutes))
            check(scanner, now=NOON + timedelta(minutes=minutes))
        assert key_list.asked == 1

        clock.move_to(NOON + timedelta(minutes=31))
        check(scanner, now=NOON + timedelta(minutes=31))

    assert key_list.asked == 2


def test_a_key_that_is_new_is_found_and_made_up_ones_ask_once_a_minute(
    key_list: KeyList, scanner: Scanner
) -> None:
    late = NOON + timedelta(minutes=2)
    newer = Scanner("scanner-2")
    with time_machine.travel(NOON, tick=False) as clock:
        check(scanner)
        for number in range(20):
            with pytest.raises(BadSignatureError, match="lists no key"):
                check(scanner, key_id=f"made-up-{number}")
        assert key_list.asked == 1  # A minute has not passed since it was asked.
        key_list.keys[newer.id] = newer.pem

        clock.move_to(late)
        check(newer, now=late)
        for number in range(20):
            with pytest.raises(BadSignatureError, match="lists no key"):
                check(scanner, key_id=f"made-up-{number}", now=late)

    assert key_list.asked == 2


@pytest.mark.django_db(transaction=True)
def test_reports_that_come_at_once_ask_once_and_do_not_wait_for_each_other(
    key_list: KeyList, scanner: Scanner
) -> None:
    key_list.answers.clear()

    def another() -> None:
        until(lambda: key_list.asked, "the first to ask")
        check(scanner)

    def last() -> None:
        until(lambda: len(answered) == len(others), "the others to be answered")
        key_list.answers.set()

    answered: list[object] = []
    others = [lambda: answered.append(outcome(another))] * 7
    results = race(lambda: check(scanner), *others, last)

    # Nobody knows yet; who comes again will be believed.
    assert [type(each) for each in answered] == [KeysUnavailableError] * 7
    assert results[0] is None
    assert key_list.asked == 1
    check(scanner)


@pytest.mark.django_db(transaction=True)
def test_while_one_asks_an_old_list_serves_and_the_connection_is_others(
    key_list: KeyList, scanner: Scanner
) -> None:
    check(scanner)
    cache.delete(f"github-keys:{key_list.url}:asked")
    key_list.answers.clear()
    late = NOON + timedelta(hours=1)
    lent: list[BaseDatabaseWrapper] = []

    def first() -> None:
        lent.append(connections["default"])
        check(scanner, now=late)

    def others() -> None:
        until(lambda: key_list.asked == 2, "the first to ask")
        check(scanner, now=late)
        with pytest.raises(KeysUnavailableError):
            check(Scanner("scanner-2"), now=late)
        assert lent[0].connection is None
        key_list.answers.set()

    assert race(first, others) == [None, None]


@pytest.mark.parametrize(
    ("status", "text"),
    [(500, None), (429, None), (200, "no JSON"), (200, "[]"), (200, '{"public_keys": [7]}')],
)
def test_without_a_list_nobody_is_believed_and_the_next_minute_asks_again(
    key_list: KeyList, scanner: Scanner, status: int, text: str | None
) -> None:
    key_list.status, key_list.text = status, text
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(3):
            with pytest.raises(KeysUnavailableError, match="Send it again later"):
                check(scanner)
        assert key_list.asked == 1
        key_list.status, key_list.text = 200, None

        clock.move_to(NOON + timedelta(seconds=61))
        check(scanner, now=NOON + timedelta(seconds=61))


def test_an_old_list_serves_for_a_day_while_github_cannot_be_reached(
    key_list: KeyList, scanner: Scanner
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        check(scanner)
        key_list.status = 503

        for hours in (1, 23):
            clock.move_to(NOON + timedelta(hours=hours))
            check(scanner, now=NOON + timedelta(hours=hours))
        # Whether a key that is not on it is GitHub's, nobody knows.
        with pytest.raises(KeysUnavailableError):
            check(Scanner("scanner-2"), now=NOON + timedelta(hours=23))

        clock.move_to(NOON + timedelta(hours=25))
        with pytest.raises(KeysUnavailableError):
            check(scanner, now=NOON + timedelta(hours=25))


def test_a_list_of_another_address_is_another_list(
    key_list: KeyList, scanner: Scanner, settings: Settings
) -> None:
    check(scanner)
    settings.GITHUB_SECRET_SCANNING_KEYS_URL = "http://127.0.0.1:9/keys"

    with pytest.raises(KeysUnavailableError):
        check(scanner)

    assert cache.get(f"github-keys:{key_list.url}")
