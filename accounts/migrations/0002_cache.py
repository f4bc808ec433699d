from django.db import migrations


class Migration(migrations.Migration):
    """Makes the table of the shared cache, as `createcachetable` would.

    Unlogged: what it holds is worth nothing after a crash, and costs no write-ahead log until then.
    """

    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                CREATE UNLOGGED TABLE console_cache (
                    cache_key varchar(255) PRIMARY KEY,
                    value text NOT NULL,
                    expires timestamp with time zone NOT NULL
                );
                CREATE INDEX console_cache_expires ON console_cache (expires);
            """,
            reverse_sql="DROP TABLE console_cache;",
        ),
    ]
