"""Sums of requests, by time and by what tells requests apart."""

from django.db import models

from accounts.scoping import TeamDoor, TeamOwned


class UsageValue(TeamOwned):
    """One API key, model, cluster or address that a team has used, under a number."""

    # As in TeamOwned, without an index of its own: those below begin with the team.
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    id = models.AutoField(primary_key=True)
    dimension = models.CharField(max_length=10)  # A rules.Dimension.
    text = models.CharField(max_length=120)
    last_used_at = models.DateTimeField()

    of = TeamDoor[models.QuerySet["UsageValue"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "dimension", "text"], name="usage_value_once"),
        ]
        indexes = [
            models.Index(
                fields=["team", "dimension", "-last_used_at", "-id"], name="usage_values_newest"
            ),
        ]

    def __str__(self) -> str:
        return self.text


class UsageSeries(TeamOwned):
    """One combination of values whose requests are summed over time.

    `slice` says which dimensions the series tells apart, as a sum of `SLICE_BITS` of the store; the
    values of the others are 0. A team has one series that tells nothing apart: its total.
    """

    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    id = models.AutoField(primary_key=True)
    slice = models.PositiveSmallIntegerField()
    # No foreign keys: there is no value 0.
    key_value = models.IntegerField(default=0)
    model_value = models.IntegerField(default=0)
    cluster_value = models.IntegerField(default=0)
    ip_value = models.IntegerField(default=0)

    of = TeamDoor[models.QuerySet["UsageSeries"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "team",
                    "slice",
                    "key_value",
                    "model_value",
                    "cluster_value",
                    "ip_value",
                ],
                name="usage_series_once",
            ),
        ]

    def __str__(self) -> str:
        return f"Series {self.pk}"


class UsageZone(TeamOwned):
    """A time zone for whose days and months a team's sums are kept.

    Its id makes their grains: twice the id stands for its days, one more for its months.
    """

    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=64)
    # A fingerprint of when its days began by the rules that the sums were made with. Empty for the
    # first hour of a team, until somebody looks.
    rules = models.CharField(max_length=64, default="")
    # Since when no member is in it. Whoever moves to and fro has nothing built anew.
    unwanted_since = models.DateTimeField(null=True)

    of = TeamDoor[models.QuerySet["UsageZone"]]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="usage_zone_once"),
        ]

    def __str__(self) -> str:
        return self.name


class UsageRollup(models.Model):
    """What the requests of one series came to in one span of time. The fields are rules.Sums'.

    The grain is 0 for quarter-hours of UTC, 1 for hours of UTC, and else of a team's time zone:
    see UsageZone.
    """

    pk = models.CompositePrimaryKey("grain", "series_id", "start")
    grain = models.IntegerField()
    # Without a constraint: it would be looked up for each of millions of rows, which only the
    # store writes.
    series = models.ForeignKey(
        UsageSeries,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    start = models.DateTimeField()
    requests = models.BigIntegerField()
    failed = models.BigIntegerField()
    cost_ticks = models.BigIntegerField()
    prompt_text = models.BigIntegerField()
    cached_prompt_text = models.BigIntegerField()
    prompt_image = models.BigIntegerField()
    completion = models.BigIntegerField()
    reasoning = models.BigIntegerField()
    prompt_text_ticks = models.BigIntegerField()
    cached_prompt_text_ticks = models.BigIntegerField()
    prompt_image_ticks = models.BigIntegerField()
    completion_ticks = models.BigIntegerField()
    reasoning_ticks = models.BigIntegerField()

    # Reached through the series of a team, and never alone.
    across_teams = models.Manager()

    def __str__(self) -> str:
        return f"Series {self.series_id} at {self.start:%Y-%m-%d %H:%M}"
