"""What accounts does on its own: forget sessions that are over, and people who asked for it."""

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app
from psycopg import sql

from accounts import services as accounts
from accounts.services import sessions, sign_ins


@app.periodic(cron="25 3 * * *")
@app.task(queueing_lock="clear_sessions")
def clear_sessions(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Delete sessions that have expired; nothing else does, and each visitor may leave one."""
    call_command("clearsessions")
    sessions.forget_ended()


@app.periodic(cron="30 3 * * *")
@app.task(queueing_lock="forget_sign_ins")
def forget_sign_ins(timestamp: int) -> None:  # noqa: ARG001 -- as above
    """Delete where people signed in from half a year ago."""
    sign_ins.forget_sign_ins(now=timezone.now())


@app.periodic(cron="35 * * * *")
@app.task(queueing_lock="clear_cache")
def clear_cache(timestamp: int) -> None:  # noqa: ARG001 -- as above
    """Delete what the cache no longer remembers; its keys hold the addresses of visitors.

    Django deletes such rows only when there are too many of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE expires < %s").format(
                sql.Identifier(str(settings.CACHES["default"]["LOCATION"]))
            ),
            [timezone.now()],
        )


@app.periodic(cron="40 3 * * *")
@app.task(queueing_lock="erase_accounts")
def erase_accounts(timestamp: int) -> None:  # noqa: ARG001 -- as above
    """Erase the accounts whose 30 days to be restored are over."""
    accounts.erase_due(now=timezone.now())
