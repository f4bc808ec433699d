"""What a test run needs around it: its own settings, its own data directory, its own PostgreSQL.

Nothing is shared with another run or taken from the developer's shell, so several runs at once do
not disturb each other. Only DATABASE_URL is heeded when it is set: CI may bring a server.
"""

import atexit
import gc
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import django
import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from console import embedded_postgres

ROOT = Path(__file__).resolve().parent.parent
# Their tests share the consoles of their conftest, or the one of their module.
SHARED_CONSOLES = ("tests/e2e/", "tests/gateway/")
# So do those that share what took their module long to make.
MODULES_IN_ONE_PIECE = {
    "tests/billing/test_verify_ledger_columns.py",
    "tests/console/test_demo.py",
    "tests/console/test_serve.py",
    "tests/gateway/test_crashes.py",
    "tests/gateway/test_outage.py",
}
PROXIES = ("http_proxy", "https_proxy", "all_proxy")

# In the process that started the run; its xdist workers inherit the environment instead.
_folder: Path | None = None


def _begin() -> None:
    global _folder  # noqa: PLW0603 - a run begins once, before pytest has a place to keep it
    _folder = Path(tempfile.mkdtemp(prefix="console-tests-"))
    documented = re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    for name in {*documented, *PROXIES, *(name.upper() for name in PROXIES)} - {"DATABASE_URL"}:
        os.environ.pop(name, None)
    # Each console of a test is several processes: without bytecode all would compile all modules.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ |= {
        "DEBUG": "True",
        "SECRET_KEY": "for tests only",
        "DATA_DIR": str(_folder / "data"),
        "DJANGO_SETTINGS_MODULE": "console.settings",
        # Begins the names of databases that tests make besides pytest-django's.
        "TEST_DATABASES": _folder.name.replace("-", "_"),
    }
    if os.environ.get("DATABASE_URL"):
        atexit.register(_drop_databases)
    else:
        os.environ["DATABASE_URL"] = embedded_postgres.ensure_running(_folder, throwaway=True)


def _end() -> None:
    global _folder  # noqa: PLW0603
    if _folder is not None:
        embedded_postgres.release()
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None


def _drop_databases() -> None:
    """Leave a server that is not ours as it was."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        ours = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        for (name,) in server.execute(ours, [os.environ["TEST_DATABASES"]]).fetchall():
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


if "PYTEST_XDIST_WORKER" not in os.environ:
    _begin()
django.setup()  # Now, because any conftest.py may import models.
settings.STATIC_ROOT.mkdir(parents=True)  # WhiteNoise expects it.
# Else WhiteNoise would look at all files anew for the client of each test.
settings.WHITENOISE_AUTOREFRESH = True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one more worker than there are cores: that of the browser waits for half its time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give tests that share a console or a world to one worker, so that it is made once.

    xdist's own groups would say the same, but this pytest does not know them.
    """
    # Here, since a run without xdist does without it.
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _group_of
    return scheduling


def _group_of(test: str) -> str:
    module = test.partition("::")[0]
    if module in MODULES_IN_ONE_PIECE:
        return module
    return next((folder for folder in SHARED_CONSOLES if test.startswith(folder)), test)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare the garbage collector all that stays until the end, which is much by now."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Give each worker a data directory of its own; the server is one, their databases differ."""
    for number, spec in enumerate(specs):
        spec.env["DATA_DIR"] = f"{_folder}/data-{number}"


def pytest_unconfigure() -> None:
    """Leave nothing behind, also after Ctrl-C; after a kill, the server's guard does its part."""
    _end()
