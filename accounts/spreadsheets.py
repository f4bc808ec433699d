"""Files for spreadsheets, which begin to calculate where a text looks like a formula."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Final

# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_text(value: str) -> str:
    """Keep a cell from being run as a formula: names of models and keys are typed by people."""
    return f"'{value}" if value.startswith(_FORMULAS) else value


def csv_rows(rows: Iterable[Sequence[str]]) -> bytes:
    """Write rows of cells. What people typed is to go through `as_text` first."""
    out = StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
