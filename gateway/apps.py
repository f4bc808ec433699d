"""Start the gateway listening."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Connects the receivers once Django has loaded every model."""

    name = "gateway"

    def ready(self) -> None:
        from gateway import receivers  # noqa: F401, PLC0415 -- connecting is the import's purpose
