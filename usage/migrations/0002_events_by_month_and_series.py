"""Events in partitions by month, with a column for each billing item; sums by series.

The events are kept. The sums are not carried over: the feed makes the new ones of the events.
"""

from datetime import UTC, datetime
from uuid import UUID

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

ITEMS = ("prompt_text", "cached_prompt_text", "prompt_image", "completion", "reasoning")
UNITS = [*ITEMS, *(f"{item}_ticks" for item in ITEMS)]
MONTHS_AHEAD = 3

NEW_TABLE = f"""
    CREATE SEQUENCE usage_usageevent_seq AS bigint;
    CREATE TABLE usage_usageevent_new (
        id uuid NOT NULL,
        team_id uuid NOT NULL,
        api_key_id uuid NOT NULL,
        seq bigint NOT NULL DEFAULT nextval('usage_usageevent_seq'),
        at timestamp with time zone NOT NULL,
        cost_ticks bigint NOT NULL,
        {", ".join(f"{name} bigint NOT NULL" for name in UNITS)},
        first_token_ms integer,
        latency_ms integer NOT NULL,
        status smallint NOT NULL,
        streamed boolean NOT NULL,
        ip inet NOT NULL,
        model varchar(120) NOT NULL,
        cluster varchar(120) NOT NULL,
        CONSTRAINT usage_event_cost_not_negative CHECK (cost_ticks >= 0),
        CONSTRAINT usage_event_status_check CHECK (status >= 0),
        CONSTRAINT usage_event_first_token_ms_check CHECK (first_token_ms >= 0),
        CONSTRAINT usage_event_latency_ms_check CHECK (latency_ms >= 0)
    ) PARTITION BY RANGE (id);
    ALTER SEQUENCE usage_usageevent_seq OWNED BY usage_usageevent_new.seq;
    CREATE TABLE usage_usageevent_default PARTITION OF usage_usageevent_new DEFAULT;
"""
COPY = f"""
    INSERT INTO usage_usageevent_new (
        id, team_id, api_key_id, at, cost_ticks, {", ".join(UNITS)},
        first_token_ms, latency_ms, status, streamed, ip, model, cluster
    )
    SELECT id, team_id, api_key_id, at, cost_ticks,
        {", ".join(f"coalesce(used.{name}, 0)" for name in UNITS)},
        first_token_ms, latency_ms, status, streamed, ip, model, cluster
    FROM usage_usageevent, LATERAL (
        SELECT
            {", ".join(f"sum((item ->> 1)::bigint) FILTER (WHERE item ->> 0 = '{name}') AS {name}" for name in ITEMS)},
            {", ".join(f"sum((item ->> 2)::bigint) FILTER (WHERE item ->> 0 = '{name}') AS {name}_ticks" for name in ITEMS)}
        FROM jsonb_array_elements(items) AS item
    ) AS used
    ORDER BY at, id;
"""
REPLACE = """
    DROP TABLE usage_usageevent;
    ALTER TABLE usage_usageevent_new RENAME TO usage_usageevent;
    ALTER TABLE usage_usageevent ADD CONSTRAINT usage_usageevent_pkey PRIMARY KEY (id);
    CREATE INDEX usage_events_newest_first ON usage_usageevent (team_id, at DESC, id DESC);
    CREATE INDEX usage_events_in_order ON usage_usageevent (seq);
"""
# sum(bigint) is numeric, and takes twice as long. This one refuses what a bigint cannot hold.
SUM = """
    CREATE AGGREGATE usage_sum(bigint) (
        SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE
    )
"""


def _first_id(month):
    """Say before which id no UUIDv7 of the month can be."""
    return UUID(int=int(month.timestamp() * 1000) << 80)


def _months(first, last):
    while first <= last:
        after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        yield first, after
        first = after


def make_partitions(apps, schema_editor):
    """Make a partition for each month of which there are events, and for those to come."""
    now = datetime.now(UTC)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(id::text) FROM usage_usageevent")
        (oldest,) = cursor.fetchone()
        first = now
        if oldest:
            first = min(now, datetime.fromtimestamp((UUID(oldest).int >> 80) / 1000, UTC))
        first = max(first, datetime(2020, 1, 1, tzinfo=UTC))
        first = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        month = now.year * 12 + now.month - 1 + MONTHS_AHEAD
        last = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        for begin, end in _months(first, last):
            cursor.execute(
                f"CREATE TABLE usage_usageevent_{begin:%Y_%m} PARTITION OF usage_usageevent_new"
                f" FOR VALUES FROM ('{_first_id(begin)}') TO ('{_first_id(end)}')"
            )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("usage", "0001_initial"),
        # It reads the old sums.
        ("gateway", "0002_limits"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(NEW_TABLE),
                migrations.RunPython(make_partitions),
                migrations.RunSQL(COPY),
                migrations.RunSQL(REPLACE),
            ],
            state_operations=[
                migrations.RemoveField("usageevent", "items"),
                migrations.AlterField(
                    "usageevent",
                    "team",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.team",
                    ),
                ),
                migrations.AddField(
                    "usageevent", "seq", models.BigIntegerField(editable=False, default=0), False
                ),
                *(
                    migrations.AddField("usageevent", name, models.BigIntegerField(default=0), False)
                    for name in UNITS
                ),
                migrations.AddIndex(
                    "usageevent", models.Index(fields=["seq"], name="usage_events_in_order")
                ),
            ],
        ),
        migrations.RunSQL(SUM, "DROP AGGREGATE usage_sum(bigint)"),
        migrations.DeleteModel("UsageRollup"),
        migrations.CreateModel(
            name="UsageFeed",
            fields=[
                ("store", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("fed_seq", models.BigIntegerField(default=0)),
                ("fed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="UsageValue",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("dimension", models.CharField(max_length=10)),
                ("text", models.CharField(max_length=120)),
                ("last_used_at", models.DateTimeField()),
                ("team", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.team")),
            ],
            options={
                "indexes": [models.Index(fields=["team", "dimension", "-last_used_at", "-id"], name="usage_values_newest")],
                "constraints": [models.UniqueConstraint(fields=("team", "dimension", "text"), name="usage_value_once")],
            },
            managers=[("across_teams", django.db.models.manager.Manager())],
        ),
        migrations.CreateModel(
            name="UsageSeries",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("slice", models.PositiveSmallIntegerField()),
                ("key_value", models.IntegerField(default=0)),
                ("model_value", models.IntegerField(default=0)),
                ("cluster_value", models.IntegerField(default=0)),
                ("ip_value", models.IntegerField(default=0)),
                ("team", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.team")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("team", "slice", "key_value", "model_value", "cluster_value", "ip_value"), name="usage_series_once"),
                ],
            },
            managers=[("across_teams", django.db.models.manager.Manager())],
        ),
        migrations.CreateModel(
            name="UsageZone",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=64)),
                ("team", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.team")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("team", "name"), name="usage_zone_once")],
            },
            managers=[("across_teams", django.db.models.manager.Manager())],
        ),
        migrations.CreateModel(
            name="UsageRollup",
            fields=[
                ("pk", models.CompositePrimaryKey("grain", "series_id", "start", blank=True, editable=False, primary_key=True, serialize=False)),
                ("grain", models.IntegerField()),
                ("start", models.DateTimeField()),
                ("requests", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
                ("cost_ticks", models.BigIntegerField()),
                *((name, models.BigIntegerField()) for name in UNITS),
                ("series", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="usage.usageseries")),
            ],
            managers=[("across_teams", django.db.models.manager.Manager())],
        ),
    ]
