"""What makes a password easy to guess, said so that one can choose a better one."""

import re
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.models import User

# zxcvbn's scores go from 0 to 4; 3 takes 10^8 guesses, which nobody gets at our door.
LEAST_SCORE: Final = 3
# What is hard to guess so far stays hard. Of more, what looks like words in disguise ("4@8({[<")
# would keep zxcvbn busy for seconds.
READ_AT_MOST: Final = 24
MAX_LENGTH: Final = 1000

REASONS: Final = {
    "passwords": "It is like one of the passwords that leaked elsewhere and are tried first.",
    "user_inputs": "It is made of your name, your email or the name of this console.",
    "english_wikipedia": "It is made of a few common words.",
    "us_tv_and_film": "It is made of a few common words.",
    "surnames": "It is made of common names.",
    "male_names": "It is made of common names.",
    "female_names": "It is made of common names.",
    "spatial": "It follows the rows of the keyboard.",
    "repeat": "It repeats the same few characters.",
    "sequence": "It counts up or down.",
    "regex": "It is made of a year.",
    "date": "It is made of a date.",
}
OTHERWISE: Final = "It is easy to guess."

# zxcvbn keeps what it was told about the person in a place that all calls share.
_asking = Lock()


class GuessableValidator:
    """Refuses what programs that guess passwords would come to soon."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > MAX_LENGTH:
            raise ValidationError(
                f"A password can have at most {MAX_LENGTH} characters.", code="password_too_long"
            )
        guess = _guess(password[:READ_AT_MOST], _known_of(user))
        if guess["score"] < LEAST_SCORE:
            reason = _reason(guess["sequence"])
            raise ValidationError(
                f"{reason} Take a few words that have nothing to do with each other.",
                code="password_too_guessable",
            )

    def get_help_text(self) -> str:
        return "It must not be easy to guess."


def _guess(password: str, known: list[str]) -> dict[str, Any]:
    # Its word lists take 13 MB; only processes that see a new password need them.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # noqa: PLC0415

    with _asking:
        found: dict[str, Any] = zxcvbn(password, user_inputs=known)
    return found


def _known_of(user: Any) -> list[str]:
    """List the words that somebody would try first who knows whose account it is."""
    known = [settings.CONSOLE_NAME]
    if isinstance(user, User):
        known += [user.name, user.email, *re.split(r"\W+", f"{user.name} {user.email}")]
    return [word for word in known if word]


def _reason(sequence: list[dict[str, Any]]) -> str:
    """Say what the longest part of it is that can be guessed."""
    guessed = [part for part in sequence if part["pattern"] != "bruteforce"]
    if not guessed:
        return OTHERWISE
    longest = max(guessed, key=lambda part: len(part["token"]))
    kind = longest["dictionary_name"] if longest["pattern"] == "dictionary" else longest["pattern"]
    return REASONS.get(kind, OTHERWISE)
