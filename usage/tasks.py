"""What usage does on its own: sum up what was recorded, make room for what is to come, and tell."""

import logging
from typing import Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from accounts.one_by_one import one_by_one
from usage import services as usage

logger = logging.getLogger(__name__)

# Then files of others have their turn.
STEPS_IN_A_ROW: Final = 20


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="feed_usage")
def feed_usage(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Add the newest requests to the sums of every store."""
    usage.feed(now=timezone.now())


@app.periodic(cron="40 2 * * *")
@app.task(queueing_lock="make_usage_partitions")
def make_partitions(timestamp: int) -> None:  # noqa: ARG001
    """Make room for the months to come, and drop those whose time is over."""
    with one_by_one(logger) as each:
        with each("Tables for usage of the months to come are missing"):
            usage.make_partitions_ahead(now=timezone.now())
        with each("Old usage could not be dropped"):
            usage.drop_partitions(now=timezone.now(), days=settings.USAGE_EVENT_DAYS)


@app.periodic(cron="50 * * * *")
@app.task(queueing_lock="keep_usage_zones")
def keep_zones(timestamp: int) -> None:  # noqa: ARG001
    """Sum up days as the members of teams have them now."""
    usage.keep_zones(now=timezone.now())


# Until it is done: to forget was promised.
@app.task(retry=RetryStrategy(wait=600))
def forget_addresses_in_clickhouse(team_id: str) -> None:
    usage.forget_addresses_in_clickhouse(UUID(team_id))


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="send_usage_alerts")
def send_alerts(timestamp: int) -> None:  # noqa: ARG001
    """Mail people of hours and days that cost more than they wanted."""
    usage.send_alerts(now=timezone.now())


@app.task
def make_export(export_id: str) -> None:
    """Write some of a file of single requests, and have the rest written after other files'."""
    pk = UUID(export_id)
    try:
        for _ in range(STEPS_IN_A_ROW):
            if not usage.advance_export(pk, now=timezone.now()):
                return
    except Exception:
        usage.fail_export(pk, now=timezone.now())
        raise  # So that the job fails in sight.
    usage.go_on_with_export(pk)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="sweep_usage_exports")
def sweep_exports(timestamp: int) -> None:  # noqa: ARG001
    """Delete files that are old, and go on with those whose job died."""
    usage.sweep_exports(now=timezone.now())
