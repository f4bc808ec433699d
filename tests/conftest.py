"""What every test can ask for; tests.environment comes first, before Django's settings are read."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from django.db import connections
from pytest_django import Settings

from tests.servers import ROOT, Console, Database

if TYPE_CHECKING:
    from tests.clients import Browser

pytest_plugins = ["tests.environment"]

_serial = count(1)
# A third of the time would go into looking for garbage among models that are made again and again.
MIGRATE = "import gc, manage; gc.disable(); manage.main()"


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    """Hash by the real algorithm, but not as slowly: tests sign people in by the hundred."""
    settings.PASSWORD_HASHERS = ["tests.hashers.QuickArgon2"]


@pytest.fixture
def client() -> "Browser":
    from tests.clients import Browser  # noqa: PLC0415 -- allauth reads the settings

    return Browser()


@pytest.fixture(scope="session")
def migrated_database() -> str:
    """Name a database that is migrated, empty and never touched: the template of others."""
    name = f"{os.environ['TEST_DATABASES']}_template"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(hashtext('template'))")  # One worker makes it.
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            database = Database(f"{name}_in_the_making")
            subprocess.run(
                [sys.executable, "-c", MIGRATE, "migrate", "--verbosity=0"],
                cwd=ROOT,
                env=os.environ | {"DATABASE_URL": database.url},
                check=True,
            )
            server.execute(f'ALTER DATABASE "{database.name}" RENAME TO "{name}"')
    return name


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,  # noqa: ARG001 -- it is to come first
    migrated_database: str,
) -> None:
    """Let Django's own test database, too, be made from the template."""
    connections.databases["default"]["TEST"]["TEMPLATE"] = migrated_database


@pytest.fixture(scope="session")
def make_database(migrated_database: str) -> Callable[[], Database]:
    """Make a migrated, empty database, within a second."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")

    def make() -> Database:
        name = f"{os.environ['TEST_DATABASES']}_{worker}_{next(_serial)}"
        return Database(name, migrated_database)

    return make


@pytest.fixture
def make_console(
    tmp_path: Path, make_database: Callable[[], Database]
) -> Iterator[Callable[..., Console]]:
    """Make a console that is not started yet: `make_console(HOLD_SECONDS="3").start()`."""
    made: list[Console] = []

    def make(**environment: str) -> Console:
        folder = tmp_path / f"console-{next(_serial)}"
        folder.mkdir()
        made.append(Console(folder, make_database(), **environment))
        return made[-1]

    yield make
    for console in made:
        console.kill()


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, make_database: Callable[[], Database]
) -> Iterator[Console]:
    """Share one running console; a test that stops it or counts its rows takes `make_console`."""
    with Console(tmp_path_factory.mktemp("server"), make_database()) as console:
        yield console
