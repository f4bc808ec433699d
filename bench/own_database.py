"""A database that a benchmark has for itself, and that is gone with it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from console import embedded_postgres


def begin(module: str, data: Path | None, **environment: str) -> int | None:
    """Let this process use a new PostgreSQL in `data`; None: it is to go on.

    Without `data`, run the module again with a folder of its own, and return its exit code.
    """
    if data is None:
        # PostgreSQL has left the folder when the process that used it is over.
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", module, *sys.argv[1:], "--data", folder]
            return subprocess.run(command, check=False).returncode
    os.environ |= {
        "DATA_DIR": str(data),
        "DATABASE_URL": embedded_postgres.ensure_running(data),
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": "bench" * 12,
        **environment,
    }
    return None
