"""The shape of what a person may ask of the usage pages."""

from usage.forms.ranges import RangeForm

__all__ = ["RangeForm"]
