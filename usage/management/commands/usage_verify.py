"""Checks that the stores of usage say the same."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from usage import services as usage
from usage.stores import StoreUnavailableError


class Command(BaseCommand):
    help = (
        "Compare what requests came to in PostgreSQL and in ClickHouse, to the tick: per team and"
        " month, then per day, and per key, model, cluster and address. Prints one line per"
        " difference and exits 1 if there is any."
    )

    def handle(self, **_options: Any) -> None:
        found = 0
        try:
            for difference in usage.store_differences(now=timezone.now()):
                found += 1
                self.stdout.write(str(difference))
        except usage.NoClickHouseError as error:
            raise CommandError(str(error)) from error
        except StoreUnavailableError as error:
            raise CommandError(f"ClickHouse does not answer: {error.__cause__}") from error
        if found:
            self.stderr.write(f"{found:,} differences")
            sys.exit(1)
        self.stdout.write("No difference")
