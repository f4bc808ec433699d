"""Keeps out of the logs what opens something: the links that we mail carry a secret in the path."""

import logging
import re
from typing import Final

# Up to where the addresses of such links tell nothing. Whoever reads a log must not follow them.
BEFORE_SECRETS: Final = (
    "/account/email/undo/",
    "/account/invitations/",
    "/accounts/confirm-email/",
    "/accounts/password/reset/key/",
)
_SECRET: Final = re.compile(f"({'|'.join(map(re.escape, BEFORE_SECRETS))})[^/\\s?]+")


class SecretsFilter(logging.Filter):
    """Cuts the secrets out of what Django logs about requests that went wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage()
        kept = _SECRET.sub(r"\1…", told)
        if kept != told:
            record.msg, record.args = kept, None
        return True
