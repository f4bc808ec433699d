"""The shape of what a person may ask of the usage pages."""

from usage.forms.alerts import AlertForm
from usage.forms.explorer import ExplorerForm
from usage.forms.ranges import RangeForm
from usage.forms.requests import RequestsForm

__all__ = ["AlertForm", "ExplorerForm", "RangeForm", "RequestsForm"]
