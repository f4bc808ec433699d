"""A client that signs in as a person does: from then on who it is counts as proven."""

import time
from typing import Any

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.account.internal.userkit import user_id_to_str
from django.test import Client


class Browser(Client):
    """Django's client, but `force_login` leaves the record of a password that was just given."""

    def force_login(self, user: Any, backend: str | None = None, *, age: int = 0) -> None:
        """Sign in without a password, as if it had been given `age` seconds ago."""
        super().force_login(user, backend)
        session = self.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [
            {"method": "password", "at": time.time() - age}
        ]
        session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = user_id_to_str(user)
        session.save()
