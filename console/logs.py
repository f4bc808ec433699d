"""Keeps out of the logs what opens something: links that we mail, and the secrets of keys."""

import logging
import re
from typing import Final

from api_keys.secrets import hide

# Up to where the addresses of such links tell nothing. Whoever reads a log must not follow them.
BEFORE_SECRETS: Final = (
    "/account/email/undo/",
    "/account/invitations/",
    "/accounts/confirm-email/",
    "/accounts/password/reset/key/",
)
_SECRET: Final = re.compile(f"({'|'.join(map(re.escape, BEFORE_SECRETS))})[^/\\s?]+")


class Line(logging.Formatter):
    """Writes what is logged, by whomever, without the secrets of keys that got into it.

    They may stand in an address that was not found, or in what PostgreSQL says of a row that it
    refused, so in a traceback as well. A digest tells whether a guess is right, so it goes too.
    """

    def format(self, record: logging.LogRecord) -> str:
        return hide(super().format(record))


class SecretsFilter(logging.Filter):
    """Cuts the secrets of links out of what Django logs about requests that went wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage()
        kept = _SECRET.sub(r"\1…", told)
        if kept != told:
            record.msg, record.args = kept, None
        return True
