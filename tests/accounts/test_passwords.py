"""Passwords that are refused, each with its reason, and those that are taken."""

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import User
from accounts.passwords import READ_AT_MOST
from tests.accounts.people import sign_up

ALICE = User(name="Alice Larkspur", email="alice.fen@example.test")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short-7", "at least 10 characters"),
        ("password12", "leaked elsewhere"),
        ("iloveyou2024", "leaked elsewhere"),
        ("P@ssw0rd123", "leaked elsewhere"),
        ("qwertyuiop", "leaked elsewhere"),
        ("zxcvbnm,./asdf", "rows of the keyboard"),
        ("aaaaaaaaaaaa", "repeats the same"),
        ("abcabcabcabc", "repeats the same"),
        ("abcdefghijkl", "counts up or down"),
        ("1994-03-01", "made of a date"),
        ("alicelarkspur", "your name"),
        ("Larkspur2026!", "your name"),
        ("alice.fen@example.test", "your email"),
        ("consoleconsole", "repeats"),
        ("x" * 1001, "at most 1000 characters"),
    ],
)
def test_what_is_easy_to_guess_is_refused_with_the_reason(password: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        validate_password(password, ALICE)


@pytest.mark.parametrize(
    "password",
    [
        "plain-sailing-42",
        "correct horse battery staple",
        "one-tick-is-1e-10-dollars",
        "7f!Qz2#vLm9",
        "Straßenlaterne mit Übermut",
        "鳥が静かに歌っている朝の川",
        "plain-sailing-42" * 20,
    ],
)
def test_what_is_hard_to_guess_is_taken(password: str) -> None:
    validate_password(password, ALICE)


def test_only_the_beginning_is_read_so_that_no_password_keeps_the_console_busy() -> None:
    validate_password("7f!Qz2#vLm9-plain-sailing" + "({[<4@691!|$5+7" * 60, ALICE)

    with pytest.raises(ValidationError, match="repeats the same"):
        validate_password("a" * READ_AT_MOST + "7f!Qz2#vLm9-plain-sailing", ALICE)


@pytest.mark.django_db
def test_the_sign_up_form_says_why(client: Client) -> None:
    page = sign_up(client, "bob@example.test", "password1234")

    assert "leaked elsewhere" in page.content.decode()
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_sign_up_form_knows_the_name_too(client: Client) -> None:
    page = sign_up(client, "bob@example.test", "zorblaxquimbly", name="Zorblax Quimbly")

    assert "your name" in page.content.decode()
    assert not User.objects.exists()
