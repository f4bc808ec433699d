"""The usage pages of a team."""

from usage.views.alerts import alerts, create_alert, delete_alert, edit_alert
from usage.views.explorer import explorer
from usage.views.exports import cancel_export, export, export_file, exports, retry_export
from usage.views.files import table_csv, table_json
from usage.views.requests import request_details, requests
from usage.views.values import values

__all__ = [
    "alerts",
    "cancel_export",
    "create_alert",
    "delete_alert",
    "edit_alert",
    "explorer",
    "export",
    "export_file",
    "exports",
    "request_details",
    "requests",
    "retry_export",
    "table_csv",
    "table_json",
    "values",
]
