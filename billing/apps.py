"""Start billing listening."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Connects the receivers once Django has loaded every model."""

    name = "billing"

    def ready(self) -> None:
        from billing import receivers  # noqa: F401, PLC0415 -- connecting is the import's purpose
