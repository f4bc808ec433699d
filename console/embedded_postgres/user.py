"""Being a user of servers: joining one, keeping it up, and leaving it."""

import atexit
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console.embedded_postgres.cluster import Cluster
from console.embedded_postgres.home import THROWAWAY
from console.embedded_postgres.programs import EmbeddedPostgresError

RESTART_SECONDS = 5  # Whoever keeps it running looks again anyway, and may have to leave meanwhile.


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
        cluster = _joined.get(home) or Cluster(home)
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
            with _told_plainly(cluster.path), cluster.start_lock():
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
                del _joined[cluster.path]
                with _told_plainly(cluster.path):
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


_joined: dict[Path, Cluster] = {}
# Also held while forking: a child must not inherit a lock that was only being handed on.
_alone = threading.RLock()
os.register_at_fork(
    before=_alone.acquire, after_in_parent=_alone.release, after_in_child=_forget_after_fork
)
atexit.register(release)
