"""What usage does on its own: sum up what was recorded, and make room for what is to come."""

from django.utils import timezone
from procrastinate.contrib.django import app

from usage import services as usage


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="feed_usage")
def feed_usage(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Add the newest requests to the sums of every store."""
    usage.feed(now=timezone.now())
