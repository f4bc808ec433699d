"""Checks that every balance is explained by its entries."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from billing import services as billing


class Command(BaseCommand):
    help = (
        "Recompute every team's grants, charges, holds, months, purchases and receipts from the "
        "rows behind them. Prints one line per difference and exits 1 if there is any."
    )

    def handle(self, **_options: Any) -> None:
        found = 0
        with billing.snapshot():
            for difference in billing.differences():
                found += 1
                self.stdout.write(str(difference))
            teams, entries = billing.ledger_size()
        checked = f"{teams:,} teams, {entries:,} entries"
        if found:
            self.stderr.write(f"{checked}: {found:,} differences")
            sys.exit(1)
        self.stdout.write(f"{checked}: no difference")
