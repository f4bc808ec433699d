"""How far each store has got."""

from django.db import models


class UsageFeed(models.Model):
    """One store: every event up to `fed_seq` is in its sums, once, and none after it.

    Whoever changes the store's sums holds the lock of this row.
    """

    store = models.CharField(max_length=20, primary_key=True)
    fed_seq = models.BigIntegerField(default=0)
    fed_at = models.DateTimeField(null=True)  # When the feed last found nothing left to do.
    # Since when it is being filled anew. Nobody feeds it before what no event tells is in it again.
    refilling_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.store} up to {self.fed_seq}"
