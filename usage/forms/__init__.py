"""The shape of what a person may ask of the usage pages."""

from usage.forms.explorer import ExplorerForm
from usage.forms.ranges import RangeForm

__all__ = ["ExplorerForm", "RangeForm"]
