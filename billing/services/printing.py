"""What stands on a document, in words: the page and the PDF print the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.utils.formats import date_format
from django.utils.text import capfirst

from billing.models import Invoice
from billing.rules import usd_cents, usd_from_ticks
from billing.services.documents import Draft
from billing.services.month_lines import UNCHARGED

# Prices are told for so many tokens, as they are on the page of models.
PRICED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Party:
    """The seller or the buyer."""

    name: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a document. What a receipt sells has a description alone, as its item."""

    item: str
    amount: str
    model: str = ""
    month: str = ""
    quantity: str = ""
    price: str = ""  # Of a million.


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A document, ready to be set."""

    title: str
    facts: list[tuple[str, str]]
    seller: Party
    buyer: Party
    is_itemised: bool  # By model, billing item and price.
    rows: list[Row]
    sums: list[tuple[str, str]]
    total: tuple[str, str]
    notes: list[str]


def printed(invoice: Invoice) -> Printed:
    """Write an issued document. What was paid since is not on it: it is never changed."""
    facts = [("Issued", f"{date_format(invoice.issued_on, 'j F Y')} (UTC)")]
    if invoice.month:
        facts.append(("For", f"Usage in {_month(invoice.month)} (UTC)"))
    if invoice.paid_with:
        facts.append(("Payment", capfirst(invoice.settlement)))
    notes = []
    if invoice.kind == Invoice.Kind.PURCHASE:
        notes.append("Credits are not refundable, except where the law requires it.")
    return _printed(invoice, title=invoice.title, facts=facts, notes=notes)


def printed_draft(draft: Draft) -> Printed:
    """Write what the bill of a month would be."""
    notes = []
    if any(line["description"] == UNCHARGED for line in draft.lines):
        notes.append(
            f"“{UNCHARGED}” is what requests used beyond what was held for them. It is taken off "
            "again."
        )
    return _printed(draft, title=f"{_month(draft.month)} so far", facts=[], notes=notes)


def _printed(
    document: Invoice | Draft, *, title: str, facts: list[tuple[str, str]], notes: list[str]
) -> Printed:
    lines: Sequence[Mapping[str, Any]] = document.lines
    items = [line for line in lines if "item" in line]
    rest = [line for line in lines if "item" not in line]
    if document.month:
        sums = [("Usage", usd_cents(sum(line["amount_cents"] for line in items)))] if rest else []
        sums += [(_named(line), usd_cents(line["amount_cents"])) for line in rest]
    else:
        items, sums = rest, []
    if document.tax_percent or document.tax_cents:
        sums.append(("Total before tax", usd_cents(document.subtotal_cents)))
        sums.append((_tax(document.tax_name, document.tax_percent), usd_cents(document.tax_cents)))
    return Printed(
        title=title,
        facts=facts,
        seller=_seller(document.seller),
        buyer=_buyer(document.buyer),
        is_itemised=bool(document.month),
        rows=[_row(line) for line in items],
        sums=sums,
        total=("Total (USD)", usd_cents(document.total_cents)),
        notes=notes,
    )


def _row(line: Mapping[str, Any]) -> Row:
    if "item" not in line:
        return Row(item=line["description"], amount=usd_cents(line["amount_cents"]))
    return Row(
        item=line["description"],
        amount=usd_cents(line["amount_cents"]),
        model=line["model"],
        month=_earlier(line),
        quantity=f"{line['quantity']:,}",
        price=_exact(line["unit_price_ticks"] * PRICED),
    )


def _named(line: Mapping[str, Any]) -> str:
    return ", ".join(_filled([line["description"], _earlier(line)]))


def _earlier(line: Mapping[str, Any]) -> str:
    """Name the month that a line was carried over from."""
    return _month(date.fromisoformat(f"{line['month']}-01")) if "month" in line else ""


# Documents from before there were addresses and tax numbers on them lack those keys.
def _seller(seller: Mapping[str, Any]) -> Party:
    number = seller.get("tax_number")
    lines = [*seller.get("address", []), f"Tax number: {number}" if number else ""]
    return Party(seller.get("name", ""), _filled([*lines, seller.get("email", "")]))


def _buyer(buyer: Mapping[str, Any]) -> Party:
    name, contact, email = (buyer.get(key, "") for key in ("name", "contact", "email"))
    tax_id = buyer.get("tax_id")
    return Party(
        name,
        _filled(
            [
                *buyer.get("address", []),
                f"{tax_id['name']}: {tax_id['number']}" if tax_id else "",
                "" if contact in {name, email} else contact,
                email,
            ]
        ),
    )


def _filled(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line]


def _tax(name: str, percent: Decimal) -> str:
    return f"{name or 'Tax'} ({percent.normalize():f}%)" if percent else name or "Tax"


def _month(month: date) -> str:
    return date_format(month, "F Y")


def _exact(ticks: int) -> str:
    """Write a price with all its decimals: whoever multiplies has to get the amount."""
    amount = usd_from_ticks(ticks).normalize()
    exponent = amount.as_tuple().exponent
    places = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"${amount:,.{places}f}"
