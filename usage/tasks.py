"""What usage does on its own: sum up what was recorded, and make room for what is to come."""

from uuid import UUID

from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from usage import services as usage


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="feed_usage")
def feed_usage(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Add the newest requests to the sums of every store."""
    usage.feed(now=timezone.now())


# Until it is done: to forget was promised.
@app.task(retry=RetryStrategy(wait=600))
def forget_addresses_in_clickhouse(team_id: str) -> None:
    usage.forget_addresses_in_clickhouse(UUID(team_id))
