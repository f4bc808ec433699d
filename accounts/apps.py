"""Starts accounts: its models beyond models.py, and what it hears from Django and allauth."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks


class AccountsConfig(AppConfig):
    """Loads the modules that work by being imported."""

    name = "accounts"

    def ready(self) -> None:
        from allauth.socialaccount.providers import registry  # noqa: PLC0415 -- needs the models

        # They connect themselves.
        from accounts import devices, receivers  # noqa: F401, PLC0415

        registry.load()  # accounts/provider.py; allauth does so with its own list of addresses.

        _relax_allauths_check()


def _relax_allauths_check() -> None:
    """Let people sign in by an e-mail that is not unique.

    allauth refuses that as ambiguous, in a check without an id that a setting could silence. Here
    it is not ambiguous: user_one_password_per_email, and adapters.PasswordBackend which relies on
    it. All that allauth checks besides stays checked.
    """
    from allauth.account.checks import settings_check  # noqa: PLC0415 -- needs the models

    def without_unique_email(
        app_configs: Sequence[AppConfig] | None, **kwargs: Any
    ) -> list[checks.CheckMessage]:
        found: list[checks.CheckMessage] = settings_check(app_configs, **kwargs)
        return [message for message in found if "ACCOUNT_UNIQUE_EMAIL" not in message.msg]

    checks.registry.registry.registered_checks.discard(settings_check)
    checks.register(without_unique_email)
