"""Start API keys listening."""

from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    """Connects the receivers once Django has loaded every model."""

    name = "api_keys"
    verbose_name = "API keys"

    def ready(self) -> None:
        from api_keys import receivers  # noqa: F401, PLC0415 -- connecting is the import's purpose
