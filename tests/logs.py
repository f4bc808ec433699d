"""The log of the console, as it writes it."""

import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, cast

from django.conf import settings


@contextmanager
def written() -> Iterator[StringIO]:
    """Collect what is logged, in the form in which the console writes it to standard error."""
    line = cast(dict[str, Any], settings.LOGGING["formatters"])["line"]
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.config.DictConfigurator({"version": 1}).configure_formatter(dict(line))
    )
    logging.getLogger().addHandler(handler)
    try:
        yield stream
    finally:
        logging.getLogger().removeHandler(handler)
