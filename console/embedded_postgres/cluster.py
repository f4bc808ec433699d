"""One server and its data: made where there are none, and started where it is down."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from console.embedded_postgres.home import GUARD, POLL_SECONDS, THROWAWAY, Home
from console.embedded_postgres.programs import (
    MAJOR_VERSION,
    Account,
    EmbeddedPostgresError,
    environment,
    programs_for,
    run_as,
    shipped_programs,
    succeeds,
    system_account,
)
from console.embedded_postgres.settings import (
    FIRST_STATEMENTS,
    FIXED_SETTINGS,
    PORT,
    SETTINGS,
    THROWAWAY_SETTINGS,
)

SOCKET_PATH_BYTES = 103  # What macOS allows; Linux allows four more.
SPACE_NEEDED_MB = 200
START_TRIES = 3  # It may be killed while it starts, too.
START_SECONDS = 120  # After a crash the server first replays up to max_wal_size.
LOG_LIMIT_BYTES = 10_000_000


class Cluster(Home):
    """One server and its data, as this process sees them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.url = ""

    def make_home(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        owner = self.path.parent.stat()
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
            _give(self.path, owner)
        for name in ("start.lock", "users.lock", "server.lock", "guard.lock", "start.log"):
            with suppress(FileExistsError):
                (self.path / name).touch(mode=0o600, exist_ok=False)
                _give(self.path / name, owner)

    def bring_up(self, patience_seconds: int = START_SECONDS) -> None:
        """Make what is missing of data, guard and server. Needs start.lock, and to have joined."""
        account = self._account()
        if not self.data.exists():
            self._create(account)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {version}, and this is {MAJOR_VERSION}. "
                "Dump it with the old version and load it here, or move it away to start afresh."
            )
        entrance = self._entrance()
        self.url = f"postgresql://console@/console?host={quote(str(entrance), safe='')}&port={PORT}"
        with self._seized("guard.lock") as fd:
            if fd is not None:
                # Without site packages it is small.
                guard = [sys.executable, "-I", "-S", GUARD, str(self.path), str(fd)]
                self._run(guard, folder=Path("/"), pass_fds=[fd])
        tries_left = START_TRIES
        deadline = time.monotonic() + patience_seconds
        place = ["-h", str(entrance), "-p", str(PORT), "-U", "console", "-d", "console"]
        while not succeeds([str(shipped_programs() / "pg_isready"), *place]):
            # While the children of a killed server hold this lock, PostgreSQL would refuse to
            # start, so their end is awaited.
            with self._seized("server.lock") as fd:
                if fd is not None and not tries_left:
                    raise EmbeddedPostgresError(f"PostgreSQL did not start: {self._complaint()}")
                if fd is not None:
                    self._start_server(fd, account)
                    tries_left -= 1
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not answer within {patience_seconds} seconds. It may still be "
                    f"repairing its data after a crash: try again, or read {self.data / 'log'}."
                )
            time.sleep(POLL_SECONDS)

    def _account(self) -> Account | None:
        """Choose whom the server runs as; None is whoever calls."""
        if os.geteuid() != 0:
            return None
        if self.data.exists():
            owner = self.data.stat()
            return owner.st_uid, owner.st_gid
        with suppress(KeyError):
            # Where root comes first to the data directory of another, the other is to go on.
            entry = pwd.getpwuid(self.path.stat().st_uid)
            if entry.pw_uid != 0:
                return entry.pw_uid, entry.pw_gid
        return system_account()

    def _create(self, account: Account | None) -> None:
        user_id = account[0] if account else os.geteuid()
        try:
            pwd.getpwuid(user_id)
        except KeyError:
            raise EmbeddedPostgresError(
                f"The user id {user_id} has no name here, and PostgreSQL asks for one. "
                "Add it to /etc/passwd, or set DATABASE_URL to a server of your own."
            ) from None
        free_mb = shutil.disk_usage(self.path).free // 1_000_000
        if free_mb < SPACE_NEEDED_MB:
            raise EmbeddedPostgresError(
                f"Only {free_mb} MB are free at {self.path}, and a database needs "
                f"{SPACE_NEEDED_MB}. Free some space, or choose another DATA_DIR."
            )
        for leftover in self.path.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # Under another name until it is complete: whoever makes it may be killed half-way.
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self.path))
        if account:
            os.chown(fresh, *account)
        programs = programs_for(account)
        throwaway = self.path.name == THROWAWAY
        settings = THROWAWAY_SETTINGS if throwaway else SETTINGS
        try:
            self._run(
                [
                    str(programs / "initdb"),
                    *("--username=postgres", "--auth-local=trust", "--auth-host=reject"),
                    # The built-in locale sorts alike everywhere; the system's changes with upgrades
                    # of the system, and breaks indexes.
                    *("--encoding=UTF8", "--locale=C"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    *(f"--set={name}={value}" for name, value in settings.items()),
                    "--no-sync" if throwaway else "--no-instructions",
                ],
                folder=fresh,
                account=account,
            )
            for database, statements in FIRST_STATEMENTS.items():
                single = [str(programs / "postgres"), "--single", database]
                self._run(single, folder=fresh, account=account, typed=statements)
            fresh.rename(self.data)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        home_fd = os.open(self.path, os.O_RDONLY)
        os.fsync(home_fd)  # Or the new name might be lost with the power, and the data with it.
        os.close(home_fd)

    def _start_server(self, lock_fd: int, account: Account | None) -> None:
        # The lock says that no server is left. PostgreSQL goes by the process ids in these files,
        # and they may be another's by now: a restarted container hands out the same ones again.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.data / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        for log in self.data.glob("log/*.log"):
            if log.stat().st_size > LOG_LIMIT_BYTES:
                log.unlink()
        settings = FIXED_SETTINGS | {"cluster_name": self._name()}
        self._run(
            [
                *(str(programs_for(account) / "pg_ctl"), "start", "--no-wait", "--silent"),
                *("-o", " ".join(f"-c {name}={value}" for name, value in settings.items())),
            ],
            folder=self.data,
            account=account,
            pass_fds=[lock_fd],
        )

    def _run(
        self,
        command: list[str],
        *,
        folder: Path,
        account: Account | None = None,
        typed: str = "",
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Run a program inside the folder that is its data; what it says goes to start.log."""
        said = self.path / "start.log"
        with said.open("a+") as output:
            output.truncate(0)
            returned = subprocess.run(  # noqa: S603 - ours, with nothing from outside in it
                command,
                check=False,
                input=typed,
                text=True,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=environment() | {"PGDATA": "/proc/self/cwd" if account else str(folder)},
                pass_fds=pass_fds,
                start_new_session=True,  # Ctrl-C is for the console, not for its database.
                **run_as(account),
            ).returncode
        # The server's single-user mode tells errors in words only.
        if returned != 0 or "ERROR:" in said.read_text(errors="replace"):
            raise EmbeddedPostgresError(f"{Path(command[0]).name} failed: {self._complaint()}")

    def _entrance(self) -> Path:
        """Find the folder of the socket, by a path that is short enough for a socket.

        Usually the data themselves, closed to all but the server's account and root. If their
        path is too long, a link to them in a temporary folder of our own.
        """
        if len(os.fsencode(self.data / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES:
            return self.data
        owner = self.path.stat()
        pointer = self.path / "entrance"
        with suppress(OSError):
            link = pointer.readlink()
            if link.readlink() == self.data and link.parent.stat().st_uid in {0, owner.st_uid}:
                return link
        link = Path(tempfile.mkdtemp(prefix="console-")) / "data"
        link.symlink_to(self.data)
        pointer.unlink(missing_ok=True)
        pointer.symlink_to(link)
        for path in (link.parent, link, pointer):
            _give(path, owner)
        return link

    def _complaint(self) -> str:
        """Quote the last error of the newest log, with what came before it, often the reason."""
        logs = [self.path / "start.log", *self.data.glob("log/*.log")]
        newest = max(logs, key=lambda log: log.stat().st_mtime_ns)
        lines = [
            re.sub(r"^\d+-\S+ \S+ \S+ \[\d+\] ", "", line)  # Less the time and the process id.
            for line in newest.read_text(errors="replace").splitlines()
        ]
        errors = [n for n, line in enumerate(lines) if re.search("FATAL|PANIC|ERROR|error:", line)]
        end = errors[-1] + 1 if errors else len(lines)
        return f"{' '.join(lines[max(0, end - 2) : end])} (from {newest})"


def _give(path: Path, owner: os.stat_result) -> None:
    """Leave to the other what root makes in another's data directory."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
