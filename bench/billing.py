"""How many charges are settled per second, for one team and for a thousand: see bench/README.md.

Runs on a database of its own, like the tests, in batches like those of the gateway.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from console import embedded_postgres


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--teams", type=int, default=1_000)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.data is None:
        # PostgreSQL has left the folder when the process that used it is over.
        with tempfile.TemporaryDirectory() as data:
            command = [sys.executable, "-m", "bench.billing", *sys.argv[1:], "--data", data]
            return subprocess.run(command, check=False).returncode
    os.environ |= {
        "DATA_DIR": str(options.data),
        "DATABASE_URL": embedded_postgres.ensure_running(options.data),
        "DEBUG": "False",
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": "bench" * 12,
    }
    from bench import billing_world  # noqa: PLC0415 -- it needs the settings

    return billing_world.measure(seconds=options.seconds, teams=options.teams)


if __name__ == "__main__":
    sys.exit(main())
