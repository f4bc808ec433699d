"""Which single requests to list."""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import QueryDict

from usage.forms.ranges import RangeForm
from usage.rules import Filters, Preset
from usage.rules import filters as rules
from usage.rules.requests import Search, Status

# On the first of a month, this month would show nothing.
USUAL_RANGE: Final = Preset.THIRTY_DAYS


class RequestsForm(RangeForm):
    """A range, filters and a status. Once it is valid, `search` says it all."""

    search: Search

    def __init__(self, query: QueryDict, *, zone: ZoneInfo, now: datetime) -> None:
        data = query.dict()
        if not any(data.get(name) for name in ("range", "from", "to")):
            data["range"] = str(USUAL_RANGE)
        super().__init__(data, zone=zone, now=now)
        self._query = query
        self.filters = Filters()
        self.status = Status.ALL

    def clean(self) -> None:
        super().clean()
        try:
            self.filters = rules.read(self._query)
        except rules.FilterError as error:
            self.add_error(None, str(error))
        asked = self._query.get("status", "")
        try:
            self.status = Status(asked)
        except ValueError:
            self.add_error(
                None, f"{rules.quoted(asked)} is not a status. Choose answered or failed."
            )
        if not self.errors:
            self.search = Search(
                begin=self.range.begin,
                end=self.range.end,
                filters=self.filters,
                status=self.status,
            )

    def query(
        self, *, filters: Filters | None = None, status: Status | None = None, range_: str = ""
    ) -> str:
        """Write what was asked for as an address has it, with something else in its place."""
        pairs = self._pairs(range_, self.status if status is None else status)
        return urlencode([*pairs, *(self.filters if filters is None else filters).pairs()])

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """Say what the form of the filters has to send along."""
        return self._pairs("", self.status)

    def _pairs(self, range_: str, status: Status) -> list[tuple[str, str]]:
        pairs = [("range", range_)] if range_ else self.range.pairs()
        # Always there: whoever it is shared with is to see the same days.
        pairs.append(("tz", self.zone.key))
        return [*pairs, ("status", status)] if status else pairs
