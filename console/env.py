"""Read settings from the environment: typed, and loud when a value makes no sense."""

import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name) or default
    if value is None:
        message = f"{name} is not set. See .env.example for every variable the console reads."
        raise ImproperlyConfigured(message)
    return value


def flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name) or str(default)
    if value not in {"True", "False"}:
        message = f"{name}={value!r} is neither 'True' nor 'False'."
        raise ImproperlyConfigured(message)
    return value == "True"


def number(name: str, *, default: int, least: int = 0, most: int = 2**31) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        message = f"{name}={value!r} is not a whole number from {least} to {most}."
        raise ImproperlyConfigured(message)
    return int(value)


def percent(name: str, *, default: str) -> Decimal:
    """Read a part of a hundred, with at most two decimals."""
    value = os.environ.get(name) or default
    if not re.fullmatch(r"\d{1,2}(\.\d{1,2})?|100(\.00?)?", value, re.ASCII):
        message = f"{name}={value!r} is not a percentage from 0 to 100, such as 19 or 7.25."
        raise ImproperlyConfigured(message)
    return Decimal(value)


def choice(name: str, *, default: str, of: Sequence[str]) -> str:
    value = os.environ.get(name) or default
    if value not in of:
        message = f"{name}={value!r} is none of {', '.join(of)}."
        raise ImproperlyConfigured(message)
    return value


def names(name: str, default: str = "") -> list[str]:
    """Split a comma-separated list, without blanks."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def clickhouse(name: str, *, default: str) -> dict[str, Any] | None:
    """Read how a ClickHouse is reached: what its client takes, and `cluster`. None: by no means.

    The message of an error does not repeat the value, which has a password in it.
    """
    value = os.environ.get(name) or default
    if value == default:
        return None
    try:
        address = urlsplit(value)
        port = address.port
    except ValueError:
        # From None, as what Python says may repeat a password that is not escaped.
        raise _not_clickhouse(name, default, "it is no address.") from None
    options = dict(parse_qsl(address.query, keep_blank_values=True))
    secure, cluster = options.pop("secure", "False"), options.pop("cluster", "")
    database = address.path.removeprefix("/")
    wrong = {
        "it does not begin with clickhouse://.": address.scheme != "clickhouse",
        "it names no host.": not address.hostname,
        "its path is not a database's name of letters, digits and _.": not _is_name(database),
        "it has options other than secure and cluster.": options or address.fragment,
        "secure is neither 'True' nor 'False'.": secure not in {"True", "False"},
        "the cluster's name is not of letters, digits and _.": cluster and not _is_name(cluster),
    }
    for reason, is_so in wrong.items():
        if is_so:
            raise _not_clickhouse(name, default, reason)
    return {
        "host": address.hostname,
        "port": port or (8443 if secure == "True" else 8123),
        "username": unquote(address.username or "default"),
        "password": unquote(address.password or ""),
        "database": database,
        "secure": secure == "True",
        "cluster": cluster,
    }


def _is_name(value: str) -> bool:
    return re.fullmatch(r"\w+", value, re.ASCII) is not None


def _not_clickhouse(name: str, default: str, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{name} is neither {default!r} nor an address such as "
        f"clickhouse://user:password@host:8123/database?secure=True: {reason}"
    )


def data_dir() -> Path:
    """Where everything is kept. A function, because manage.py asks before settings can be read."""
    beside_manage = Path(__file__).resolve().parent.parent / ".data"
    return Path(text("DATA_DIR", str(beside_manage))).resolve()
