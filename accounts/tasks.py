"""What accounts does on its own: forget sessions that are over."""

from django.core.management import call_command
from procrastinate.contrib.django import app


@app.periodic(cron="25 3 * * *")
@app.task(queueing_lock="clear_sessions")
def clear_sessions(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Delete sessions that have expired; nothing else does, and each visitor may leave one."""
    call_command("clearsessions")
