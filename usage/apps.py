"""Start usage listening."""

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """Connects the receivers once Django has loaded every model."""

    name = "usage"

    def ready(self) -> None:
        from usage import receivers  # noqa: F401, PLC0415 -- connecting is the import's purpose
