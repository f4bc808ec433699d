"""Secrets: random, with a checksum that tells them from noise, and redacted wherever they stray."""

import re
import string
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_keys import secrets
from tests.factories import NOON

ALPHABET = string.digits + string.ascii_letters
# As docs/leaked-keys.md says it, so that scanners built from it go on working.
KNOWN = "ck-" + "0" * 74 + "3m1R6C"


def test_a_secret_is_what_the_documents_say_scanners_may_look_for() -> None:
    made = {secrets.new_secret("ck") for _ in range(50)}

    assert len(made) == 50
    for secret in made:
        assert re.fullmatch(r"\bck-[0-9A-Za-z]{80}\b", secret)
        assert secrets.is_secret(secret, "ck")
        number = 0
        for character in secret[-6:]:
            number = number * 62 + ALPHABET.index(character)
        assert number == crc32(secret[:77].encode())


def test_the_checksum_of_a_known_secret_never_changes() -> None:
    assert secrets.is_secret(KNOWN, "ck")


@given(place=st.integers(0, 82), character=st.sampled_from(ALPHABET + "-_ é"))
def test_one_wrong_character_makes_it_noise(place: int, character: str) -> None:
    spoiled = KNOWN[:place] + character + KNOWN[place + 1 :]

    assert secrets.is_secret(spoiled, "ck") is (spoiled == KNOWN)


@given(place=st.integers(3, 81))
def test_two_characters_that_changed_places_make_it_noise(place: int) -> None:
    secret = secrets.new_secret("ck")
    swapped = secret[:place] + secret[place + 1] + secret[place] + secret[place + 2 :]

    assert secrets.is_secret(swapped, "ck") is (swapped == secret)


@pytest.mark.parametrize(
    "noise", ["", "ck-", KNOWN[:-1], KNOWN + "a", KNOWN + "\n", " " + KNOWN, KNOWN[3:], "\ud800"]
)
def test_what_is_longer_shorter_or_something_else_is_noise(noise: str) -> None:
    assert not secrets.is_secret(noise, "ck")


def test_a_secret_of_another_prefix_is_noise_and_a_prefix_is_no_pattern() -> None:
    assert not secrets.is_secret(KNOWN, "cx")
    assert not secrets.is_secret(secrets.new_secret("ck"), "c.")
    assert secrets.is_secret(secrets.new_secret("a.b+c"), "a.b+c")


@given(before=st.text(max_size=9), after=st.text(max_size=9))
def test_a_secret_is_hidden_wherever_it_stands(before: str, after: str) -> None:
    secret = secrets.new_secret("ck")

    hidden = secrets.hide(f"{before}{secret}{after}")

    assert secret[3:40] not in hidden
    assert secret[:-4] not in hidden


def test_what_is_hidden_can_still_be_told_apart_and_the_rest_can_be_read() -> None:
    secret = secrets.new_secret("ck")
    address = "https://github.com/larkspur/site/blob/4a86689f0d3c5b2e1a7968d4c3b2a190f8e7d6c5/x.py"

    assert secrets.hide(f"GET /?key={secret}&b=1") == f"GET /?key=ck-…{secret[-4:]}&b=1"
    assert secrets.hide(f"/{secret[3:]}/") == f"/…{secret[-4:]}/"
    assert secrets.hide(secrets.digest_of(secret)) == f"…{secrets.digest_of(secret)[-4:]}"
    assert secrets.hide(f"{address} at {NOON}") == f"{address} at {NOON}"
