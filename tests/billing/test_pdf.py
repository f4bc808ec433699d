"""PDF files of documents: whatever is on them, all of it is on the paper, and the same for ever."""

import hashlib
import logging
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Invoice, InvoiceSeries
from billing.services.pdf import pdf, typeset
from billing.services.printing import Party, printed
from tests.billing.pictures import Picture, decode

AT = datetime(2026, 4, 1, 0, 5, 59, 123456, tzinfo=UTC)
NOBODY = {"name": "Larkspur Labs"}
LONG = {
    "name": "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz mbH & Co. KG",
    "contact": "Ingeborg Außerordentlichlangernachname-Doppelname",
    "email": "accounts-payable-of-the-eastern-branch@subdomain.of.a.large.company.example",
    "address": [
        "Straße des außerordentlich langen Namens 12345a, Hinterhaus, dritter Stock",
        "W" * 99,
    ],
    "tax_id": {"name": "VAT number (European Union)", "number": "DE136695976"},
}
# Words of a person who hopes that a document runs them.
CODE = '#panic("x") #read("/etc/passwd") $a^2$ *b* _i_ `c` <d> @ref \\ = // /* #{1/0} "'


def document(
    *, kind: str = "month", lines: int = 3, buyer: dict[str, Any] = NOBODY, **fields: Any
) -> Invoice:
    """Make a document that no database knows."""
    model = fields.pop("model", "atlas-large")
    items = [
        {
            "description": "Cached prompt text tokens",
            "model": model,
            "item": "cached_prompt_text",
            "quantity": n * 123_457,
            "unit_price_ticks": 20_000,
            "ticks": n * 123_457 * 20_000,
            "amount_cents": n * 25,
        }
        for n in range(1, lines + 1)
    ]
    net = sum(item["amount_cents"] for item in items)
    return Invoice(
        series=InvoiceSeries(code={"month": "M", "purchase": "R", "credit": "C"}[kind]),
        number=12,
        kind=kind,
        issued_at=AT,
        month=date(2026, 3, 1) if kind == "month" else None,
        seller={"name": "Console Inc.", "email": "support@console.example"},
        buyer=buyer,
        lines=items if kind == "month" else [{"description": model, "amount_cents": net}],
        subtotal_cents=net,
        tax_cents=net * 19 // 100,
        tax_percent=Decimal(19),
        tax_name="VAT",
        total_cents=net + net * 19 // 100,
        **fields,
    )


def pages(invoice: Invoice) -> list[Picture]:
    drawn = typeset(printed(invoice), at=AT, form="png", ppi=36)
    return [decode(picture) for picture in drawn]


def assert_on_paper(invoice: Invoice) -> None:
    """Look at the edges of each page: A4 has 20 mm of them at the sides."""
    for page in pages(invoice):
        left, right, top, bottom = page.margins()
        assert left >= 0.09
        assert right >= 0.09
        assert top >= 0.06
        assert bottom >= 0.03


@pytest.mark.parametrize("kind", ["purchase", "month", "credit"])
def test_every_kind_is_an_archivable_pdf(kind: str) -> None:
    made = pdf(document(kind=kind))

    assert made.startswith(b"%PDF-")
    assert re.search(rb"pdfaid:part>2<", made)
    assert len(pages(document(kind=kind))) == 1


@pytest.mark.parametrize(
    "invoice",
    [
        document(buyer=LONG),
        document(kind="purchase", model="word " * 60 + "W" * 99),
        document(model="a-deployment-name-without-a-single-space-" * 3),
        document(model="W" * 120),
        document(model="W" * 20, buyer={"name": "W" * 32}),
        document(lines=2, buyer={**NOBODY, "address": ["line"] * 40}),
    ],
    ids=["buyer", "description", "model", "wide model", "just not long", "address"],
)
def test_nothing_is_so_long_that_it_runs_off_the_paper(invoice: Invoice) -> None:
    assert_on_paper(invoice)


def test_huge_amounts_have_room() -> None:
    invoice = document()
    for line in invoice.lines:
        line |= {
            "quantity": 987_654_321_098_765,
            "unit_price_ticks": 10**9,
            "amount_cents": 10**12,
        }

    assert_on_paper(invoice)


def test_300_lines_go_over_pages_that_are_full_but_for_the_last() -> None:
    *full, last = pages(document(lines=300))

    assert len(full) >= 5
    assert all(page.margins()[3] < 0.08 for page in full)
    assert not last.is_blank


def test_what_a_customer_types_is_printed_and_never_run() -> None:
    plain = pages(document(buyer={"name": "x"}))
    typed = pages(document(buyer={"name": CODE, "address": [CODE]}, model=CODE))

    assert typed != plain
    assert pdf(document(buyer={"name": CODE}, kind="purchase", model=CODE, paid_with=CODE))


@pytest.mark.parametrize(
    "words",
    ["شركة النور للتقنية 123", 'חברת דוגמה בע"מ', "Ελλάδα Россия Łódź Đà Nẵng İstanbul"],
    ids=["Arabic", "Hebrew", "others"],
)
def test_scripts_that_the_typefaces_have_are_printed_without_a_box(
    words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = pdf(document(buyer={"name": words, "address": [words, f"{words} 45"]}))

    assert b"pdfaid:part>2<" in made
    assert not caplog.records


def test_a_letter_that_no_typeface_has_costs_nobody_the_document(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = pdf(document(buyer={"name": "株式会社サンプル"}))

    assert made.startswith(b"%PDF-")
    assert "M-000012 has letters that no typeface has" in caplog.text


def test_the_same_document_is_the_same_file_in_every_process() -> None:
    script = (
        "import django; django.setup(); import hashlib;"
        "from billing.services.pdf import pdf; from tests.billing.test_pdf import document;"
        "print(hashlib.sha256(pdf(document(lines=40))).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert other.stdout.strip() == hashlib.sha256(pdf(document(lines=40))).hexdigest()


def test_files_are_made_for_many_at_once() -> None:
    invoice = document(lines=20)

    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: pdf(invoice), range(16)))

    assert len(made) == 1


def test_a_receipt_from_before_there_were_addresses_is_printed() -> None:
    page = printed(document(kind="purchase", buyer={"name": "Larkspur", "contact": "Alice"}))

    assert page.seller == Party("Console Inc.", ["support@console.example"])
    assert page.buyer == Party("Larkspur", ["Alice"])


def test_every_line_of_the_page_is_printed() -> None:
    """Leave one line out at a time: the picture changes each time."""
    page = printed(document(buyer=LONG, paid_with="Visa ending 4242"))
    fewer = [
        replace(page, facts=page.facts[1:]),
        replace(page, seller=Party(page.seller.name, [])),
        replace(page, buyer=Party(page.buyer.name, page.buyer.lines[1:])),
        replace(page, rows=page.rows[1:]),
        replace(page, sums=page.sums[1:]),
        replace(page, total=("", "")),
        replace(page, notes=["A note."]),
    ]

    drawn = {typeset(each, at=AT, form="png", ppi=36)[0] for each in [page, *fewer]}

    assert len(drawn) == len(fewer) + 1
