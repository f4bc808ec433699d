"""Documents as PDF files, set by typst from one template."""

import json
import logging
import re
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import typst
from django.conf import settings

from billing.models import Invoice
from billing.services.printing import Printed, printed

logger = logging.getLogger(__name__)

FOLDER: Final = Path(__file__).resolve().parent.parent / "documents"
# In this order: a letter that the first has not is looked for in the next.
FAMILIES: Final = ("Inter", "Noto Sans Arabic", "Noto Sans Hebrew")
# For archives. It also turns a letter that no typeface has from an empty box into an error.
ARCHIVABLE: Final = "a-2b"
# A longer word may be wider than its column, and is broken where it has to be: of the lines'
# columns, and of everything that has half a page.
_LONG_IN_ROW: Final = re.compile(r"\S{21,}")
_LONG: Final = re.compile(r"\S{33,}")
_BREAK: Final = "\N{ZERO WIDTH SPACE}"


def pdf(invoice: Invoice) -> bytes:
    """Set a document. Whoever asks, whenever: the same document is the same bytes."""
    page = printed(invoice)
    try:
        return typeset(page, at=invoice.issued_at, standard=ARCHIVABLE)[0]
    except typst.TypstError as error:
        logger.warning(
            "%s has letters that no typeface has, so its PDF shows boxes: %s. DOCUMENT_FONTS may "
            "name a folder with more typefaces.",
            invoice.reference,
            error,
        )
    return typeset(page, at=invoice.issued_at)[0]


def typeset(
    page: Printed,
    *,
    at: datetime,
    form: Literal["pdf", "png"] = "pdf",
    standard: Literal["a-2b"] | None = None,
) -> list[bytes]:
    """Set one PDF, or one picture per page, that says it was made at a moment."""
    fonts = _fonts(settings.DOCUMENT_FONTS)
    families = [*FAMILIES, *(name for name in fonts.families() if name not in FAMILIES)]
    words = asdict(page)
    rows = _breakable(words.pop("rows"), _LONG_IN_ROW)
    data = {"fonts": families, "rows": rows, **_breakable(words, _LONG)}
    # One for each: a compiler cannot be shared by threads. To make it costs next to nothing.
    made = typst.Compiler(root=FOLDER, font_paths=fonts).compile(
        input=FOLDER / "document.typ",
        format=form,
        sys_inputs={"data": json.dumps(data)},
        pdf_standards=standard,
        timestamp=at,
    )
    return [made] if isinstance(made, bytes) else list(made or [])


@lru_cache(maxsize=1)
def _fonts(more: str) -> typst.Fonts:
    """Read the typefaces once: our own, and those of a folder that the operator names."""
    folders = [str(FOLDER / "fonts"), *([more] if more else [])]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)


def _breakable(value: Any, long: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return long.sub(lambda word: _BREAK.join(word[0]), value)
    if isinstance(value, dict):
        return {key: _breakable(part, long) for key, part in value.items()}
    return [_breakable(part, long) for part in value] if isinstance(value, list | tuple) else value
