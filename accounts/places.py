"""Where an address is, approximately: "Germany", or with a MaxMind file "Leeds, United Kingdom"."""

import ipaddress
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings

logger = logging.getLogger(__name__)

UNKNOWN: Final = ("", "")

Lookup = Callable[[str], tuple[str, str]]  # From an address to a city and a country.


def place_of(ip: str | None) -> str:
    """Name the place; empty where nobody can know, as for addresses inside a network."""
    return ", ".join(part for part in _find(ip) if part)


def country_of(ip: str | None) -> str:
    """Name the country alone; empty where nobody can know."""
    return _find(ip)[1]


def _find(ip: str | None) -> tuple[str, str]:
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return UNKNOWN
    return _lookup(settings.GEOIP_PATH)(str(address)) if address.is_global else UNKNOWN


@cache
def _lookup(path: str) -> Lookup:
    """Load the data once per process, and only where somebody asks: it takes 50 MB."""
    return _from_maxmind(path) if path else _from_package()


def _from_package() -> Lookup:
    import geoip2fast  # type: ignore[import-untyped]  # noqa: PLC0415 -- only for who asks

    data = Path(geoip2fast.__file__).parent / "geoip2fast-ipv6.dat.gz"
    countries = geoip2fast.GeoIP2Fast(geoip2fast_data_file=str(data))

    def find(ip: str) -> tuple[str, str]:
        found = countries.lookup(ip)
        # "--" is the code of what it knows no country for.
        return UNKNOWN if found.country_code in {"", "--"} else ("", str(found.country_name))

    return find


def _from_maxmind(path: str) -> Lookup:
    import maxminddb  # noqa: PLC0415

    # Nobody is kept from signing in because nobody knows where they are.
    try:
        reader = maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        logger.error("Places are not known: GEOIP_PATH=%r cannot be read. %s", path, error)  # noqa: TRY400
        return lambda _: UNKNOWN

    def find(ip: str) -> tuple[str, str]:
        try:
            found: Any = reader.get(ip) or {}
        except (ValueError, maxminddb.InvalidDatabaseError):
            return UNKNOWN  # An IPv6 address, where the file knows IPv4 only.
        city = _english(found.get("city"))
        country = _english(found.get("country") or found.get("registered_country"))
        return city, country

    return find


def _english(names: Any) -> str:
    return str((names or {}).get("names", {}).get("en", ""))
