"""The home of one server: the locks that tell who is alive there, and how the server is stopped.

Run as a program, this file is the guard, so it needs nothing but the standard library.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GUARD = str(Path(__file__).resolve())
THROWAWAY = "throwaway-postgres"
STOP_SECONDS = 30
POLL_SECONDS = 0.01


class Home:
    """The folder of one server, as a user of the server or its guard sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self._users_fd: int | None = None

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

    def _open(self, lock: str) -> int:
        return os.open(self.path / lock, os.O_RDWR)

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
        if self.path.name == THROWAWAY:
            shutil.rmtree(self.data, ignore_errors=True)
            with suppress(OSError):
                entrance = (self.path / "entrance").readlink()
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


if __name__ == "__main__" and os.fork() == 0:
    # The guard. Its parent ends here, so that nobody has to wait for the guard itself.
    Home(Path(sys.argv[1])).guard(int(sys.argv[2]))
