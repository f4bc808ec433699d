"""What the explorer is asked to show: range, granularity, dimension, groups and filters."""

from datetime import datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from django.http import QueryDict
from django.utils.text import get_text_list

from usage import rules
from usage.forms.ranges import RangeForm
from usage.rules import FilterError, Filters, Granularity, Group, Measure, Wanted
from usage.rules.filters import quoted, read

# What a table can be sorted by; a "-" before it, the largest first.
SORTS: Final = frozenset(
    {"name", "period", "requests", "failed", *rules.ITEMS, "tokens", "before", "cost", "share"}
)


Choice = TypeVar("Choice", Measure, Group, Granularity)


class ExplorerForm(RangeForm):
    """A view of the explorer as an address has it. Once it is valid, `wanted` is what to show.

    What cannot be shown as it is asked for, but nearly, is shown so; `notes` say how.
    """

    wanted: Wanted

    def __init__(self, data: QueryDict, *, zone: ZoneInfo, now: datetime) -> None:
        super().__init__(data, zone=zone, now=now)
        self._query = data
        self.notes: list[str] = []
        self.filters = Filters()

    def clean(self) -> None:
        super().clean()
        measure = self._choice("dimension", Measure, "Dimension")
        group = self._choice("group", Group, "Group by")
        granularity = self._choice("granularity", Granularity, "Granularity")
        try:
            self.filters = read(self._query)
        except FilterError as error:
            self.add_error(None, str(error))
        if self.errors:
            return
        if measure is Measure.REQUESTS and group is Group.TOKEN_TYPE:
            self.notes.append(
                "A request uses several token types, so requests are not grouped by them."
            )
            group = None
        sort = self._query.get("sort", "")
        self.wanted = Wanted(
            range=self.range,
            granularity=self._fitting(granularity),
            measure=measure or Measure.COST,
            group=group,
            filters=self.filters,
            compares=self._query.get("compare") == "1",
            table=rules.BY_PERIOD if self._query.get("table") == rules.BY_PERIOD else "",
            sort=sort if sort.removeprefix("-") in SORTS else "",
        )

    def _choice(self, name: str, choices: type[Choice], label: str) -> Choice | None:
        asked = self._query.get(name, "")
        if not asked:
            return None
        found = next((one for one in choices if one == asked), None)
        if found is None:
            known = get_text_list([one.label for one in choices], "or")
            self.add_error(None, f"{label} cannot be {quoted(asked)}. Choose {known}.")
        return found

    def _fitting(self, asked: Granularity | None) -> Granularity:
        if asked is None:
            return self.range.usual()
        found = self.range.nearest(asked)
        if found is not asked:
            self.notes.append(
                f"{self.range.label} cannot be shown by {asked.noun}, "
                f"so it is shown by {found.noun}."
            )
        return found
