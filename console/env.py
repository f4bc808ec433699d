"""Read settings from the environment: typed, and loud when a value makes no sense."""

import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

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


def data_dir() -> Path:
    """Where everything is kept. A function, because manage.py asks before settings can be read."""
    beside_manage = Path(__file__).resolve().parent.parent / ".data"
    return Path(text("DATA_DIR", str(beside_manage))).resolve()
