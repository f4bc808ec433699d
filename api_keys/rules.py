"""What a key may be called and used for. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from django.utils.text import get_text_list

NAME_LENGTH: Final = 80
# How many keys one sentence names.
NAMED_AT_MOST: Final = 10

# What a key may be used for, as the original writes it; "*" stands for every name.
ENDPOINT_ACL: Final = "api-key:endpoint:"
MODEL_ACL: Final = "api-key:model:"
EVERY: Final = "*"
# What the gateway serves, by the names that ACLs have for it.
ENDPOINTS: Final = {"chat": "Chat", "models": "Model list"}

# The unit of xAI's public usage.proto. Billing, a sibling that may not be asked, has the same.
TICKS_PER_USD: Final = 10_000_000_000

MOST_NETWORKS: Final = 100
MOST_REQUESTS: Final = 1_000_000
MOST_TOKENS: Final = 1_000_000_000_000
MOST_USD: Final = 10_000_000
# From when on a page warns that a key expires.
SOON: Final = timedelta(days=7)
# For how long the secret that a new one replaces may go on working.
GRACE_DEFAULT: Final = timedelta(hours=24)
GRACE_MOST: Final = timedelta(days=7)
GRACES: Final = (timedelta(0), timedelta(hours=1), GRACE_DEFAULT, timedelta(days=3), GRACE_MOST)
# How many models one cell names.
MODELS_NAMED: Final = 2
_LONGEST_QUOTE: Final = 45
_MAPPED_BITS: Final = 96  # Of ::ffff:0:0/96, where IPv4 lies within IPv6.


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

    @classmethod
    def of(cls, key: object) -> "Terms":
        """Read the terms of anything that has them as attributes of these names."""
        values: dict[str, Any] = {field.name: getattr(key, field.name) for field in fields(cls)}
        return cls(**values | {name: tuple(values[name]) for name in ("acls", "networks")})

    def may_nothing(self) -> bool:
        """Say whether the ACLs leave nothing to be done: it takes an endpoint and a model."""
        return not (acl_names(self.acls, ENDPOINT_ACL) and acl_names(self.acls, MODEL_ACL))


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


def acl_names(acls: Collection[str], prefix: str) -> list[str]:
    """List what ACLs of one kind name, or only "*" where they stand for every name."""
    names = [acl.removeprefix(prefix) for acl in acls if acl.startswith(prefix)]
    return [EVERY] if EVERY in names else names


def may_use(acls: Collection[str]) -> str:
    """Say in a table's cell what a key may be used for: "Everything", "Chat; atlas-8b"."""
    endpoints, models = acl_names(acls, ENDPOINT_ACL), acl_names(acls, MODEL_ACL)
    if not endpoints or not models:
        return "Nothing"
    if endpoints == [EVERY]:
        doing = "Everything" if models == [EVERY] else "All endpoints"
    else:
        doing = get_text_list([ENDPOINTS.get(name, name) for name in endpoints], "and").capitalize()
    return doing if models == [EVERY] else f"{doing}; {_some(models)}"


def _some(models: Sequence[str]) -> str:
    rest = len(models) - MODELS_NAMED
    shown = [*models[:MODELS_NAMED], f"{rest} more"] if rest > 0 else list(models)
    return get_text_list(shown, "and")


def expires_in(expires_at: datetime | None, now: datetime) -> str:
    """Say in words how long a key still works, if that is not long: "3 days"."""
    left = expires_at - now if expires_at else SOON + SOON
    if not timedelta(0) < left <= SOON:
        return ""
    for unit, size in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if left >= size:
            return _counted(round(left / size), unit)
    return _counted(max(1, left // timedelta(minutes=1)), "minute")


def span(length: timedelta) -> str:
    """Say how long a grace is: "24 hours", "3 days"."""
    if length > timedelta(days=1):
        return _counted(length.days, "day")
    return _counted(length // timedelta(hours=1), "hour")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


class TermsError(ValueError):
    """Something that a key cannot be limited by; `field` is the term that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check_terms(terms: Terms) -> None:
    """Refuse with a TermsError what could not be enforced or kept."""
    for field, most in (
        ("requests_per_second", MOST_REQUESTS),
        ("requests_per_minute", MOST_REQUESTS),
        ("tokens_per_minute", MOST_TOKENS),
    ):
        limit = getattr(terms, field)
        if limit is not None and not 1 <= limit <= most:
            raise TermsError(field, f"Enter a whole number from 1 to {most:,}, or nothing.")
    cap = terms.monthly_cap_ticks
    if cap is not None and not 0 < cap <= MOST_USD * TICKS_PER_USD:
        raise TermsError(
            "monthly_cap_ticks",
            f"Enter an amount of more than $0, up to ${MOST_USD:,}, or nothing for no cap.",
        )
    if terms.networks != networks_of(" ".join(terms.networks)):
        raise TermsError("networks", "Write each network once and in its shortest form.")
    for acl in terms.acls:
        if not acl.startswith((ENDPOINT_ACL, MODEL_ACL)):
            raise TermsError("acls", f"{_quoted(acl)} is neither an endpoint nor a model.")
    if len(set(terms.acls)) < len(terms.acls):
        raise TermsError("acls", "Name each endpoint and each model once.")


def networks_of(text: str) -> tuple[str, ...]:
    """Read addresses and networks that stand apart by commas or spaces, each in one spelling.

    Raises TermsError for the first that is none.
    """
    written = re.split(r"[,;\s]+", text.strip())
    networks = dict.fromkeys(_tidy_network(word) for word in written if word)
    if len(networks) > MOST_NETWORKS:
        raise TermsError(
            "networks", f"A key has at most {MOST_NETWORKS} networks; these are {len(networks)}."
        )
    return tuple(networks)


def _tidy_network(word: str) -> str:
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        raise TermsError("networks", f"{_quoted(word)} is not an IP address or range.") from None
    address = ip_address(word.partition("/")[0])
    if network.num_addresses > 1 and network.network_address != address:
        # Perhaps only the one address was meant, which nobody but the author can know.
        raise TermsError(
            "networks",
            f"{_quoted(word)} begins inside its range. Write {network} for the whole range or "
            f"{address} for the one address.",
        )
    if network.version == 6:  # noqa: PLR2004 -- of IP
        if getattr(network, "scope_id", None) or "%" in word:
            raise TermsError("networks", f"{_quoted(word)} has a zone, which no caller shows.")
        mapped = network.network_address.ipv4_mapped
        if mapped and network.prefixlen >= _MAPPED_BITS:
            # Callers are known by the shorter of these two spellings.
            network = IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return str(network)


def written(networks: Collection[str]) -> str:
    """Write networks for people, who know a single address without its prefix length."""
    return ", ".join(_written(network) for network in networks)


def _written(text: str) -> str:
    network = _network(text)
    return str(network.network_address) if network.num_addresses == 1 else text


def _quoted(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


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
