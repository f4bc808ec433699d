"""What billing hands out as files for spreadsheets."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any, Final

from accounts.models import Team
from accounts.spreadsheets import as_text, csv_rows
from billing.models import Invoice
from billing.rules import TICKS_PER_CENT, usd_from_ticks
from billing.services.ledger_page import Movement, Wanted, ledger_batches

LEDGER_COLUMNS: Final = (
    "id",
    "time_utc",
    "kind",
    "model",
    "request_id",
    "paid_from",
    "amount_usd",
    "credits_after_usd",
    "invoice_after_usd",
)
ITEM_COLUMNS: Final = (
    "invoice",
    "month",
    "model",
    "billing_item",
    "description",
    "quantity",
    "unit_price_usd",
    "exact_usd",
    "amount_usd",
)


def as_usd(ticks: int) -> str:
    """Write an amount to the tick, as a number that a spreadsheet adds up."""
    return f"{usd_from_ticks(ticks):.10f}"


def ledger_csv(team: Team, wanted: Wanted) -> Iterator[bytes]:
    """Write the movements that are asked for, newest first, a piece at a time."""
    yield csv_rows([LEDGER_COLUMNS])
    for movements in ledger_batches(team, wanted):
        yield csv_rows(_ledger_row(movement) for movement in movements)


def _ledger_row(movement: Movement) -> tuple[str, ...]:
    entry, balance = movement.entry, as_usd(movement.balance_ticks)
    return (
        str(entry.pk),
        f"{entry.happened_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        entry.kind,
        as_text(entry.charge.model if entry.charge else ""),
        str(entry.charge_id or ""),
        as_text(entry.grant.label if entry.grant else f"Invoice of {entry.month:%B %Y}"),
        as_usd(entry.amount_ticks),
        balance if entry.grant else "",
        # An invoice is what is owed.
        "" if entry.grant else as_usd(-movement.balance_ticks),
    )


def invoice_csv(invoice: Invoice) -> bytes:
    """Write the lines of a month's invoice: as exact as they were charged, and as they are billed.

    The last column adds up to the total before tax.
    """
    return csv_rows([ITEM_COLUMNS, *(_item_row(invoice, line) for line in invoice.lines)])


def _item_row(invoice: Invoice, line: Mapping[str, Any]) -> tuple[str, ...]:
    has_price, ticks = "unit_price_ticks" in line, line.get("ticks")
    return (
        invoice.reference,
        line.get("month", f"{invoice.month:%Y-%m}"),
        as_text(line.get("model", "")),
        line.get("item", ""),
        line["description"],
        str(line.get("quantity", "")),
        as_usd(line["unit_price_ticks"]) if has_price else "",
        "" if ticks is None else as_usd(ticks),
        f"{usd_from_ticks(line['amount_cents'] * TICKS_PER_CENT):.2f}",
    )
