"""Which single requests are looked for, and the stretches of time in which they are, pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from usage.rules import filters
from usage.rules.filters import Filters
from usage.rules.questions import ITEMS, Sums

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Status(StrEnum):
    """How a request ended."""

    ALL = ""
    ANSWERED = "answered"
    FAILED = "failed"


class Stretch(NamedTuple):
    """Some time from `begin` to `end`, the latter not in it."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The requests that ended from `begin` to `end`, the latter not in it, and meet the filters."""

    begin: datetime
    end: datetime
    filters: Filters = field(default_factory=Filters)
    status: Status = Status.ALL

    @property
    def is_narrowed(self) -> bool:
        return bool(self.filters or self.status)

    @property
    def items(self) -> tuple[str, ...]:
        """Name the billing items of which a request has to have used one; none: it need not."""
        items = self.filters.items()
        return () if items == ITEMS else items

    def count(self, sums: Sums) -> int:
        """Say how many of the requests behind these sums can be meant, at most."""
        if self.items and not any(getattr(sums, item) for item in self.items):
            return 0
        if self.status is Status.FAILED:
            return sums.failed
        if self.status is Status.ANSWERED:
            return sums.requests - sums.failed
        return sums.requests

    def as_json(self) -> dict[str, Any]:
        return {
            "begin": self.begin.isoformat(),
            "end": self.end.isoformat(),
            "filters": self.filters.pairs(),
            "status": str(self.status),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Search":
        return cls(
            begin=datetime.fromisoformat(kept["begin"]),
            end=datetime.fromisoformat(kept["end"]),
            filters=filters.read(_Pairs(kept["filters"])),
            status=Status(kept["status"]),
        )


class _Pairs:
    """Names and values, to be asked as an address is."""

    def __init__(self, pairs: Sequence[Sequence[str]]) -> None:
        self._pairs = pairs

    def getlist(self, key: str, /) -> list[str]:
        return [value for name, value in self._pairs if name == key]


def stretches(
    starts: Sequence[datetime],
    counts: Mapping[int, int],
    *,
    inside: Stretch,
    enough: int,
    newest_first: bool,
) -> list[Stretch]:
    """Choose the spans, in a row from one side, that have something and together `enough`.

    `counts` are by number of the span, as answers of stores are. What a span has of which only a
    part is `inside` may be in its other part, and does not count. Neighbours become one stretch;
    they come in the order of time.
    """
    chosen: list[int] = []
    for number in sorted((n for n, count in counts.items() if count), reverse=newest_first):
        if enough <= 0:
            break
        chosen.append(number)
        if inside.begin <= starts[number] and starts[number + 1] <= inside.end:
            enough -= counts[number]
    found: list[Stretch] = []
    for number in sorted(chosen):
        if found and found[-1].end == starts[number]:
            found[-1] = Stretch(found[-1].begin, starts[number + 1])
        else:
            found.append(Stretch(starts[number], starts[number + 1]))
    return found


def cut(stretch: Stretch, size: timedelta) -> list[datetime]:
    """Say when the spans of `size` begin, by the UTC clock, that cover the stretch; and its end."""
    start = stretch.begin - (stretch.begin - _EPOCH) % size
    starts = [start]
    while start < stretch.end:
        start += size
        starts.append(start)
    return starts
