"""What a key may be called, what its secret looks like, and how one is used. Pure."""

import re
import secrets
import string
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from django.utils.text import get_text_list

ALPHABET: Final = string.ascii_letters + string.digits
SECRET_LENGTH: Final = 80
NAME_LENGTH: Final = 80
# How many keys one sentence names.
NAMED_AT_MOST: Final = 10

PYTHON_EXAMPLE: Final = """\
import os
from openai import OpenAI

client = OpenAI(
    base_url="{base_url}",
    api_key=os.environ["CONSOLE_API_KEY"],
)
answer = client.chat.completions.create(
    model={model},
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)
"""


class KeyNameError(ValueError):
    """The name cannot be shown in a table or typed again to confirm."""


def tidy_name(name: str) -> str:
    """Trim the name and return it, or raise KeyNameError with a sentence that says what is wrong.

    Invisible characters would make two names look alike, and could not be typed again to confirm
    a deletion; for the latter's sake neighbouring spaces become one.
    """
    tidy = re.sub(" +", " ", name.strip())
    if not tidy:
        raise KeyNameError("Enter a name.")
    if len(tidy) > NAME_LENGTH:
        raise KeyNameError(
            f"A name has at most {NAME_LENGTH} characters; this one has {len(tidy)}."
        )
    if not tidy.isprintable():
        character = next(character for character in tidy if not character.isprintable())
        raise KeyNameError(
            "A name cannot contain line breaks or invisible characters; "
            f"this one has U+{ord(character):04X}."
        )
    return tidy


def named(names: Sequence[str]) -> str:
    """Count keys and name them, for a sentence: "2 API keys (bot and web)"."""
    shown = list(names[:NAMED_AT_MOST])
    if rest := len(names) - len(shown):
        shown.append(f"{rest} more")
    listed = get_text_list(shown, "and")
    return f"{len(names)} API key{'' if len(names) == 1 else 's'} ({listed})"


def new_secret(prefix: str) -> str:
    return f"{prefix}-" + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))


def redact(secret: str, prefix: str) -> str:
    """Leave what people may see of a secret, to tell keys apart."""
    return f"{prefix}-…{secret[-4:]}"


def digest_of(secret: str) -> str:
    """Say what we keep of a secret: 476 random bits need no slow hash."""
    return sha256(secret.encode()).hexdigest()


def python_example(base_url: str, *, model: str | None = None) -> str:
    """Write a program that uses a key. Without a model to name, it asks for one."""
    named = f'"{model}"' if model else "client.models.list().data[0].id"
    return PYTHON_EXAMPLE.format(base_url=base_url, model=named)
