"""What a sign-in waits for between its first step and its end."""

from typing import Any

from allauth.mfa.stages import AuthenticateStage
from django.utils.crypto import constant_time_compare

AUTH_HASH = "auth_hash"


class SecondStepStage(AuthenticateStage):
    """Waits for a second factor: for as long as the password stays that was right a moment ago.

    allauth would let whoever knew an old password go on for an hour after it was changed.
    """

    def handle(self) -> tuple[Any, bool]:
        response, goes_on = super().handle()
        if response:
            # As a session keeps it; Django ends those by it.
            self.state[AUTH_HASH] = self.login.user.get_session_auth_hash()
        return response, goes_on

    def still_counts(self) -> bool:
        """Say whether the account is as it was at the first step, and open."""
        user = self.login.user
        known = self.state.get(AUTH_HASH, "")
        return user.is_active and constant_time_compare(known, user.get_session_auth_hash())
