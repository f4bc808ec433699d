"""The usage pages of a team."""

from usage.views.explorer import explorer
from usage.views.files import table_csv, table_json
from usage.views.values import values

__all__ = ["explorer", "table_csv", "table_json", "values"]
