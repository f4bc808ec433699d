"""Tells a load balancer or a process manager how the console is; public, and cheap to ask."""

import threading
import time
from collections.abc import Callable
from functools import cache

import psycopg
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

# The worker reports every ten seconds.
SILENCE_SECONDS = 30
CONNECT_SECONDS = 2
# Anybody may ask, so however often they do, the database is asked once in this time.
FRESH_SECONDS = 1.0


@require_safe
@login_not_required
@never_cache
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer as long as this process does; whoever gets no answer should restart it."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@login_not_required
@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """Say whether requests should come here, and if not, what is missing."""
    missing = recently_missing.ask()
    return JsonResponse({"ready": not missing, "missing": missing}, status=503 if missing else 200)


def missing_parts() -> dict[str, str]:
    """List what the console lacks to work, by part, with a sentence that gives no secrets away."""
    # On a connection of its own: to wait for one of the pool's would take long just when the
    # database is down, and would say nothing of the database when the pool is busy.
    parameters = connection.get_connection_params() | {"connect_timeout": CONNECT_SECONDS}
    missing = {}
    try:
        with psycopg.connect(**parameters, autocommit=True) as database:
            applied = set(database.execute("SELECT app, name FROM django_migrations"))
            if behind := len(known_migrations() - applied):
                missing["migrations"] = f"{behind} are not applied."
            heard = database.execute(
                "SELECT max(last_heartbeat) > now() - make_interval(secs => %s)"
                " FROM procrastinate_workers",
                [SILENCE_SECONDS],
            ).fetchone()
            if heard != (True,):
                missing["worker"] = f"None has reported in the last {SILENCE_SECONDS} seconds."
    except psycopg.errors.UndefinedTable:
        missing["migrations"] = "The database is empty."
    except psycopg.Error:
        missing["database"] = "It cannot be reached."
    return missing


class Recently:
    """An answer that is kept for a moment; whoever asks while it is sought waits for it."""

    def __init__(
        self, look: Callable[[], dict[str, str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._look = look
        self._lock = threading.Lock()
        self._answer: dict[str, str] = {}
        self._stale_at = 0.0

    def ask(self) -> dict[str, str]:
        with self._lock:
            if self._clock() >= self._stale_at:
                self._answer = self._look()
                self._stale_at = self._clock() + FRESH_SECONDS
            return self._answer

    def forget(self) -> None:
        with self._lock:
            self._stale_at = 0.0


recently_missing = Recently(missing_parts)


@cache
def known_migrations() -> set[tuple[str, str]]:
    """Read which migrations the code has; it takes a while, and never changes."""
    return set(MigrationLoader(None).disk_migrations)
