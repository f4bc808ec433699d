"""What the tests of the embedded server share, and which of them a machine is for."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.embedded_postgres.processes import Join, User, python_for_all

# Only root can be several users, and those need a Python that they can run.
collect_ignore: list[str] = []
if os.geteuid() != 0:
    collect_ignore += ["test_root.py", "test_users.py"]
elif python_for_all() is None:
    collect_ignore += ["test_users.py"]


@pytest.fixture
def join() -> Iterator[Join]:
    users = []

    def joined(*args: object, **options: object) -> User:
        users.append(User(*args, **options))  # type: ignore[arg-type]
        return users[-1]

    yield joined

    for user in users:
        user.leave()


@pytest.fixture(scope="package")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give all tests one lasting database, which takes a while to make; each leaves it stopped."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Make a folder that every user of the machine can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="console-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
