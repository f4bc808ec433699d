"""Serves the console: the web server and the worker, kept up together."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from functools import partial
from typing import Any, cast

import psycopg
from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server
from procrastinate.contrib.django import app as jobs
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector

from console import embedded_postgres, supervisor

# A connection counts from its first request to its close, so an open stream takes a place for as
# long as it lasts: there must be far more of them than streams at any time.
CONNECTIONS_PER_WEB_WORKER = 8192
BACKLOG = 2048
OPEN_FILES = 65_536
JOBS_AT_ONCE = 4
# A job that is told to stop needs a moment to note where it was.
LAST_WORDS_SECONDS = 3
CONNECT_SECONDS = 5


class Command(BaseCommand):
    help = "Serve the console: its web server and its worker, started and stopped together."
    requires_system_checks = []  # Asked for below, by the process that starts the others.

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--migrate",
            action="store_true",
            help="Bring the database up to date first, as DEBUG always does.",
        )
        parser.add_argument(
            "--demo",
            action="store_true",
            help="Load the demo world first, if it is not there, and show its sign-ins.",
        )
        parser.add_argument(
            "--only", choices=["web", "worker"], help="Run one of the two, to place them apart."
        )
        parser.add_argument(
            "--parent", type=int, help="The id of the process that starts this one and ends it."
        )

    def handle(self, **options: Any) -> None:
        if options["parent"]:
            supervisor.end_with_parent(options["parent"])
        if not (options["parent"] and options["only"]):  # Whoever has started it has prepared it.
            self._prepare(migrate=options["migrate"] or settings.DEBUG, only=options["only"])
            if not (settings.EMAIL_URL or settings.DEBUG) and options["only"] != "worker":
                self.stderr.write(
                    f"EMAIL_URL is not set: mails are kept in {settings.EMAIL_FILE_PATH}, so "
                    "nobody who signs up can confirm an address."
                )
        if options["only"] == "web":
            run_web()
        elif options["only"] == "worker":
            run_worker()
        else:
            self._supervise(self._demo() if options["demo"] else "")

    def _prepare(self, *, migrate: bool, only: str | None) -> None:
        """Find out now what would fail later, and say it in a line."""
        try:
            if only != "worker":
                check_port()
            check_database()
            self.check()
            if migrate:
                call_command("migrate", verbosity=0)
            check_migrations()
            if not settings.DEBUG and only != "worker":
                call_command("collectstatic", interactive=False, verbosity=0)
        except CannotServeError as error:
            sys.exit(f"Cannot start: {error}")
        finally:
            # The children have connections of their own.
            connections.close_all()
            cast("DatabaseWrapper", connection).close_pool()

    def _demo(self) -> str:
        """Load it in a process of its own, since this one is to stay small."""
        self.stdout.write("Loading the demo world. The first time takes up to a minute.")
        loaded = subprocess.run(  # noqa: S603 - our own command
            _manage("demo"), check=False, stdout=subprocess.PIPE, text=True
        )
        if loaded.returncode:
            sys.exit("Cannot start: the demo world could not be loaded; the reason is above.")
        return loaded.stdout

    def _supervise(self, welcome: str) -> None:
        announced = False

        def each_tick() -> None:
            nonlocal announced
            if not announced and is_listening():
                announced = True
                self.stdout.write(welcome)
                self.stdout.write(f"The console is at {settings.PUBLIC_URL} (Ctrl-C stops it).")
                self.stdout.flush()

        # On the side: while it waits for the server, children are tended and signals heard.
        threading.Thread(target=keep_database, name="keep-database", daemon=True).start()
        parent = f"--parent={os.getpid()}"
        supervisor.Supervisor(
            [
                supervisor.Child("web server", _manage("serve", "--only=web", parent)),
                supervisor.Child("worker", _manage("serve", "--only=worker", parent)),
            ],
            patience_seconds=settings.SHUTDOWN_TIMEOUT,
            each_tick=each_tick,
        ).run()
        self.stdout.write("Stopped.")


class CannotServeError(Exception):
    """Something that serving needs is missing; the message says what, and what to do."""


def check_port() -> None:
    """Look whether the port is free: the web server would share it with another of its kind."""
    try:
        found = socket.getaddrinfo(settings.HOST, settings.PORT, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        raise CannotServeError(
            f"HOST={settings.HOST!r} is not an address. Use 127.0.0.1 for this machine only, "
            "or 0.0.0.0 for the network."
        ) from None
    except OSError as error:
        raise CannotServeError(
            f"port {settings.PORT} on {settings.HOST} cannot be had: {error.strerror}. "
            "Stop what uses it, or choose another with PORT."
        ) from error


def check_database() -> None:
    try:
        # Not by Django's pool: it retries for a while, and logs each try.
        psycopg.connect(settings.DATABASE_URL, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CannotServeError(
            f"the database cannot be reached: {reason}. Look at DATABASE_URL."
        ) from error


def check_migrations() -> None:
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        raise CannotServeError(
            f"the database is {missing} migrations behind. Run `manage.py migrate`, "
            "or start with --migrate."
        )


def keep_database() -> None:
    """Start the embedded server again whenever it has crashed, as long as this process lives."""
    while True:
        try:
            embedded_postgres.keep_running()
        except embedded_postgres.EmbeddedPostgresError as error:
            supervisor.logger.error("%s", error)
        time.sleep(supervisor.TICK_SECONDS)


def is_listening() -> bool:
    try:
        socket.create_connection((settings.HOST, settings.PORT), timeout=1).close()
    except OSError:
        return False
    return True


def run_web() -> None:
    """Serve pages and the gateway until SIGTERM; open streams may then finish."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # Then it stays as it is.
        files = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    Server(
        "console.asgi:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.WEB_WORKERS,
        backlog=BACKLOG,
        backpressure=CONNECTIONS_PER_WEB_WORKER,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        # Its lines go where Django's go.
        log_dictconfig={"handlers": {}, "loggers": {"_granian": {"handlers": []}}},
    ).serve(target_loader=partial(load_application, os.getpid()), wrap_loader=False)


def load_application(server: int) -> Any:
    """Run by each web worker; it is to end with the server that started it."""
    supervisor.end_with_parent(server)
    from console.asgi import application  # noqa: PLC0415 - only web workers need it

    return application


class WorkerConnector(PsycopgConnector):
    """The worker's own connections; but what a job defers belongs to the job's transaction.

    On a connection of its own, a mail's job would begin before the mail is committed, find none,
    and leave it to the sweep some minutes later.
    """

    def get_sync_connector(self) -> DjangoConnector:
        return DjangoConnector()


def run_worker() -> None:
    """Run background jobs until SIGTERM; those that run may then finish."""
    with jobs.replace_connector(WorkerConnector(kwargs=connector_params())) as worker:
        worker.run_worker(
            concurrency=JOBS_AT_ONCE,
            delete_jobs="successful",  # Failed ones stay for staff to see.
            shutdown_graceful_timeout=max(settings.SHUTDOWN_TIMEOUT - LAST_WORDS_SECONDS, 0),
        )


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
