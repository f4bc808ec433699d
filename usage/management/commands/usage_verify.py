"""Checks that the stores of usage have what was recorded, and say the same."""

import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from usage import services as usage
from usage import stores
from usage.stores import StoreUnavailableError


class Command(BaseCommand):
    help = (
        "Recompute the sums of usage in PostgreSQL from the requests, and compare them with"
        " ClickHouse's, if there is one, to the tick. Prints one line per difference and exits 1 if"
        " there is any."
    )

    def handle(self, **_options: Any) -> None:
        found = 0
        try:
            for difference in _differences():
                found += 1
                self.stdout.write(str(difference))
        except StoreUnavailableError as error:
            raise CommandError(f"ClickHouse does not answer: {error.__cause__}") from error
        if found:
            self.stderr.write(f"{found:,} differences")
            sys.exit(1)
        self.stdout.write("No difference")
        if gone := usage.dropped():
            self.stdout.write(
                f"{gone.requests:,} requests up to {gone.last_at:%Y-%m-%d %H:%M} UTC are no longer"
                " kept one by one: what they came to per quarter-hour was taken for right."
            )


def _differences() -> Iterator[object]:
    yield from usage.sum_differences()
    if stores.in_clickhouse():
        yield from usage.store_differences(now=timezone.now())
