"""Starts accounts: its models beyond models.py, and what it hears from Django and allauth."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Loads the modules that work by being imported."""

    name = "accounts"

    def ready(self) -> None:
        from accounts import devices  # noqa: F401, PLC0415 -- registering is the import's purpose
