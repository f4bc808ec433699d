"""Requests that are no longer kept one by one."""

from django.db import models


class UsageDropped(models.Model):
    """A month's table of events that was dropped, with all its requests in the sums of every store.

    What the sums know and no event tells is told by these rows, and not guessed from counts.
    """

    month = models.DateTimeField()  # Its begin, in UTC.
    requests = models.BigIntegerField()
    # The `at` of its last event: of quarter-hours that begin after it, nothing is gone.
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Requests of {self.month:%Y-%m}"
