"""What API keys do on their own: look where they are used from, and tell before they expire."""

from django.utils import timezone
from procrastinate.contrib.django import app

from api_keys import services as api_keys


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="look_up_countries")
def look_up_countries(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Find the countries of addresses that keys were first used from, and tell of new ones."""
    api_keys.look_up_countries()


@app.periodic(cron="45 3 * * *")
@app.task(queueing_lock="prune_addresses")
def prune_addresses(timestamp: int) -> None:  # noqa: ARG001 -- as above
    """Forget addresses that were not used for long."""
    api_keys.prune_addresses(now=timezone.now())


@app.periodic(cron="0 9 * * *")
@app.task(queueing_lock="remind_of_expiry")
def remind_of_expiry(timestamp: int) -> None:  # noqa: ARG001 -- as above
    """Mail the owners of keys that expire within a week."""
    api_keys.remind_of_expiry(now=timezone.now())
