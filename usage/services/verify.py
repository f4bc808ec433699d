"""Proving PostgreSQL's sums of usage from the requests."""

from collections.abc import Iterator

from usage import stores
from usage.services.partitions import dropped
from usage.stores.postgres import building, checking


def sum_differences() -> Iterator[str]:
    """Name each sum that is not what its requests, or the finer sums, come to. To be read at once.

    Requests that are `dropped` cannot be compared; their quarter-hours are taken for right.
    """
    with stores.reading():
        gone = dropped()
        yield from checking.quarter_differences(after=gone.last_at if gone else None)
        for team_id in building.teams():
            yield from checking.coarser_differences(team_id)
