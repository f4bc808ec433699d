"""Real consoles for tests: `manage.py serve` with its own port, database and data directory."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
from psycopg import sql

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 90  # For a machine that does much else; nothing ever waits so long in vain.
POLL_SECONDS = 0.05


def until(condition: Callable[[], T | None], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds} seconds in vain for {what}.")
        time.sleep(POLL_SECONDS)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Database:
    """One database of the tests' server, from a template that has been migrated once."""

    def __init__(self, name: str, template: str | None = None) -> None:
        place = urlsplit(os.environ["DATABASE_URL"])
        self.name = name
        self.url = place._replace(path=f"/{name}").geturl()
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
            server.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template or "template1")
                )
            )

    @classmethod
    def at(cls, url: str) -> Self:
        """Stand for a database that is there already, or will be."""
        database = cls.__new__(cls)
        database.name, database.url = urlsplit(url).path.strip("/"), url
        return database

    def query(self, statement: Any, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


class Console:
    """One `manage.py serve`, which can be started, asked, stopped, killed and started again."""

    def __init__(self, folder: Path, database: Database, **environment: str) -> None:
        self.data_dir = folder / "data"
        self.log_path = folder / "serve.log"
        self.database = database
        self.database_url = database.url
        self.port = free_port()
        self.base_url = f"http://localhost:{self.port}"
        self.environment = os.environ | {
            "DEBUG": "True",
            "SECRET_KEY": "for tests only, and as long as it has to be without DEBUG",
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": database.url,
            "PORT": str(self.port),
            "PUBLIC_URL": self.base_url,
            "SHUTDOWN_TIMEOUT": "10",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *arguments: str) -> None:
        parent = f"--parent={os.getpid()}"  # Or it would outlive tests that are killed.
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "serve", parent, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            if self.returncode is not None:
                raise RuntimeError(f"serve ended with {self.returncode}:\n{self.log()}")
            return self.get("/readyz") == 200

        try:
            until(is_ready, "/readyz")
        except TimeoutError as error:
            error.add_note(self.log())
            raise

    def get(self, path: str) -> int | None:
        """Return the status, or None where nobody answers."""
        try:
            with urlopen(self.base_url + path, timeout=10) as response:  # noqa: S310 - it is http
                return int(response.status)
        except OSError as error:
            return getattr(error, "code", None)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it in order and return its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """End it and all it has started, as a power cut would; does no harm when it is down."""
        if self.process is not None:
            children = self.children()
            self.process.kill()
            self.process.wait()
            for pid in children:
                _kill(pid)
            until(lambda: not any(map(_exists, children)), "the end of all that serve started")

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_until_ready()

    def manage(self, *arguments: str) -> str:
        """Run a management command on this console's database, and return what it prints."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def children(self, role: str = "") -> list[int]:
        """List the processes of `web`, of `worker` or of both; also those that have lost serve."""
        assert self.process is not None
        mark = f"--only={role}"
        parent = f"--parent={self.process.pid}"
        return [
            pid
            for pid, command in _commands()
            if parent in command and any(word.startswith(mark) for word in command)
        ]

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        return None if self.process is None else self.process.poll()


def _commands() -> list[tuple[int, list[str]]]:
    if Path("/proc/self").exists():
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # It has ended meanwhile.
            found.append((int(folder.name), words))
        return found
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,args="],  # noqa: S607 - wherever it is
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [(int(line.split()[0]), line.split()[1:]) for line in listed.splitlines()]


def _exists(pid: int) -> bool:
    return any(pid == other and command != [""] for other, command in _commands())


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
