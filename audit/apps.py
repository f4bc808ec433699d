"""Start the audit log listening."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Connects the receivers once Django has loaded every model."""

    name = "audit"

    def ready(self) -> None:
        from audit import receivers  # noqa: F401, PLC0415 -- connecting is the import's purpose
