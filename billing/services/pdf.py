"""Documents as PDF files, set by typst from one template."""

import json
import logging
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

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
    ppi: float = 144,
) -> list[bytes]:
    """Set one PDF, or one picture per page, that says it was made at a moment."""
    fonts = _fonts(settings.DOCUMENT_FONTS)
    families = [*FAMILIES, *(name for name in fonts.families() if name not in FAMILIES)]
    data = asdict(page) | {"fonts": families}
    # One for each: a compiler cannot be shared by threads. To make it costs next to nothing.
    made = typst.Compiler(root=FOLDER, font_paths=fonts).compile(
        input=FOLDER / "document.typ",
        format=form,
        ppi=ppi,
        sys_inputs={"data": json.dumps(data)},
        pdf_standards=standard,
        timestamp=at.replace(microsecond=0),  # typst refuses finer ones.
    )
    return [made] if isinstance(made, bytes) else list(made or [])


@lru_cache(maxsize=1)
def _fonts(more: str) -> typst.Fonts:
    """Read the typefaces once: our own, and those of a folder that the operator names."""
    folders = [str(FOLDER / "fonts"), *([more] if more else [])]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
