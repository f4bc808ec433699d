"""What a key may be called and used for, and how one is used. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from django.utils.text import get_text_list

NAME_LENGTH: Final = 80
# How many keys one sentence names.
NAMED_AT_MOST: Final = 10

# What a key may be used for, as the original writes it; "*" stands for every name.
ENDPOINT_ACL: Final = "api-key:endpoint:"
MODEL_ACL: Final = "api-key:model:"
EVERY: Final = "*"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a key may be used for, until when, how often, from where and for how much money.

    A limit that is None does not exist, and so do networks when there are none. Without ACLs a key
    may do nothing.
    """

    acls: tuple[str, ...] = ()
    expires_at: datetime | None = None
    requests_per_second: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    networks: tuple[str, ...] = ()
    monthly_cap_ticks: int | None = None


EVERYTHING: Final = Terms(acls=(ENDPOINT_ACL + EVERY, MODEL_ACL + EVERY))


def acl_allows(
    acls: Collection[str], *, endpoint: str | None = None, model: str | None = None
) -> bool:
    """Say whether a key with these ACLs may use the endpoint and the model, as far as named."""
    return all(
        prefix + EVERY in acls or prefix + name in acls
        for prefix, name in ((ENDPOINT_ACL, endpoint), (MODEL_ACL, model))
        if name is not None
    )


def networks_allow(networks: Collection[str], ip: str) -> bool:
    """Say whether requests may come from the address: from any where no networks are named.

    An address that is none, such as that of a Unix socket, is in no network.
    """
    if not networks:
        return True
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    if address.version == 6:  # noqa: PLR2004 -- of IP
        # A dual-stack socket reports IPv4 callers in this form.
        address = address.ipv4_mapped or address
    return any(address in _network(network) for network in networks)


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    """Every request of a key that has networks asks for them."""
    return ip_network(text)


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


def python_example(base_url: str, *, model: str | None = None) -> str:
    """Write a program that uses a key. Without a model to name, it asks for one."""
    named = f'"{model}"' if model else "client.models.list().data[0].id"
    return PYTHON_EXAMPLE.format(base_url=base_url, model=named)
