"""The countries that an address can be in: ISO 3166-1, by the names people know."""

import unicodedata
from functools import cache

import pycountry


@cache
def countries() -> dict[str, str]:
    """Name every country by its two letters, in the order of a reader's alphabet."""
    named = {
        str(country.alpha_2): str(getattr(country, "common_name", country.name))
        for country in pycountry.countries
    }
    return dict(sorted(named.items(), key=lambda item: _as_read(item[1])))


def _as_read(name: str) -> str:
    """Take a name without its accents: Åland stands with the A, not after the Z."""
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(letter)
    ).casefold()
